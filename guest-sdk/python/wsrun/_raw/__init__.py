# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""What belongs to each case of the variants and enums of the contract: a case that a caller does not name is an error."""

from __future__ import annotations

from typing import TypeVar

from wit_world.imports import types, connections, topics, client, timers

T = TypeVar("T")


def message_cases(
    *,
    text: T,
    binary: T,
) -> dict[type, T]:
    """A value for each case of ``types.message``."""
    return {
        types.Message_Text: text,
        types.Message_Binary: binary,
    }


def send_error_cases(
    *,
    closed: T,
    queue_full: T,
    too_large: T,
) -> dict[type, T]:
    """A value for each case of ``types.send-error``."""
    return {
        types.SendError_Closed: closed,
        types.SendError_QueueFull: queue_full,
        types.SendError_TooLarge: too_large,
    }


def slow_policy_cases(
    *,
    wait: T,
    drop_oldest: T,
    drop_newest: T,
    latest_only: T,
    disconnect: T,
) -> dict[type, T]:
    """A value for each case of ``types.slow-policy``."""
    return {
        types.SlowPolicy_Wait: wait,
        types.SlowPolicy_DropOldest: drop_oldest,
        types.SlowPolicy_DropNewest: drop_newest,
        types.SlowPolicy_LatestOnly: latest_only,
        types.SlowPolicy_Disconnect: disconnect,
    }


def role_cases(
    *,
    server: T,
    client: T,
) -> dict[types.Role, T]:
    """A value for each case of ``types.role``."""
    return {
        types.Role.SERVER: server,
        types.Role.CLIENT: client,
    }


def publish_error_cases(
    *,
    waiting: T,
    too_large: T,
) -> dict[type, T]:
    """A value for each case of ``types.publish-error``."""
    return {
        types.PublishError_Waiting: waiting,
        types.PublishError_TooLarge: too_large,
    }


def closed_by_cases(
    *,
    peer: T,
    handler: T,
    host: T,
) -> dict[types.ClosedBy, T]:
    """A value for each case of ``types.closed-by``."""
    return {
        types.ClosedBy.PEER: peer,
        types.ClosedBy.HANDLER: handler,
        types.ClosedBy.HOST: host,
    }


def connections_chunk_error_cases(
    *,
    closed: T,
    queue_full: T,
    too_large: T,
    invalid_text: T,
    wrong_kind: T,
) -> dict[type, T]:
    """A value for each case of ``connections.chunk-error``."""
    return {
        connections.ChunkError_Closed: closed,
        connections.ChunkError_QueueFull: queue_full,
        connections.ChunkError_TooLarge: too_large,
        connections.ChunkError_InvalidText: invalid_text,
        connections.ChunkError_WrongKind: wrong_kind,
    }


def connections_auto_reply_error_cases(
    *,
    too_large: T,
    limit: T,
) -> dict[type, T]:
    """A value for each case of ``connections.auto-reply-error``."""
    return {
        connections.AutoReplyError_TooLarge: too_large,
        connections.AutoReplyError_Limit: limit,
    }


def topics_subscribe_error_cases(
    *,
    closed: T,
    invalid_name: T,
    limit: T,
) -> dict[type, T]:
    """A value for each case of ``topics.subscribe-error``."""
    return {
        topics.SubscribeError_Closed: closed,
        topics.SubscribeError_InvalidName: invalid_name,
        topics.SubscribeError_Limit: limit,
    }


def client_verify_cases(
    *,
    full: T,
    allow_self_signed: T,
) -> dict[client.Verify, T]:
    """A value for each case of ``client.verify``."""
    return {
        client.Verify.FULL: full,
        client.Verify.ALLOW_SELF_SIGNED: allow_self_signed,
    }


def client_connect_error_cases(
    *,
    denied: T,
    invalid: T,
    unsupported_version: T,
    limit: T,
) -> dict[type, T]:
    """A value for each case of ``client.connect-error``."""
    return {
        client.ConnectError_Denied: denied,
        client.ConnectError_Invalid: invalid,
        client.ConnectError_UnsupportedVersion: unsupported_version,
        client.ConnectError_Limit: limit,
    }


def client_phase_cases(
    *,
    connect: T,
    tls: T,
    handshake: T,
) -> dict[client.Phase, T]:
    """A value for each case of ``client.phase``."""
    return {
        client.Phase.CONNECT: connect,
        client.Phase.TLS: tls,
        client.Phase.HANDSHAKE: handshake,
    }


def client_failure_cases(
    *,
    denied: T,
    unreachable: T,
    tls: T,
    timed_out: T,
    ended: T,
    refused: T,
    redirected: T,
    invalid_response: T,
    not_upgraded: T,
    accept_missing: T,
    accept_wrong: T,
    protocol_not_offered: T,
    extension_not_offered: T,
) -> dict[type, T]:
    """A value for each case of ``client.failure``."""
    return {
        client.Failure_Denied: denied,
        client.Failure_Unreachable: unreachable,
        client.Failure_Tls: tls,
        client.Failure_TimedOut: timed_out,
        client.Failure_Ended: ended,
        client.Failure_Refused: refused,
        client.Failure_Redirected: redirected,
        client.Failure_InvalidResponse: invalid_response,
        client.Failure_NotUpgraded: not_upgraded,
        client.Failure_AcceptMissing: accept_missing,
        client.Failure_AcceptWrong: accept_wrong,
        client.Failure_ProtocolNotOffered: protocol_not_offered,
        client.Failure_ExtensionNotOffered: extension_not_offered,
    }


def timers_timer_error_cases(
    *,
    closed: T,
    limit: T,
    not_exported: T,
) -> dict[type, T]:
    """A value for each case of ``timers.timer-error``."""
    return {
        timers.TimerError_Closed: closed,
        timers.TimerError_Limit: limit,
        timers.TimerError_NotExported: not_exported,
    }
