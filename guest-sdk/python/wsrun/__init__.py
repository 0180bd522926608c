"""Handlers for wsrun in Python.

>>> import wsrun
>>>
>>> class Echo(wsrun.Handler):
...     def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
...         connection.send(message)

``python -m wsrun_build app.py -o dist/echo.wasm`` makes a component of it.
"""

from ._connection import Connection, Timer, set_timer
from ._errors import (
    Closed,
    ConnectError,
    Denied,
    Error,
    InvalidOption,
    InvalidText,
    InvalidTopic,
    LimitReached,
    NotConnected,
    NoTimerMethod,
    QueueFull,
    TooLarge,
    TooManyConnections,
    UnsupportedVersion,
    Waiting,
    WrongKind,
)
from ._handler import Handler
from ._host import (
    Reconnect,
    auto_reply,
    broadcast,
    config,
    connect,
    connection_count,
    dropped,
    handler_name,
    hostname,
    publish,
    set_slow_policy,
    want_writable_all,
)
from ._values import (
    Accept,
    Chunk,
    CloseCode,
    ClosedBy,
    CloseInfo,
    Headers,
    HttpRequest,
    HttpResponse,
    Message,
    Refuse,
    Request,
    Response,
    Role,
    Slow,
    SlowPolicy,
)

__all__ = [
    "Accept",
    "Chunk",
    "CloseCode",
    "CloseInfo",
    "Closed",
    "ClosedBy",
    "ConnectError",
    "Connection",
    "Denied",
    "Error",
    "Handler",
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "InvalidOption",
    "InvalidText",
    "InvalidTopic",
    "LimitReached",
    "Message",
    "NoTimerMethod",
    "NotConnected",
    "QueueFull",
    "Reconnect",
    "Refuse",
    "Request",
    "Response",
    "Role",
    "Slow",
    "SlowPolicy",
    "Timer",
    "TooLarge",
    "TooManyConnections",
    "UnsupportedVersion",
    "Waiting",
    "WrongKind",
    "auto_reply",
    "broadcast",
    "config",
    "connect",
    "connection_count",
    "dropped",
    "handler_name",
    "hostname",
    "publish",
    "set_slow_policy",
    "set_timer",
    "want_writable_all",
]
