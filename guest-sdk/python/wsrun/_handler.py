"""The class that a handler derives from."""

from __future__ import annotations

from typing import Optional, Union

from ._connection import Connection, Timer
from ._values import Accept, Chunk, CloseInfo, HttpRequest, HttpResponse, Message, Refuse, Request


class Handler:
    """An application. Derive from it once, and define the methods that you need.

    Events of one connection come in order and one at a time. An exception that leaves a method ends the instance: nothing that the method
    asked for is done, the connection closes with 1011, the traceback is in the log, and a new instance takes over the other connections.

    ``opened``, ``received`` and ``closed`` are always called. Another method is called only if your class defines it: the component has
    the exports that belong to the methods that you wrote, and no others.
    """

    def opened(self, connection: Connection) -> None:
        """A connection is open: messages may be sent to it."""

    def received(self, connection: Connection, message: Message) -> None:
        """The peer sent a message: ``str`` for text, ``bytes`` for binary. At most 1 MiB by default."""

    def closed(self, connection: Connection, info: CloseInfo) -> None:
        """The connection is gone. It has left its topics, and its session data is readable for the last time."""

    def handshake(self, request: Request) -> Union[Accept, Refuse]:
        """Accepts or refuses an opening handshake, before there is a connection. An exception answers 500."""
        return Accept()

    def writable(self, connection: Connection) -> None:
        """The queue of the connection is below a quarter of its limit: called once for each :meth:`Connection.want_writable`."""

    def received_chunk(self, connection: Connection, chunk: Chunk) -> None:
        """The peer sent a part of a message: in place of :meth:`received`, for messages larger than memory."""

    def wanted(self, connection: Connection, message: Message) -> bool:
        """Looks at each broadcast before it goes to a connection; ``False`` leaves the connection out."""
        return True

    def accepts(self, peer: str, local: str) -> bool:
        """Decides by address, before anything is read; ``False`` ends the transport without a word."""
        return True

    def http(self, request: HttpRequest) -> HttpResponse:
        """Answers a plain HTTP request. An exception answers 500."""
        return HttpResponse("there is nothing here\n", status=404)

    def lost(self, connection: Connection, info: CloseInfo, attempt: int, after: float) -> None:
        """An outbound connection ended or could not be made, and the host tries again in ``after`` seconds; ``attempt`` counts from 1."""

    def restored(self, connection: Connection) -> None:
        """A lost outbound connection is open again."""

    def pong(self, connection: Connection, payload: bytes) -> None:
        """The peer sent a pong, asked for or not."""

    def timer(self, timer: Timer, tag: int, connection: Optional[Connection]) -> None:
        """A timer fired. It is spent: set it again for a period."""

    def started(self) -> None:
        """The instance was made: at start, after an error, for a new version, after sleep. Nothing else is called before it."""

    def resumed(self, connection: Connection) -> None:
        """A connection that was opened with an earlier instance is this one's."""

    def save(self) -> bytes:
        """The state that the next version is to have, at most 16 MiB by default. Empty: there is none."""
        return b""

    def restore(self, state: bytes) -> None:
        """Takes the state that the version before saved. An exception keeps the old version, and its text is what the operator reads."""

    def draining(self, deadline: float) -> None:
        """The host is going to close every connection, and what is open in ``deadline`` seconds is cut."""
