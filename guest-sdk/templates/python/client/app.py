"""Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it."""

from __future__ import annotations

from contextlib import suppress
from typing import Optional

import wsrun

LISTENERS = "listeners"
"""The topic of everybody who is connected here."""

SERVER = "server"
"""The topic of the connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made
reaches the server by this name before it is told of the connection."""


class Relay(wsrun.Handler):
    upstream: Optional[wsrun.Connection] = None
    """The connection to the server, as soon as it is known; the host makes it anew when it is lost."""

    def started(self) -> None:
        url = wsrun.config("url")
        if url is None:
            print("say where to connect to: --config url=ws://...")
            return
        # Who speaks is told when there is no room for it.
        wsrun.set_slow_policy(SERVER, wsrun.Slow.WAIT)
        try:
            self.upstream = wsrun.connect(url, reconnect=wsrun.Reconnect())
        except wsrun.ConnectError as error:
            print(f"not connected: {error}")

    def resumed(self, connection: wsrun.Connection) -> None:
        """This instance has taken over from another, whose connection to the server goes on: one is enough."""
        if not is_upstream(connection):
            return
        if self.upstream is not None:
            self.upstream.close()
        self.upstream = connection

    def opened(self, connection: wsrun.Connection) -> None:
        with suppress(wsrun.Error):
            connection.subscribe(SERVER if is_upstream(connection) else LISTENERS)

    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        if is_upstream(connection):
            with suppress(wsrun.Error):
                wsrun.publish(LISTENERS, message)
            return
        if not forward(message):
            with suppress(wsrun.Error):
                connection.send("the server is away: try again later")

    def closed(self, connection: wsrun.Connection, info: wsrun.CloseInfo) -> None:
        if connection.failure is not None:
            print(f"not connected: {connection.failure}")
        if connection == self.upstream:
            self.upstream = None

    def lost(self, connection: wsrun.Connection, info: wsrun.CloseInfo, attempt: int, after: float) -> None:
        connection.unsubscribe(SERVER)
        print(f"lost the server ({info.code}): attempt {attempt} in {after} s")

    def restored(self, connection: wsrun.Connection) -> None:
        with suppress(wsrun.Error):
            connection.subscribe(SERVER)


def forward(message: wsrun.Message) -> bool:
    """Whether the server is there, and has room for the message."""
    try:
        return wsrun.publish(SERVER, message) > 0
    except wsrun.Error:
        return False


def is_upstream(connection: wsrun.Connection) -> bool:
    request = connection.request
    return request is not None and request.role is wsrun.Role.CLIENT
