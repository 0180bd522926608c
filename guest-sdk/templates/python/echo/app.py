"""Sends back what it receives."""

import wsrun


class Echo(wsrun.Handler):
    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        connection.send(message)
