# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


@dataclass
class TimerError_Closed:
    pass


@dataclass
class TimerError_Limit:
    pass


@dataclass
class TimerError_NotExported:
    pass


TimerError = Union[TimerError_Closed, TimerError_Limit, TimerError_NotExported]


def set(after_ms: int, tag: int, connection: Optional[int]) -> int:
    return asked("timers", "set", after_ms, tag, connection)


def cancel(timer: int) -> bool:
    return asked("timers", "cancel", timer)
