from __future__ import annotations

from .._connection import Connection
from . import instance


class Pong:
    def pong(self, connection: int, payload: bytes) -> None:
        instance().pong(Connection(connection), payload)
