from __future__ import annotations

from .._connection import Connection
from . import instance


class Writable:
    def writable(self, connection: int) -> None:
        instance().writable(Connection(connection))
