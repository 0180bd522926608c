"""Between the values of this package and those that componentize-py generates from the contract."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

from componentize_py_types import Err as Err
from wit_world.imports import client, connections, timers, topics, types

from . import _errors as errors
from ._values import ClosedBy, CloseInfo, Message, Request, Role, Slow, SlowPolicy

_TEXT = types.Message_Text
_BINARY = types.Message_Binary
_ROLES = {types.Role.SERVER: Role.SERVER, types.Role.CLIENT: Role.CLIENT}
_CLOSED_BY = {
    types.ClosedBy.PEER: ClosedBy.PEER,
    types.ClosedBy.HANDLER: ClosedBy.HANDLER,
    types.ClosedBy.HOST: ClosedBy.HOST,
}
_SLOW: dict[Slow, Callable[[], types.SlowPolicy]] = {
    Slow.WAIT: types.SlowPolicy_Wait,
    Slow.DROP_OLDEST: types.SlowPolicy_DropOldest,
    Slow.DROP_NEWEST: types.SlowPolicy_DropNewest,
    Slow.LATEST_ONLY: types.SlowPolicy_LatestOnly,
}
_PHASES = {
    client.Phase.CONNECT: "connecting",
    client.Phase.TLS: "TLS handshake",
    client.Phase.HANDSHAKE: "opening handshake",
}
_ERRORS: dict[type, Callable[[Any], errors.Error]] = {
    types.SendError_Closed: lambda _: errors.Closed(),
    types.SendError_QueueFull: lambda raw: errors.QueueFull(raw.value),
    types.SendError_TooLarge: lambda raw: errors.TooLarge(raw.value),
    types.PublishError_Waiting: lambda raw: errors.Waiting(raw.value),
    types.PublishError_TooLarge: lambda raw: errors.TooLarge(raw.value),
    connections.ChunkError_Closed: lambda _: errors.Closed(),
    connections.ChunkError_QueueFull: lambda raw: errors.QueueFull(raw.value),
    connections.ChunkError_TooLarge: lambda raw: errors.TooLarge(raw.value),
    connections.ChunkError_InvalidText: lambda _: errors.InvalidText(),
    connections.ChunkError_WrongKind: lambda _: errors.WrongKind(),
    connections.AutoReplyError_TooLarge: lambda raw: errors.TooLarge(raw.value),
    connections.AutoReplyError_Limit: lambda _: errors.LimitReached("automatic replies"),
    topics.SubscribeError_Closed: lambda _: errors.Closed(),
    topics.SubscribeError_InvalidName: lambda _: errors.InvalidTopic(),
    topics.SubscribeError_Limit: lambda _: errors.LimitReached("subscriptions or topics"),
    timers.TimerError_Closed: lambda _: errors.Closed(),
    timers.TimerError_Limit: lambda _: errors.LimitReached("timers"),
    timers.TimerError_NotExported: lambda _: errors.NoTimerMethod(),
    client.ConnectError_Denied: lambda raw: errors.Denied(raw.value),
    client.ConnectError_Invalid: lambda raw: errors.InvalidOption(raw.value),
    client.ConnectError_UnsupportedVersion: lambda raw: errors.UnsupportedVersion(list(raw.value)),
    client.ConnectError_Limit: lambda _: errors.TooManyConnections(),
}
_FAILURES: dict[type, Callable[[Any], errors.NotConnected]] = {
    client.Failure_Denied: lambda raw: errors.NotConnected("denied", raw.value),
    client.Failure_Unreachable: lambda raw: errors.NotConnected("unreachable", raw.value),
    client.Failure_Tls: lambda raw: errors.NotConnected("tls", raw.value),
    client.Failure_TimedOut: lambda raw: errors.NotConnected("timed-out", f"the {_PHASES[raw.value]} took too long"),
    client.Failure_Ended: lambda _: errors.NotConnected("ended", "the server ended the transport before it had answered"),
    client.Failure_Refused: lambda raw: errors.NotConnected(
        "refused", f"the server answered with {raw.value}", status=raw.value
    ),
    client.Failure_Redirected: lambda raw: errors.NotConnected(
        "redirected", f"the server redirects to {raw.value or 'nowhere'}", location=raw.value
    ),
    client.Failure_InvalidResponse: lambda raw: errors.NotConnected("invalid-response", raw.value),
    client.Failure_NotUpgraded: lambda _: errors.NotConnected("not-upgraded", "the answer does not upgrade to WebSocket"),
    client.Failure_AcceptMissing: lambda _: errors.NotConnected(
        "accept-missing", "the sec-websocket-accept header is missing or repeated"
    ),
    client.Failure_AcceptWrong: lambda _: errors.NotConnected(
        "accept-wrong", "the sec-websocket-accept header does not answer the key"
    ),
    client.Failure_ProtocolNotOffered: lambda _: errors.NotConnected(
        "protocol-not-offered", "the server chose a subprotocol that was not offered"
    ),
    client.Failure_ExtensionNotOffered: lambda raw: errors.NotConnected("extension-not-offered", raw.value),
}


def raw_message(message: Message) -> types.Message:
    """A message as the host takes it."""
    if isinstance(message, str):
        return _TEXT(message)
    if isinstance(message, (bytes, bytearray, memoryview)):
        return _BINARY(bytes(message))
    raise TypeError(f"a message is str or bytes, and not {type(message).__name__}")


def raw_policy(policy: Optional[SlowPolicy]) -> Optional[types.SlowPolicy]:
    """A policy as the host takes it."""
    if policy is None:
        return None
    if isinstance(policy, Slow):
        return _SLOW[policy]()
    return types.SlowPolicy_Disconnect(policy)


def translated(error: Err[Any]) -> errors.Error:
    """The exception for what an import failed with."""
    return _ERRORS[type(error.value)](error.value)


def failure_of(raw: client.Failure) -> errors.NotConnected:
    """The failure of an outbound connection."""
    return _FAILURES[type(raw)](raw)


def request_fields(raw: types.Request) -> dict[str, Any]:
    """The fields of a request by their names."""
    return {**vars(raw), "role": _ROLES[raw.role]}


def request_of_raw(raw: types.Request) -> Request:
    """A request of the host."""
    return Request(**request_fields(raw))


def close_info(raw: types.CloseInfo) -> CloseInfo:
    """The end of a connection."""
    return CloseInfo(raw.code, raw.reason, _CLOSED_BY[raw.by], raw.clean)


def whole_millis(seconds: float) -> int:
    """Rounded up: a timer fires no earlier than asked for."""
    return min(max(math.ceil(seconds * 1000), 0), 0xFFFF_FFFF)
