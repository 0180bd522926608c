from __future__ import annotations

from wit_world.imports import types

from .._connection import Connection
from .._translation import close_info
from . import instance


class Handler:
    def opened(self, connection: int) -> None:
        instance().opened(Connection(connection))

    def received(self, connection: int, message: types.Message) -> None:
        instance().received(Connection(connection), message.value)

    def closed(self, connection: int, info: types.CloseInfo) -> None:
        instance().closed(Connection(connection), close_info(info))
