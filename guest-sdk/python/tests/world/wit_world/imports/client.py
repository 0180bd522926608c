# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


class Verify(Enum):
    FULL = 0
    ALLOW_SELF_SIGNED = 1


@dataclass
class Reconnect:
    attempts_max: int
    delay_ms: Optional[int]
    delay_max_ms: Optional[int]


@dataclass
class Options:
    url: str
    protocols: list[str]
    host: Optional[str]
    origin: Optional[str]
    headers: list[tuple[str, str]]
    verify: Verify
    identity: Optional[str]
    version: Optional[int]
    compression: bool
    timeout_ms: Optional[int]
    reconnect: Optional[Reconnect]
    session: bytes


@dataclass
class ConnectError_Denied:
    value: str


@dataclass
class ConnectError_Invalid:
    value: str


@dataclass
class ConnectError_UnsupportedVersion:
    value: bytes


@dataclass
class ConnectError_Limit:
    pass


ConnectError = Union[ConnectError_Denied, ConnectError_Invalid, ConnectError_UnsupportedVersion, ConnectError_Limit]


class Phase(Enum):
    CONNECT = 0
    TLS = 1
    HANDSHAKE = 2


@dataclass
class Failure_Denied:
    value: str


@dataclass
class Failure_Unreachable:
    value: str


@dataclass
class Failure_Tls:
    value: str


@dataclass
class Failure_TimedOut:
    value: Phase


@dataclass
class Failure_Ended:
    pass


@dataclass
class Failure_Refused:
    value: int


@dataclass
class Failure_Redirected:
    value: Optional[str]


@dataclass
class Failure_InvalidResponse:
    value: str


@dataclass
class Failure_NotUpgraded:
    pass


@dataclass
class Failure_AcceptMissing:
    pass


@dataclass
class Failure_AcceptWrong:
    pass


@dataclass
class Failure_ProtocolNotOffered:
    pass


@dataclass
class Failure_ExtensionNotOffered:
    value: str


Failure = Union[Failure_Denied, Failure_Unreachable, Failure_Tls, Failure_TimedOut, Failure_Ended, Failure_Refused, Failure_Redirected, Failure_InvalidResponse, Failure_NotUpgraded, Failure_AcceptMissing, Failure_AcceptWrong, Failure_ProtocolNotOffered, Failure_ExtensionNotOffered]


@dataclass
class Response:
    status: int
    headers: list[tuple[str, bytes]]


def connect(options: Options) -> int:
    return asked("client", "connect", options)


def failure_of(connection: int) -> Optional[Failure]:
    return asked("client", "failure_of", connection)


def response_of(connection: int) -> Optional[Response]:
    return asked("client", "response_of", connection)
