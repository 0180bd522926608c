"""Takes messages in parts and tells what came. Played by parts.toml."""

import wsrun


class Base(wsrun.Handler):
    def received_chunk(self, connection: wsrun.Connection, chunk: wsrun.Chunk) -> None:
        connection.send(f"{chunk.text} {chunk.data!r} {chunk.first} {chunk.final} {chunk.remaining}")
        if chunk.final and chunk.text:
            connection.send_chunk(b"part ", final=False)
            connection.send_chunk(b"by part", final=True)


class Parts(Base):
    pass
