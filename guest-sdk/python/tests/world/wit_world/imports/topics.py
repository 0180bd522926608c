# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


@dataclass
class SubscribeError_Closed:
    pass


@dataclass
class SubscribeError_InvalidName:
    pass


@dataclass
class SubscribeError_Limit:
    pass


SubscribeError = Union[SubscribeError_Closed, SubscribeError_InvalidName, SubscribeError_Limit]


def subscribe(connection: int, topic: str) -> bool:
    return asked("topics", "subscribe", connection, topic)


def unsubscribe(connection: int, topic: str) -> bool:
    return asked("topics", "unsubscribe", connection, topic)


def publish(topic: str, message: types.Message, except_: Optional[int]) -> int:
    return asked("topics", "publish", topic, message, except_)


def broadcast(protocol: Optional[str], message: types.Message) -> int:
    return asked("topics", "broadcast", protocol, message)


def set_slow_policy(topic: str, policy: Optional[types.SlowPolicy]) -> None:
    return asked("topics", "set_slow_policy", topic, policy)


def dropped(topic: str) -> int:
    return asked("topics", "dropped", topic)
