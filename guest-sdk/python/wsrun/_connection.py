"""What a handler does with its connections."""

from __future__ import annotations

from typing import Optional

from ._errors import NotConnected
from ._raw import client, connections, timers, topics
from ._translation import Err, failure_of, raw_message, raw_policy, request_of_raw, translated, whole_millis
from ._values import CloseCode, Message, Request, Response, SlowPolicy


class Connection:
    """A connection, named by the host's number for it.

    Cheap to make and to keep, equal to any other of the same number, and usable as a key. Nothing here blocks: what a callback asks for
    is done when it returns, and nothing of it if the callback raises.
    """

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:
        self.id = id
        """The host's number: unique while the host runs."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Connection({self.id})"

    def send(self, message: Message) -> None:
        """Sends a whole message: text if it is a ``str``, else binary.

        Raises :class:`Closed`, :class:`QueueFull` or :class:`TooLarge`.
        """
        try:
            connections.send(self.id, raw_message(message))
        except Err as error:
            raise translated(error) from None

    def send_chunk(self, data: Message, *, final: bool) -> None:
        """Sends one message in parts, each a frame: the first call begins it, ``final`` ends it. ``str`` parts make a text, ``bytes`` parts
        a binary message. At most 4 GiB in all by default.

        Raises :class:`Closed`, :class:`QueueFull`, :class:`TooLarge` or :class:`WrongKind`.
        """
        text = isinstance(data, str)
        self._send_part(text, data.encode() if isinstance(data, str) else data, final)

    def send_text_bytes(self, data: bytes, *, final: bool) -> None:
        """As :meth:`send_chunk`, for parts of a text that may end inside a character. Raises also :class:`InvalidText`."""
        self._send_part(True, data, final)

    def _send_part(self, text: bool, data: bytes, final: bool) -> None:
        try:
            connections.send_chunk(self.id, text, bytes(data), final)
        except Err as error:
            raise translated(error) from None

    def ping(self, payload: bytes = b"") -> None:
        """Sends a ping with at most 125 bytes of payload. Raises as :meth:`send`."""
        try:
            connections.ping(self.id, payload)
        except Err as error:
            raise translated(error) from None

    def pong(self, payload: bytes = b"") -> None:
        """Sends a pong that answers no ping: the host answers pings itself. Raises as :meth:`send`."""
        try:
            connections.pong(self.id, payload)
        except Err as error:
            raise translated(error) from None

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Starts the closing handshake after everything that is queued.

        ``code`` is 1000-1003, 1007-1014 or 3000-4999, or 1005 for a close frame without a code; any other ends the instance. ``reason`` is
        cut to 123 bytes of UTF-8.
        """
        connections.close(self.id, code, reason)

    def abort(self) -> None:
        """Ends the transport at once: no close frame, and what is queued is lost."""
        connections.abort(self.id)

    @property
    def buffered(self) -> int:
        """Bytes queued and not yet taken by the connection's socket; 0 when it is gone."""
        return connections.buffered(self.id)

    def want_writable(self) -> None:
        """Asks for one :meth:`Handler.writable` when the queue is below a quarter of its limit, which may be at once."""
        connections.want_writable(self.id)

    def set_slow_policy(self, policy: Optional[SlowPolicy]) -> None:
        """What becomes of published messages that this connection has no room for. It goes before the policy of a topic; ``None`` takes it
        back. A close code that may not be sent ends the instance."""
        connections.set_slow_policy(self.id, raw_policy(policy))

    @property
    def dropped(self) -> int:
        """Published messages that its policy has left out for this connection so far."""
        return connections.dropped(self.id)

    def receive_flow(self, enabled: bool) -> None:
        """Stops (``False``) or resumes (``True``) reading from the peer."""
        connections.receive_flow(self.id, enabled)

    @property
    def request(self) -> Optional[Request]:
        """The opening request; ``None`` when the connection is gone."""
        raw = connections.request_of(self.id)
        return None if raw is None else request_of_raw(raw)

    @property
    def protocol(self) -> Optional[str]:
        """The subprotocol agreed on; ``None`` when there is none."""
        return connections.protocol(self.id)

    @property
    def session(self) -> bytes:
        """Bytes that the host keeps for this connection: they survive an error of the handler. Empty at first, at most 64 KiB by default.

        Setting them raises :class:`Closed` or :class:`TooLarge`.
        """
        return connections.session(self.id)

    @session.setter
    def session(self, data: bytes) -> None:
        try:
            connections.set_session(self.id, bytes(data))
        except Err as error:
            raise translated(error) from None

    def subscribe(self, topic: str) -> bool:
        """Subscribes to a topic, a name of 1 to 256 bytes; ``False`` when it was subscribed already.

        Raises :class:`Closed`, :class:`InvalidTopic` or :class:`LimitReached`.
        """
        try:
            return topics.subscribe(self.id, topic)
        except Err as error:
            raise translated(error) from None

    def unsubscribe(self, topic: str) -> bool:
        """Ends a subscription; ``False`` when there was none."""
        return topics.unsubscribe(self.id, topic)

    def set_timer(self, seconds: float, tag: int = 0) -> Timer:
        """Calls :meth:`Handler.timer` with ``tag`` once, no earlier than ``seconds`` from now. Cancelled when the connection closes.

        Raises :class:`Closed`, :class:`LimitReached` or :class:`NoTimerMethod`.
        """
        return set_timer(seconds, tag, self)

    @property
    def failure(self) -> Optional[NotConnected]:
        """Why the last opening handshake of a connection in the client role failed; ``None`` when it succeeded or is under way."""
        raw = client.failure_of(self.id)
        return None if raw is None else failure_of(raw)

    @property
    def response(self) -> Optional[Response]:
        """How the server answered the last opening handshake of a connection in the client role; ``None`` when it did not."""
        raw = client.response_of(self.id)
        return None if raw is None else Response(raw.status, raw.headers)


class Timer:
    """A timer that was set, named by the host's number for it."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:
        self.id = id
        """The host's number: unique while the host runs, never 0."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timer) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Timer({self.id})"

    def cancel(self) -> bool:
        """Cancels the timer; ``False`` when it has fired, was cancelled or never was."""
        return timers.cancel(self.id)


def set_timer(seconds: float, tag: int = 0, connection: Optional[Connection] = None) -> Timer:
    """Calls :meth:`Handler.timer` with ``tag`` once, no earlier than ``seconds`` from now, at most 49 days. Set it again for a period.

    Timers are the host's and survive an error of the handler. ``tag`` is a number from 0 below 2**64. A timer of a ``connection`` is
    cancelled when that closes.

    Raises :class:`LimitReached`, :class:`NoTimerMethod`, or for a ``connection`` :class:`Closed`.
    """
    try:
        return Timer(timers.set(whole_millis(seconds), tag, None if connection is None else connection.id))
    except Err as error:
        raise translated(error) from None
