"""An echo server with Python `websockets`, for handlers that connect out. Prints `listening on URL` and runs until it is ended.

The text `close CODE REASON` closes.
"""

import asyncio

from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            await connection.close(int(code), reason)
        else:
            await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"], select_subprotocol=choose, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


def choose(connection, offered):
    return "chat" if "chat" in offered else None


asyncio.run(main())
