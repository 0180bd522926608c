"""What can go wrong."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """Something that the host did not do. Nothing was changed."""


class Closed(Error):
    """The connection is closing, closed or not this handler's."""

    def __init__(self) -> None:
        super().__init__("the connection is closed")


class QueueFull(Error):
    """The connection's queue, or that of all connections of the handler, would exceed its limit, or the handler has sent as fast as it
    may. Call :meth:`Connection.want_writable` and try again in :meth:`Handler.writable`, or close."""

    def __init__(self, queued: int) -> None:
        super().__init__(f"the queue is full: {queued} bytes wait for the connection")
        self.queued = queued
        """The bytes that are queued for this connection now."""


class TooLarge(Error):
    """Larger than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than the limit of {limit} bytes")
        self.limit = limit
        """The limit in bytes."""


class LimitReached(Error):
    """There are as many as there may be: subscriptions, topics, timers, outbound connections, automatic replies."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there are as many {what} as there may be")


class InvalidText(Error):
    """The parts so far are not the beginning of valid UTF-8, or the last part ends inside a character."""

    def __init__(self) -> None:
        super().__init__("the parts are not UTF-8")


class WrongKind(Error):
    """The message was begun as the other kind, text or binary."""

    def __init__(self) -> None:
        super().__init__("the message was begun as the other kind")


class InvalidTopic(Error):
    """The name of the topic is empty or longer than 256 bytes."""

    def __init__(self) -> None:
        super().__init__("the name of a topic is 1 to 256 bytes")


class Waiting(Error):
    """Nobody got the message, because subscribers with the policy ``Slow.WAIT`` have no room."""

    def __init__(self, subscribers: int) -> None:
        super().__init__(f"not published: {subscribers} subscribers have no room for it")
        self.subscribers = subscribers
        """How many they are; 0 when the handler has sent as fast as it may."""


class NoTimerMethod(Error):
    """The handler has no method ``timer``, so nobody would be told."""

    def __init__(self) -> None:
        super().__init__("the handler has no method timer")


class ConnectError(Error):
    """No attempt to connect is made."""


class Denied(ConnectError):
    """The operator does not allow it; the text says what would."""


class InvalidOption(ConnectError):
    """An option cannot be used; the text says which and why."""


class UnsupportedVersion(ConnectError):
    """There is no such version of the protocol."""

    def __init__(self, versions: list[int]) -> None:
        super().__init__(f"the versions are {', '.join(map(str, versions))}")
        self.versions = versions
        """Those that there are."""


class TooManyConnections(ConnectError, LimitReached):
    """The handler has as many outbound connections as it may."""

    def __init__(self) -> None:
        LimitReached.__init__(self, "outbound connections")


class NotConnected(Error):
    """Why the opening handshake of a connection in the client role failed: told by :attr:`Connection.failure`, never raised.

    ``kind`` is one of ``denied``, ``unreachable``, ``tls``, ``timed-out``, ``ended``, ``refused``, ``redirected``, ``invalid-response``,
    ``not-upgraded``, ``accept-missing``, ``accept-wrong``, ``protocol-not-offered`` and ``extension-not-offered``.
    """

    def __init__(self, kind: str, text: str, status: Optional[int] = None, location: Optional[str] = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status
        """The status of a server that refused."""
        self.location = location
        """Where a redirection leads, if it told so."""
