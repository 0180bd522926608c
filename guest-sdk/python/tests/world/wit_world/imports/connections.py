# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


@dataclass
class ChunkError_Closed:
    pass


@dataclass
class ChunkError_QueueFull:
    value: int


@dataclass
class ChunkError_TooLarge:
    value: int


@dataclass
class ChunkError_InvalidText:
    pass


@dataclass
class ChunkError_WrongKind:
    pass


ChunkError = Union[ChunkError_Closed, ChunkError_QueueFull, ChunkError_TooLarge, ChunkError_InvalidText, ChunkError_WrongKind]


@dataclass
class AutoReplyError_TooLarge:
    value: int


@dataclass
class AutoReplyError_Limit:
    pass


AutoReplyError = Union[AutoReplyError_TooLarge, AutoReplyError_Limit]


def send(to: int, message: types.Message) -> None:
    return asked("connections", "send", to, message)


def send_chunk(to: int, text: bool, data: bytes, final: bool) -> None:
    return asked("connections", "send_chunk", to, text, data, final)


def ping(to: int, payload: bytes) -> None:
    return asked("connections", "ping", to, payload)


def pong(to: int, payload: bytes) -> None:
    return asked("connections", "pong", to, payload)


def close(connection: int, code: int, reason: str) -> None:
    return asked("connections", "close", connection, code, reason)


def abort(connection: int) -> None:
    return asked("connections", "abort", connection)


def buffered(connection: int) -> int:
    return asked("connections", "buffered", connection)


def want_writable(connection: int) -> None:
    return asked("connections", "want_writable", connection)


def want_writable_all(protocol: Optional[str]) -> None:
    return asked("connections", "want_writable_all", protocol)


def set_slow_policy(connection: int, policy: Optional[types.SlowPolicy]) -> None:
    return asked("connections", "set_slow_policy", connection, policy)


def dropped(connection: int) -> int:
    return asked("connections", "dropped", connection)


def receive_flow(connection: int, enabled: bool) -> None:
    return asked("connections", "receive_flow", connection, enabled)


def set_auto_reply(received: types.Message, reply: Optional[types.Message]) -> None:
    return asked("connections", "set_auto_reply", received, reply)


def request_of(connection: int) -> Optional[types.Request]:
    return asked("connections", "request_of", connection)


def protocol(connection: int) -> Optional[str]:
    return asked("connections", "protocol", connection)


def session(connection: int) -> bytes:
    return asked("connections", "session", connection)


def set_session(connection: int, data: bytes) -> None:
    return asked("connections", "set_session", connection, data)
