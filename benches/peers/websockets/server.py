"""Python `websockets`, its asyncio server, as its documentation has it."""

import asyncio
import os
import ssl

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

MODE = os.environ.get("MODE", "echo")
connections = set()


async def handle(connection):
    connections.add(connection)
    try:
        async for message in connection:
            if MODE == "fan":
                broadcast(connections, message)
            else:
                await connection.send(message)
    except ConnectionClosed:
        pass
    finally:
        connections.discard(connection)


async def main():
    context = None
    if "TLS_CERT" in os.environ:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    async with serve(
        handle,
        "127.0.0.1",
        int(os.environ["PORT"]),
        ssl=context,
        compression="deflate" if os.environ.get("DEFLATE") == "1" else None,
        ping_interval=None,
        max_size=16 << 20,
        backlog=4096,
    ) as server:
        await server.serve_forever()


asyncio.run(main())
