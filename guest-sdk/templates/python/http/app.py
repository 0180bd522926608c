"""A page, an API and the sockets that they speak of, from one handler."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import wsrun

PAGE = (Path(__file__).parent / "page.html").read_text()
"""The page, read when the component is built."""


class Site(wsrun.Handler):
    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        """What one says goes to everybody."""
        try:
            wsrun.broadcast(message)
        except wsrun.Error as error:
            with suppress(wsrun.Error):
                connection.send(str(error))

    def http(self, request: wsrun.HttpRequest) -> wsrun.HttpResponse:
        if request.method in ("GET", "HEAD"):
            if request.path == "/":
                return wsrun.HttpResponse.html(PAGE)
            if request.path == "/api/count":
                count = {"connections": wsrun.connection_count()}
                return wsrun.HttpResponse.json(json.dumps(count, separators=(",", ":")))
        return wsrun.HttpResponse("there is nothing here\n", status=404)
