from __future__ import annotations

from wit_world.imports import types

from .._connection import Connection
from . import instance


class BroadcastFilter:
    def wanted(self, connection: int, message: types.Message) -> bool:
        return bool(instance().wanted(Connection(connection), message.value))
