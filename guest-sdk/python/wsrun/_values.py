"""Values that the host hands to a handler and takes from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Optional, Union
from urllib.parse import parse_qsl

Message = Union[str, bytes]
"""One whole message: text is ``str``, binary is ``bytes``."""

Headers = Union[Mapping[str, str], Iterable["tuple[str, str]"]]
"""Header fields to send: a mapping, or pairs where a name comes more than once."""


class Role(Enum):
    """Which side of the opening handshake this host was."""

    SERVER = "server"
    """The peer connected to this host."""
    CLIENT = "client"
    """This host connected to the peer."""


class ClosedBy(Enum):
    """Who ended a connection."""

    PEER = "peer"
    """The peer closed it, or its transport ended."""
    HANDLER = "handler"
    """The handler called ``close`` or ``abort``."""
    HOST = "host"
    """The host did: a protocol error, a limit, a timeout, an error of the handler or a shutdown."""


@dataclass(frozen=True)
class CloseInfo:
    """How a connection ended."""

    code: int
    """The code of the first close frame. 1005 when that frame carried none, 1006 when the transport ended without a close frame."""
    reason: str
    """The reason beside the code; empty when there was none. When the host ended the connection it says why."""
    by: ClosedBy
    """Who ended it."""
    clean: bool
    """True when close frames went both ways."""


@dataclass(frozen=True)
class Request:
    """The opening request of a connection, or a plain HTTP request without its body."""

    role: Role
    """Which side this host was."""
    path: str
    """The path, percent-encoded as received, beginning with ``/``."""
    query: Optional[str]
    """What follows the first ``?``, percent-encoded as received; ``None`` when there is no ``?``."""
    headers: list[tuple[str, bytes]]
    """Header fields in order, names in lower case, values as received."""
    offered: list[str]
    """Subprotocols offered, in the peer's order."""
    peer: str
    """The peer's address, ``ip:port``; ``unix`` for a Unix socket."""
    local: str
    """The address that it connected to, ``ip:port``, or the path of the Unix socket."""
    secure: bool
    """True over TLS."""
    host: Optional[str]
    """The Host header, without change."""

    def header(self, name: str) -> Optional[str]:
        """The first header field of this name, in any case of letters; ``None`` when there is none, or it is not UTF-8."""
        return _first_header(self.headers, name)

    def header_values(self, name: str) -> list[bytes]:
        """The values of all header fields of this name, as received."""
        name = name.lower()
        return [value for key, value in self.headers if key == name]

    def query_value(self, name: str) -> Optional[str]:
        """The first value of this name in the query, decoded (``?name=value&...``); ``None`` when there is none."""
        for key, value in parse_qsl(self.query or "", keep_blank_values=True):
            if key == name:
                return value
        return None


@dataclass(frozen=True)
class Response:
    """The answer of a server to the opening handshake of a connection in the client role."""

    status: int
    """The HTTP status."""
    headers: list[tuple[str, bytes]]
    """Header fields in order, names in lower case, values as received."""

    def header(self, name: str) -> Optional[str]:
        """As :meth:`Request.header`."""
        return _first_header(self.headers, name)


@dataclass(frozen=True)
class Chunk:
    """A part of a message."""

    text: bool
    """UTF-8 text, or binary."""
    data: bytes
    """The bytes, at most 256 KiB. A part of a text may end inside a character."""
    first: bool
    """Whether the message begins here."""
    final: bool
    """Whether the message ends here."""
    remaining: int
    """Payload bytes still to come in the current frame, before decompression; 0 at its end."""


@dataclass(frozen=True)
class Accept:
    """Accepts an opening handshake: what :meth:`Handler.handshake` returns."""

    protocol: Optional[str] = None
    """The subprotocol to agree on, one of ``request.offered``; ``None`` leaves it to the host."""
    headers: Headers = field(default_factory=dict)
    """Header fields added to the 101 response."""
    session: bytes = b""
    """Session data of the new connection, at most 64 KiB by default."""


@dataclass(frozen=True)
class Refuse:
    """Refuses an opening handshake: what :meth:`Handler.handshake` returns."""

    status: int = 403
    """The HTTP status, 300 to 599; anything else is sent as 500."""
    body: str = ""
    """The body, sent as ``text/plain; charset=utf-8`` unless a header says otherwise."""
    headers: Headers = field(default_factory=dict)
    """Header fields of the response."""


@dataclass(frozen=True)
class HttpRequest(Request):
    """A plain HTTP request, one that does not ask for a WebSocket. ``offered`` is empty."""

    method: str = "GET"
    """The method, as received: ``GET``, ``POST``."""
    body: bytes = b""
    """The body, at most 1 MiB by default: more is answered with 413 by the host."""


@dataclass(frozen=True)
class HttpResponse:
    """The answer to an :class:`HttpRequest`.

    >>> HttpResponse("there is nothing here", status=404)
    >>> HttpResponse.html("<!doctype html><p>hello")
    >>> HttpResponse.json('{"ready":true}', headers={"cache-control": "no-store"})
    >>> HttpResponse.file("images/logo.svg")
    """

    body: Message = b""
    """``str`` is sent as UTF-8, with the content type ``text/plain; charset=utf-8`` where the headers have none."""
    status: int = 200
    """200 to 599; anything else is sent as 500."""
    headers: Headers = field(default_factory=dict)
    """Header fields. ``connection``, ``content-length``, ``transfer-encoding`` and ``upgrade`` are the host's and left out."""
    content_type: Optional[str] = None
    """The content type where the headers have none."""
    path: Optional[str] = None
    """In place of a body: a file, see :meth:`file`."""

    @classmethod
    def html(cls, html: str, status: int = 200, headers: Headers = ()) -> HttpResponse:
        """A body of ``text/html; charset=utf-8``."""
        return cls(html, status, headers, "text/html; charset=utf-8")

    @classmethod
    def json(cls, json: str, status: int = 200, headers: Headers = ()) -> HttpResponse:
        """A body of ``application/json``, which is sent as it is given."""
        return cls(json, status, headers, "application/json")

    @classmethod
    def file(cls, path: str, headers: Headers = ()) -> HttpResponse:
        """A file of the folder that the operator grants (``--files DIR``), by its path in it.

        Ranges, conditions, the content type and precompressed siblings are the host's work. A path that leads out of the folder, or to
        nothing, is answered with 404.
        """
        return cls(b"", 200, headers, None, path)


class Slow(Enum):
    """What becomes of a published message that the queue of a subscriber has no room for. A close code, an ``int``, in place of one of
    these closes the connection with it."""

    WAIT = "wait"
    """Nobody gets it: the publish fails with :class:`Waiting`, and the publisher tries again when there is room."""
    DROP_OLDEST = "drop-oldest"
    """The oldest published messages that wait for this connection make room for it."""
    DROP_NEWEST = "drop-newest"
    """It is left out for this connection."""
    LATEST_ONLY = "latest-only"
    """Of a topic, only the newest message waits for this connection: it takes the place of an older one."""


SlowPolicy = Union[Slow, int]
"""One of :class:`Slow`, or the code to close the connection with."""


class CloseCode:
    """Close codes (RFC 6455, 7.4.1). Those of an application are 3000 to 4999."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


def header_pairs(headers: Headers) -> list[tuple[str, str]]:
    """The pairs of a mapping, or the pairs themselves."""
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _first_header(headers: list[tuple[str, bytes]], name: str) -> Optional[str]:
    name = name.lower()
    for key, value in headers:
        if key == name:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None
