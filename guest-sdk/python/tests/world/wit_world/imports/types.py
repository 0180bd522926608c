# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from fake_host import asked


@dataclass
class Message_Text:
    value: str


@dataclass
class Message_Binary:
    value: bytes


Message = Union[Message_Text, Message_Binary]


@dataclass
class SendError_Closed:
    pass


@dataclass
class SendError_QueueFull:
    value: int


@dataclass
class SendError_TooLarge:
    value: int


SendError = Union[SendError_Closed, SendError_QueueFull, SendError_TooLarge]


@dataclass
class SlowPolicy_Wait:
    pass


@dataclass
class SlowPolicy_DropOldest:
    pass


@dataclass
class SlowPolicy_DropNewest:
    pass


@dataclass
class SlowPolicy_LatestOnly:
    pass


@dataclass
class SlowPolicy_Disconnect:
    value: int


SlowPolicy = Union[SlowPolicy_Wait, SlowPolicy_DropOldest, SlowPolicy_DropNewest, SlowPolicy_LatestOnly, SlowPolicy_Disconnect]


class Role(Enum):
    SERVER = 0
    CLIENT = 1


@dataclass
class Request:
    role: Role
    path: str
    query: Optional[str]
    headers: list[tuple[str, bytes]]
    offered: list[str]
    peer: str
    local: str
    secure: bool
    host: Optional[str]


@dataclass
class PublishError_Waiting:
    value: int


@dataclass
class PublishError_TooLarge:
    value: int


PublishError = Union[PublishError_Waiting, PublishError_TooLarge]


class ClosedBy(Enum):
    PEER = 0
    HANDLER = 1
    HOST = 2


@dataclass
class CloseInfo:
    code: int
    reason: str
    by: ClosedBy
    clean: bool
