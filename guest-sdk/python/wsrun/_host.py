"""Topics, outbound connections, automatic replies, and what a handler may know of its host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from wit_world.imports.client import Options, Verify
from wit_world.imports.client import Reconnect as RawReconnect

from ._connection import Connection
from ._raw import client, connections, host_info, topics
from ._translation import Err, raw_message, raw_policy, translated, whole_millis
from ._values import Headers, Message, SlowPolicy, header_pairs


def publish(topic: str, message: Message, *, but: Optional[Connection] = None) -> int:
    """Sends a message to every subscriber of a topic but one, on all workers. The number that it will be sent to by this worker.

    Raises :class:`Waiting` or :class:`TooLarge`.
    """
    try:
        return topics.publish(topic, raw_message(message), None if but is None else but.id)
    except Err as error:
        raise translated(error) from None


def broadcast(message: Message, *, protocol: Optional[str] = None) -> int:
    """Sends a message to every open connection of this handler, on all workers, or to those that agreed on a subprotocol. The number that
    it will be sent to by this worker.

    Raises :class:`Waiting` or :class:`TooLarge`.
    """
    try:
        return topics.broadcast(protocol, raw_message(message))
    except Err as error:
        raise translated(error) from None


def set_slow_policy(topic: str, policy: Optional[SlowPolicy]) -> None:
    """What becomes of messages of this topic that a subscriber has no room for; ``None`` takes it back. Without one such a subscriber is
    closed with 1008. At most 1,000 topics have one, and one more ends the instance."""
    topics.set_slow_policy(topic, raw_policy(policy))


def dropped(topic: str) -> int:
    """Messages of this topic that policies have left out so far, on this worker, over all subscribers."""
    return topics.dropped(topic)


def want_writable_all(protocol: Optional[str] = None) -> None:
    """:meth:`Connection.want_writable` for every open connection of this handler on this worker."""
    connections.want_writable_all(protocol)


def auto_reply(received: Message, reply: Optional[Message]) -> None:
    """Has the host answer this message with that one, on every connection, without calling the handler: for heartbeats of clients that
    cannot send pings. ``None`` takes it back. At most 16, with 2 KiB for each message and reply.

    Raises :class:`TooLarge` or :class:`LimitReached`.
    """
    try:
        connections.set_auto_reply(raw_message(received), None if reply is None else raw_message(reply))
    except Err as error:
        raise translated(error) from None


@dataclass(frozen=True)
class Reconnect:
    """When the host connects again by itself, under the same connection."""

    attempts: int = 0
    """Attempts in a row that may fail; 0 for no limit."""
    delay: float = 0.5
    """The wait before the first attempt, in seconds. It doubles with each attempt that fails, and half of it is random."""
    delay_max: float = 30.0
    """The longest wait, in seconds."""


def connect(
    url: str,
    *,
    protocols: Iterable[str] = (),
    host: Optional[str] = None,
    origin: Optional[str] = None,
    headers: Headers = (),
    allow_self_signed: bool = False,
    identity: Optional[str] = None,
    version: Optional[int] = None,
    compression: bool = True,
    timeout: Optional[float] = None,
    reconnect: Optional[Reconnect] = None,
    session: bytes = b"",
) -> Connection:
    """Connects to ``ws://`` or ``wss://`` once the callback has returned, where the operator allows it (``--allow-connect``).

    Session data and timers can be used at once; :meth:`Handler.opened` follows, or :meth:`Handler.closed` with 1006 and no ``opened``
    before it, for which :attr:`Connection.failure` tells the cause.

    ``host`` and ``origin`` are headers; ``identity`` names a client certificate that the operator gave; ``timeout`` is in seconds, for
    name and transport, for TLS, and for the opening handshake, each.

    Raises :class:`Denied`, :class:`InvalidOption`, :class:`UnsupportedVersion` or :class:`TooManyConnections`.
    """
    options = Options(
        url=url,
        protocols=list(protocols),
        host=host,
        origin=origin,
        headers=header_pairs(headers),
        verify=Verify.ALLOW_SELF_SIGNED if allow_self_signed else Verify.FULL,
        identity=identity,
        version=version,
        compression=compression,
        timeout_ms=None if timeout is None else whole_millis(timeout),
        reconnect=None
        if reconnect is None
        else RawReconnect(reconnect.attempts, whole_millis(reconnect.delay), whole_millis(reconnect.delay_max)),
        session=session,
    )
    try:
        return Connection(client.connect(options))
    except Err as error:
        raise translated(error) from None


def hostname() -> str:
    """The name of this machine, as its operating system tells it."""
    return host_info.hostname()


def handler_name() -> str:
    """The name of this handler: its ``--protocol`` name, else its file name without the extension."""
    return host_info.handler_name()


def config(key: str) -> Optional[str]:
    """A value given with ``--config KEY=VALUE``; ``None`` when there is none."""
    return host_info.config(key)


def connection_count() -> int:
    """Connections of this handler that are open on this worker."""
    return host_info.connection_count()
