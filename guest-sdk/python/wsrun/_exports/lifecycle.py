from __future__ import annotations

import traceback

from .._connection import Connection
from .._translation import Err
from . import instance


class Lifecycle:
    def started(self) -> None:
        instance().started()

    def resumed(self, connection: int) -> None:
        instance().resumed(Connection(connection))

    def save(self) -> bytes:
        return bytes(instance().save())

    def restore(self, state: bytes) -> None:
        try:
            instance().restore(state)
        except Exception as error:
            traceback.print_exc()
            raise Err(f"{type(error).__name__}: {error}") from None

    def draining(self, deadline_ms: int) -> None:
        instance().draining(deadline_ms / 1000)
