"""The messages: one JSON object per text message."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Union

NAME_CHARS_MAX = 24
ROOM_BYTES_MAX = 32
TEXT_CHARS_MAX = 1000


class Refused(Exception):
    """Why a message is not followed, for its sender to read."""


@dataclass(frozen=True)
class Join:
    """Enters a room under a name, and leaves the room it was in."""

    name: str
    room: str


@dataclass(frozen=True)
class Say:
    """Says something to everybody in the room."""

    text: str


@dataclass(frozen=True)
class Leave:
    """Leaves the room."""


Ask = Union[Join, Say, Leave]
"""What a client sends."""

_FIELDS = {"join": {"type", "name", "room"}, "say": {"type", "text"}, "leave": {"type"}}
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space as Unicode has it, in which Python includes four separators that are control characters."""
_USAGE = 'send {"type":"join","name":…,"room":…}, {"type":"say","text":…} or {"type":"leave"}'


def parse(text: str) -> Ask:
    """Reads a message and tidies its texts."""
    fields = _fields(text)
    if fields["type"] == "join":
        return Join(_valid_name(fields["name"]), _valid_room(fields["room"]))
    if fields["type"] == "say":
        return Say(_valid_text(fields["text"]))
    return Leave()


def event(kind: str, **fields: Union[str, "list[str]"]) -> str:
    """A message of the handler: ``welcome`` (name, room, who), ``joined`` and ``left`` (name), ``said`` (name, text), ``error`` (message)."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)


def _fields(text: str) -> dict[str, str]:
    # A message is one flat object. The parser goes as deep as the text does, and a deep one would exhaust the stack.
    outside_strings = re.sub(r'"(?:\\.|[^"\\])*"', "", text)
    if "[" in outside_strings or outside_strings.count("{") != 1:
        raise Refused(_USAGE)
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except ValueError:
        raise Refused(_USAGE) from None
    if not isinstance(pairs, _Pairs):
        raise Refused(_USAGE)
    fields = dict(pairs)
    if len(fields) != len(pairs) or not all(_is_text(value) for value in fields.values()):
        raise Refused(_USAGE)
    if set(fields) != _FIELDS.get(fields.get("type", "")):
        raise Refused(_USAGE)
    return fields


class _Pairs(list["tuple[str, Any]"]):
    """A JSON object, with fields that come twice."""


def _is_text(value: object) -> bool:
    # A lone surrogate, which JSON can escape, is no text.
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _valid_name(name: str) -> str:
    name = " ".join(re.findall(f"[^{_SPACE}]+", name))
    if not name:
        raise Refused("choose a name")
    if len(name) > NAME_CHARS_MAX:
        raise Refused("a name has at most 24 characters")
    if any(_is_invisible(character) for character in name):
        raise Refused("a name is made of visible characters")
    return name


def _valid_room(room: str) -> str:
    room = _trimmed(room)
    if not re.fullmatch(r"[A-Za-z0-9-]{1,%d}" % ROOM_BYTES_MAX, room):
        raise Refused("a room is named by 1 to 32 letters, digits and hyphens")
    return room.lower()


def _valid_text(text: str) -> str:
    text = _trimmed(text)
    if not text:
        raise Refused("there is nothing to say")
    if len(text) > TEXT_CHARS_MAX:
        raise Refused("a text has at most 1000 characters")
    return text


def _trimmed(text: str) -> str:
    return re.sub(f"^[{_SPACE}]+|[{_SPACE}]+\\Z", "", text)


def _is_invisible(character: str) -> bool:
    """Control characters, and those that reorder or hide the text around them: a name is shown beside other people's words."""
    return unicodedata.category(character) == "Cc" or bool(
        re.match("[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", character)
    )
