"""The class that a handler derives from."""

from __future__ import annotations

from typing import Optional, Union

from ._connection import Connection, Timer
from ._values import Accept, Chunk, CloseInfo, HttpRequest, HttpResponse, Message, Refuse, Request


class Handler:
    """An application. Derive from it once, and define the methods that you need.

    Events of one connection come in order and one at a time. An exception that leaves a method ends the instance: nothing that the method
    asked for is done, the connection closes with 1011, the traceback is in the log, and a new instance takes over the other connections.

    ``opened``, ``received`` and ``closed`` are always called. Any other method is called only if your class defines it: the component has
    the exports of the methods that you wrote, and no others. What they do here is never called.
    """

    def opened(self, connection: Connection) -> None:
        """A connection is open: messages may be sent to it."""

    def received(self, connection: Connection, message: Message) -> None:
        """The peer sent a message: ``str`` for text, ``bytes`` for binary. At most 1 MiB by default."""

    def closed(self, connection: Connection, info: CloseInfo) -> None:
        """The connection is gone. It has left its topics, and its session data is readable for the last time."""

    def handshake(self, request: Request) -> Union[Accept, Refuse]:
        """Accepts or refuses an opening handshake, before there is a connection. An exception answers 500."""
        raise NotImplementedError

    def writable(self, connection: Connection) -> None:
        """The queue of the connection is below a quarter of its limit: called once for each :meth:`Connection.want_writable`."""
        raise NotImplementedError

    def received_chunk(self, connection: Connection, chunk: Chunk) -> None:
        """The peer sent a part of a message: in place of :meth:`received`, for messages larger than memory."""
        raise NotImplementedError

    def wanted(self, connection: Connection, message: Message) -> bool:
        """Looks at each broadcast before it goes to a connection; ``False`` leaves the connection out."""
        raise NotImplementedError

    def accepts(self, peer: str, local: str) -> bool:
        """Decides by address, before anything is read; ``False`` ends the transport without a word."""
        raise NotImplementedError

    def http(self, request: HttpRequest) -> HttpResponse:
        """Answers a plain HTTP request. An exception answers 500."""
        raise NotImplementedError

    def lost(self, connection: Connection, info: CloseInfo, attempt: int, after: float) -> None:
        """An outbound connection ended or could not be made, and the host tries again in ``after`` seconds; ``attempt`` counts from 1."""
        raise NotImplementedError

    def restored(self, connection: Connection) -> None:
        """A lost outbound connection is open again."""
        raise NotImplementedError

    def pong(self, connection: Connection, payload: bytes) -> None:
        """The peer sent a pong, asked for or not."""
        raise NotImplementedError

    def timer(self, timer: Timer, tag: int, connection: Optional[Connection]) -> None:
        """A timer fired. It is spent: set it again for a period."""
        raise NotImplementedError

    def started(self) -> None:
        """The instance was made: at start, after an error, for a new version, after sleep. Nothing else is called before it."""
        raise NotImplementedError

    def resumed(self, connection: Connection) -> None:
        """A connection that was opened with an earlier instance is this one's."""
        raise NotImplementedError

    def save(self) -> bytes:
        """The state that the next version is to have, at most 16 MiB by default. Empty: there is none."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Takes the state that the version before saved. An exception keeps the old version, and its text is what the operator reads."""
        raise NotImplementedError

    def draining(self, deadline: float) -> None:
        """The host is going to close every connection, and what is open in ``deadline`` seconds is cut."""
        raise NotImplementedError
