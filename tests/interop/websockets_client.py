"""A round of everything with PyPI `websockets`, an implementation that is not ours.

usage: websockets_client.py URL [CA-FILE]

The server runs the probe, as the default handler and as the subprotocol `ask`.
"""

import asyncio
import ssl
import sys

import websockets
from websockets.asyncio.client import connect

URL = sys.argv[1]
CONTEXT = ssl.create_default_context(cafile=sys.argv[2]) if len(sys.argv) > 2 else None
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]


def open_connection(**options):
    if CONTEXT is not None:
        options.update(ssl=CONTEXT, server_hostname="localhost")
    return connect(URL, max_size=None, **options)


async def ask(connection, text):
    await connection.send(text)
    return await connection.recv()


async def messages(**options):
    async with open_connection(**options) as connection:
        assert await ask(connection, "echo grüß dich, 世界") == "grüß dich, 世界"
        for size in SIZES:
            text = "ä" * (size // 2)
            assert await ask(connection, "echo " + text) == text, size
            binary = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
            assert await ask(connection, binary) == binary, size
        # A list is sent as a message of as many fragments.
        assert await ask(connection, ["echo ", "one", "", " mess", "age"]) == "one message"
        assert await ask(connection, [b"\x00", b"", b"\xff" * 70_000]) == b"\x00" + b"\xff" * 70_000
        names = [extension.name for extension in connection.protocol.extensions]
        expected = [] if options.get("compression", "deflate") is None else ["permessage-deflate"]
        assert names == expected, names


async def many_messages_at_once():
    async with open_connection() as connection:
        for number in range(2_000):
            await connection.send(f"echo {number}")
        for number in range(2_000):
            assert await connection.recv() == str(number)


async def pings():
    async with open_connection() as connection:
        await (await connection.ping(b"are you there"))
        replies = {await ask(connection, "ping and you"), await connection.recv()}
        assert replies == {"ok", "pong and you"}, replies


async def closes():
    # The code comes back (RFC 6455, 5.5.1), the reason is the sender's own.
    for code, reason in [(1000, ""), (1000, "done"), (3001, "mine"), (4999, "")]:
        async with open_connection() as connection:
            await connection.close(code, reason)
            assert connection.close_code == code, connection.close_code
    for command, code, reason in [
        ("close 1000 done", 1000, "done"),
        ("close 4321 grüße", 4321, "grüße"),
        ("close 1005 ", 1005, ""),
        ("trap", 1011, None),
        ("abort", 1006, None),
    ]:
        async with open_connection() as connection:
            await connection.send(command)
            try:
                while True:
                    await connection.recv()
            except websockets.ConnectionClosed:
                pass
            assert connection.close_code == code, (command, connection.close_code)
            assert reason is None or connection.close_reason == reason, (command, connection.close_reason)


async def subprotocols():
    async with open_connection(subprotocols=["other", "ask"]) as connection:
        assert connection.subprotocol == "ask"
        assert await ask(connection, "protocol") == "ask"
    async with open_connection(subprotocols=["other"]) as connection:
        assert connection.subprotocol is None


async def refusals():
    try:
        async with open_connection(origin="http://elsewhere.example"):
            raise AssertionError("a page of another origin was let in")
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 403, error


async def main():
    await messages()
    await messages(compression=None)
    await many_messages_at_once()
    await pings()
    await closes()
    await subprotocols()
    await refusals()
    print(f"websockets {websockets.__version__}: passed")


asyncio.run(main())
