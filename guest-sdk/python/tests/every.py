"""Uses every part of the SDK: what a message says is done, and what came of it is sent back. Played by every.toml."""

from __future__ import annotations

import random
import time
from typing import Optional

import wsrun


class Every(wsrun.Handler):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self) -> None:
        self.seen.append("started")
        wsrun.auto_reply("are you there", "yes")
        wsrun.auto_reply("gone", "x")
        wsrun.auto_reply("gone", None)

    def resumed(self, connection: wsrun.Connection) -> None:
        connection.send(f"resumed {connection.session!r}")

    def handshake(self, request: wsrun.Request) -> wsrun.Accept | wsrun.Refuse:
        if request.path == "/refused":
            return wsrun.Refuse(403, "not here", {"x-why": "because"})
        if request.path == "/wrong":
            return wsrun.Refuse(7)
        name = request.query_value("name") or "nobody"
        protocol = request.offered[-1] if request.offered else None
        return wsrun.Accept(protocol=protocol, headers=[("x-name", "1"), ("x-name", "2")], session=name.encode())

    def accepts(self, peer: str, local: str) -> bool:
        return not peer.startswith("10.")

    def opened(self, connection: wsrun.Connection) -> None:
        request, response = connection.request, connection.response
        assert request is not None
        if response is None:
            connection.subscribe("all")
        else:
            wsrun.publish("all", f"out {request.role.value} {response.status} {response.header('Upgrade')} {connection.protocol}")
            connection.send(f"hello from {request.header('x-a')}")

    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        if connection.response is not None:
            wsrun.publish("all", f"from outside: {message!r}")
            return
        if isinstance(message, bytes):
            connection.send(bytes(reversed(message)))
            return
        command, _, rest = message.partition(" ")
        try:
            answer = getattr(self, "do_" + command)(connection, rest)
        except wsrun.Error as error:
            answer = f"{type(error).__name__}: {error}"
        if answer is not None:
            connection.send(answer)

    def wanted(self, connection: wsrun.Connection, message: wsrun.Message) -> bool:
        return message != f"not for {connection.session.decode()}"

    def pong(self, connection: wsrun.Connection, payload: bytes) -> None:
        connection.send(b"pong" + payload)

    def writable(self, connection: wsrun.Connection) -> None:
        connection.send(f"writable, {connection.buffered} queued")

    def timer(self, timer: wsrun.Timer, tag: int, connection: Optional[wsrun.Connection]) -> None:
        if connection is None:
            wsrun.publish("all", f"timer {tag}")
        else:
            connection.send(f"your timer {tag} {timer.cancel()}")

    def http(self, request: wsrun.HttpRequest) -> wsrun.HttpResponse:
        if request.path == "/html":
            return wsrun.HttpResponse.html("<p>é")
        if request.path == "/file":
            return wsrun.HttpResponse.file("every.toml", headers={"content-type": "text/x"})
        if request.path == "/bytes":
            return wsrun.HttpResponse(b"\x00\xff", headers={"Content-Type": "a/b"})
        return wsrun.HttpResponse(f"{request.method} {request.path} {request.query} {request.body!r}", status=404)

    def lost(self, connection: wsrun.Connection, info: wsrun.CloseInfo, attempt: int, after: float) -> None:
        wsrun.publish("all", f"lost {info.code} {attempt} {connection.failure and connection.failure.kind}")

    def restored(self, connection: wsrun.Connection) -> None:
        wsrun.publish("all", "restored")

    def closed(self, connection: wsrun.Connection, info: wsrun.CloseInfo) -> None:
        failure = connection.failure
        told = f"closed {connection.session.decode()} {info.code} {info.reason!r} {info.by.value} {info.clean}"
        wsrun.publish("all", told if failure is None else f"{told} {failure.kind}")

    def save(self) -> bytes:
        return ",".join(self.seen).encode()

    def restore(self, state: bytes) -> None:
        if state == b"started,bad":
            raise ValueError("that is bad")
        self.seen = state.decode().split(",") + ["restored"]

    def draining(self, deadline: float) -> None:
        wsrun.publish("all", f"draining {deadline}")

    def do_who(self, connection: wsrun.Connection, rest: str) -> str:
        request = connection.request
        assert request is not None
        cookie, values = request.header("Cookie"), request.header_values("cookie")
        return f"{connection.session.decode()} {connection.protocol} {request.role.value} {request.path} {request.query} {cookie} {values}"

    def do_session(self, connection: wsrun.Connection, rest: str) -> str:
        connection.session = rest.encode() * (100_000 if rest == "large" else 1)
        return connection.session.decode()

    def do_topic(self, connection: wsrun.Connection, rest: str) -> str:
        told = [connection.subscribe(rest), connection.subscribe(rest), wsrun.publish(rest, "to the topic")]
        told += [wsrun.publish(rest, b"", but=connection), connection.unsubscribe(rest), connection.unsubscribe(rest)]
        return str(told)

    def do_policies(self, connection: wsrun.Connection, rest: str) -> str:
        for policy in [*wsrun.Slow, 1008, None]:
            connection.set_slow_policy(policy)
            wsrun.set_slow_policy("all", policy)
        return f"{connection.dropped} {wsrun.dropped('all')}"

    def do_broadcast(self, connection: wsrun.Connection, rest: str) -> str:
        return str(wsrun.broadcast(rest))

    def do_broadcast_to(self, connection: wsrun.Connection, rest: str) -> str:
        return str(wsrun.broadcast("for a", protocol=rest))

    def do_chunks(self, connection: wsrun.Connection, rest: str) -> None:
        connection.send_chunk("zw", final=False)
        connection.send_text_bytes(b"\xc3", final=False)
        try:
            connection.send_chunk(b"", final=True)
        except wsrun.WrongKind:
            connection.send_text_bytes(b"\xb6", final=False)
        connection.send_chunk("lf", final=True)

    def do_split(self, connection: wsrun.Connection, rest: str) -> None:
        connection.send_text_bytes(b"\xff", final=True)

    def do_ping(self, connection: wsrun.Connection, rest: str) -> None:
        connection.ping(b"p")
        connection.pong(b"q")

    def do_ping_long(self, connection: wsrun.Connection, rest: str) -> None:
        connection.ping(bytes(126))

    def do_large(self, connection: wsrun.Connection, rest: str) -> None:
        wsrun.publish("all", bytes(8 << 20))

    def do_abort(self, connection: wsrun.Connection, rest: str) -> None:
        connection.abort()
        wsrun.publish("all", "aborted", but=connection)

    def do_stranger(self, connection: wsrun.Connection, rest: str) -> None:
        stranger = wsrun.Connection(12345)
        assert (stranger.request, stranger.protocol, stranger.session, stranger.buffered) == (None, None, b"", 0)
        assert stranger == wsrun.Connection(12345) and stranger != connection and len({stranger, connection}) == 2
        stranger.send("hello")

    def do_writable(self, connection: wsrun.Connection, rest: str) -> None:
        connection.want_writable()

    def do_writable_all(self, connection: wsrun.Connection, rest: str) -> None:
        wsrun.want_writable_all("a")

    def do_timers(self, connection: wsrun.Connection, rest: str) -> str:
        wsrun.set_timer(1, 2**64 - 1)
        connection.set_timer(0.5, 7)
        return str([wsrun.set_timer(0.1).cancel(), wsrun.Timer(999_999).cancel()])

    def do_close(self, connection: wsrun.Connection, rest: str) -> None:
        connection.close(int(rest), "enough")

    def do_bad_topic(self, connection: wsrun.Connection, rest: str) -> None:
        connection.subscribe("")

    def do_flow(self, connection: wsrun.Connection, rest: str) -> str:
        connection.receive_flow(False)
        connection.receive_flow(True)
        return "flows"

    def do_connect(self, connection: wsrun.Connection, rest: str) -> str:
        made = wsrun.connect(rest, protocols=["a"], headers={"x-a": "b"}, timeout=5, session=b"out")
        return f"{made.session.decode()} {made.failure}"

    def do_connect_again(self, connection: wsrun.Connection, rest: str) -> None:
        wsrun.connect(rest, reconnect=wsrun.Reconnect(attempts=1, delay=0.01), session=b"again", compression=False)

    def do_connect_old(self, connection: wsrun.Connection, rest: str) -> None:
        wsrun.connect(rest, version=9)

    def do_host(self, connection: wsrun.Connection, rest: str) -> str:
        return f"{wsrun.handler_name()} {bool(wsrun.hostname())} {wsrun.config('nothing')} {wsrun.connection_count()}"

    def do_seen(self, connection: wsrun.Connection, rest: str) -> str:
        return ",".join(self.seen)

    def do_note(self, connection: wsrun.Connection, rest: str) -> None:
        self.seen.append(rest)

    def do_raise(self, connection: wsrun.Connection, rest: str) -> None:
        connection.send("never sent")
        raise ValueError("an error of the handler")

    def do_now(self, connection: wsrun.Connection, rest: str) -> str:
        return f"{time.time()} {random.random()}"

    def do_recursion(self, connection: wsrun.Connection, rest: str) -> str:
        def deeper(depth: int) -> int:
            return deeper(depth + 1)

        try:
            deeper(0)
        except RecursionError:
            return "too deep"
        return ""
