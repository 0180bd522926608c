"""Between the values of this package and those that componentize-py generates from the contract."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

from componentize_py_types import Err as Err
from wit_world.imports import client, types

from . import _errors as errors
from . import _raw
from ._values import ClosedBy, CloseInfo, Message, Request, Role, Slow, SlowPolicy

_TEXT = types.Message_Text
_BINARY = types.Message_Binary
_ROLES = _raw.role_cases(server=Role.SERVER, client=Role.CLIENT)
_CLOSED_BY = _raw.closed_by_cases(peer=ClosedBy.PEER, handler=ClosedBy.HANDLER, host=ClosedBy.HOST)
_SLOW_CASES = _raw.slow_policy_cases(
    wait=Slow.WAIT,
    drop_oldest=Slow.DROP_OLDEST,
    drop_newest=Slow.DROP_NEWEST,
    latest_only=Slow.LATEST_ONLY,
    disconnect=None,
)
_SLOW = {slow: case for case, slow in _SLOW_CASES.items()}
_PHASES = _raw.client_phase_cases(connect="connecting", tls="TLS handshake", handshake="opening handshake")
_ERRORS: dict[type, Callable[..., errors.Error]] = {
    **_raw.send_error_cases(closed=errors.Closed, queue_full=errors.QueueFull, too_large=errors.TooLarge),
    **_raw.publish_error_cases(waiting=errors.Waiting, too_large=errors.TooLarge),
    **_raw.connections_chunk_error_cases(
        closed=errors.Closed,
        queue_full=errors.QueueFull,
        too_large=errors.TooLarge,
        invalid_text=errors.InvalidText,
        wrong_kind=errors.WrongKind,
    ),
    **_raw.connections_auto_reply_error_cases(
        too_large=errors.TooLarge,
        limit=lambda: errors.LimitReached("automatic replies"),
    ),
    **_raw.topics_subscribe_error_cases(
        closed=errors.Closed,
        invalid_name=errors.InvalidTopic,
        limit=lambda: errors.LimitReached("subscriptions or topics"),
    ),
    **_raw.timers_timer_error_cases(
        closed=errors.Closed,
        limit=lambda: errors.LimitReached("timers"),
        not_exported=errors.NoTimerMethod,
    ),
    **_raw.client_connect_error_cases(
        denied=errors.Denied,
        invalid=errors.InvalidOption,
        unsupported_version=lambda versions: errors.UnsupportedVersion(list(versions)),
        limit=errors.TooManyConnections,
    ),
}
_FAILURES: dict[type, Callable[..., errors.NotConnected]] = _raw.client_failure_cases(
    denied=lambda text: errors.NotConnected("denied", text),
    unreachable=lambda text: errors.NotConnected("unreachable", text),
    tls=lambda text: errors.NotConnected("tls", text),
    timed_out=lambda phase: errors.NotConnected("timed-out", f"the {_PHASES[phase]} took too long"),
    ended=lambda: errors.NotConnected("ended", "the server ended the transport before it had answered"),
    refused=lambda status: errors.NotConnected("refused", f"the server answered with {status}", status=status),
    redirected=lambda to: errors.NotConnected("redirected", f"the server redirects to {to or 'nowhere'}", location=to),
    invalid_response=lambda text: errors.NotConnected("invalid-response", text),
    not_upgraded=lambda: errors.NotConnected("not-upgraded", "the answer does not upgrade to WebSocket"),
    accept_missing=lambda: errors.NotConnected(
        "accept-missing", "the sec-websocket-accept header is missing or repeated"
    ),
    accept_wrong=lambda: errors.NotConnected(
        "accept-wrong", "the sec-websocket-accept header does not answer the key"
    ),
    protocol_not_offered=lambda: errors.NotConnected(
        "protocol-not-offered", "the server chose a subprotocol that was not offered"
    ),
    extension_not_offered=lambda text: errors.NotConnected("extension-not-offered", text),
)


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
    return _ERRORS[type(error.value)](*vars(error.value).values())


def failure_of(raw: client.Failure) -> errors.NotConnected:
    """The failure of an outbound connection."""
    return _FAILURES[type(raw)](*vars(raw).values())


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
