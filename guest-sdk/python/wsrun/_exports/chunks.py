from __future__ import annotations

from wit_world.exports import chunks

from .._connection import Connection
from .._values import Chunk
from . import instance


class Chunks:
    def received_chunk(self, connection: int, chunk: chunks.Chunk) -> None:
        part = Chunk(chunk.text, chunk.data, chunk.first, chunk.final, chunk.remaining)
        instance().received_chunk(Connection(connection), part)
