from __future__ import annotations

from typing import Optional

from .._connection import Connection, Timer
from . import instance


class TimerHandler:
    def fired(self, timer: int, tag: int, connection: Optional[int]) -> None:
        instance().timer(Timer(timer), tag, None if connection is None else Connection(connection))
