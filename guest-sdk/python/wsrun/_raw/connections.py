# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``connections``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable, Optional

from wit_world.imports import connections as _host, types

send: Callable[[int, types.Message], None] = _host.send
send_chunk: Callable[[int, bool, bytes, bool], None] = _host.send_chunk
ping: Callable[[int, bytes], None] = _host.ping
pong: Callable[[int, bytes], None] = _host.pong
close: Callable[[int, int, str], None] = _host.close
abort: Callable[[int], None] = _host.abort
buffered: Callable[[int], int] = _host.buffered
want_writable: Callable[[int], None] = _host.want_writable
want_writable_all: Callable[[Optional[str]], None] = _host.want_writable_all
set_slow_policy: Callable[[int, Optional[types.SlowPolicy]], None] = _host.set_slow_policy
dropped: Callable[[int], int] = _host.dropped
receive_flow: Callable[[int, bool], None] = _host.receive_flow
set_auto_reply: Callable[[types.Message, Optional[types.Message]], None] = _host.set_auto_reply
request_of: Callable[[int], Optional[types.Request]] = _host.request_of
protocol: Callable[[int], Optional[str]] = _host.protocol
session: Callable[[int], bytes] = _host.session
set_session: Callable[[int, bytes], None] = _host.set_session
