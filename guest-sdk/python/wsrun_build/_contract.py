# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""What the build knows of the contract."""

PACKAGE = "wsrun:websocket@0.1.0"

IMPORTS: dict[str, dict[str, list[str]]] = {
    "packed-send": {
        "send": ["connection", "messages"],
    },
    "connections": {
        "send": ["to", "message"],
        "send_chunk": ["to", "text", "data", "final"],
        "ping": ["to", "payload"],
        "pong": ["to", "payload"],
        "close": ["connection", "code", "reason"],
        "abort": ["connection"],
        "buffered": ["connection"],
        "want_writable": ["connection"],
        "want_writable_all": ["protocol"],
        "set_slow_policy": ["connection", "policy"],
        "dropped": ["connection"],
        "receive_flow": ["connection", "enabled"],
        "set_auto_reply": ["received", "reply"],
        "request_of": ["connection"],
        "protocol": ["connection"],
        "session": ["connection"],
        "set_session": ["connection", "data"],
    },
    "topics": {
        "subscribe": ["connection", "topic"],
        "unsubscribe": ["connection", "topic"],
        "publish": ["topic", "message", "except_"],
        "broadcast": ["protocol", "message"],
        "set_slow_policy": ["topic", "policy"],
        "dropped": ["topic"],
    },
    "client": {
        "connect": ["options"],
        "failure_of": ["connection"],
        "response_of": ["connection"],
    },
    "timers": {
        "set": ["after_ms", "tag", "connection"],
        "cancel": ["timer"],
    },
    "host-info": {
        "hostname": [],
        "handler_name": [],
        "config": ["key"],
        "connection_count": [],
    },
}
"""The functions of the host, with the names of their parameters."""

EXPORTS: dict[str, dict[str, list[str]]] = {
    "handshake": {
        "requested": ["request"],
    },
    "writable": {
        "writable": ["connection"],
    },
    "chunks": {
        "received_chunk": ["connection", "chunk"],
    },
    "packed": {
        "received": ["connection", "messages", "room"],
    },
    "broadcast-filter": {
        "wanted": ["connection", "message"],
    },
    "network-filter": {
        "accepts": ["peer", "local"],
    },
    "http": {
        "requested": ["method", "request", "body"],
    },
    "reconnection": {
        "lost": ["connection", "info", "attempt", "after_ms"],
        "restored": ["connection"],
    },
    "pong": {
        "pong": ["connection", "payload"],
    },
    "timer-handler": {
        "fired": ["timer", "tag", "connection"],
    },
    "lifecycle": {
        "started": [],
        "resumed": ["connection"],
        "save": [],
        "restore": ["state"],
        "draining": ["deadline_ms"],
    },
    "handler": {
        "opened": ["connection"],
        "received": ["connection", "message"],
        "closed": ["connection", "info"],
    },
}
"""The functions that a component can export, with the names of their parameters."""
