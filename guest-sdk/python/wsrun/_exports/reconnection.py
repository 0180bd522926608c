from __future__ import annotations

from wit_world.imports import types

from .._connection import Connection
from .._translation import close_info
from . import instance


class Reconnection:
    def lost(self, connection: int, info: types.CloseInfo, attempt: int, after_ms: int) -> None:
        instance().lost(Connection(connection), close_info(info), attempt, after_ms / 1000)

    def restored(self, connection: int) -> None:
        instance().restored(Connection(connection))
