"""Plays scenario files (TOML) against a server, with a client that is not ours. Usage: scenarios_client.py URL FILE...

What a step does not expect must not come: it is in the way of what a later step expects, or found at the end. Time is real here, so steps that
let it pass, and plain requests, are not played; a file with such a step is refused.
"""

import contextlib
import socket
import sys
import time
import tomllib

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

PATIENCE = 20
# How long nothing must come at the end.
SILENCE = 0.2


class Wrong(Exception):
    pass


def opened(url, step):
    return connect(
        url + step.get("path", "/"),
        subprotocols=step.get("subprotocols"),
        additional_headers=step.get("headers"),
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=PATIENCE,
    )


def received(peer):
    try:
        message = peer.recv(timeout=PATIENCE)
    except TimeoutError:
        return "nothing"
    except ConnectionClosed:
        return ended(peer)
    return {"text": message} if isinstance(message, str) else {"binary": message.hex()}


def ended(peer):
    frame = peer.protocol.close_rcvd
    if frame is None:
        return {"cut": True}
    return {"close": int(frame.code)} | ({"reason": frame.reason} if frame.reason else {})


def settled(peer):
    """All that was sent has reached the server."""
    try:
        if not peer.ping().wait(PATIENCE):
            raise Wrong("a ping is not answered")
    except ConnectionClosed:
        pass


def step_done(url, stack, peers, step):
    """Does what a step says, and returns what came for the connections that it expects something of."""
    expected = [dict(effect) for effect in step.get("expect", [])]
    pong = None
    if "connect" in step:
        name = step["connect"]
        try:
            peers[name] = stack.enter_context(opened(url, step))
        except InvalidStatus as error:
            return expected, [{"to": name, "refused": error.response.status_code}]
        seen = []
        for effect in expected:
            if "subprotocol" in effect:
                seen.append({"to": name, "subprotocol": peers[name].subprotocol or ""})
    elif "from" in step:
        name, seen = step["from"], []
        peer = peers[name]
        if "text" in step:
            peer.send(step["text"])
        elif "binary" in step:
            peer.send(bytes.fromhex(step["binary"]))
        elif "ping" in step:
            pong = peer.ping(bytes.fromhex(step["ping"]))
        elif "pong" in step:
            peer.pong(bytes.fromhex(step["pong"]))
        elif "close" in step:
            peer.close(step["close"], step.get("reason", ""))
        elif step.get("cut"):
            peer.socket.shutdown(socket.SHUT_RDWR)
        else:
            raise Wrong("this step is not one of a scenario")
    else:
        raise Wrong("only connections can be played in real time")
    for effect in expected:
        if "subprotocol" in effect:
            continue
        to = effect.setdefault("to", name)
        if "pong" in effect and pong is not None and to == name:
            # The library compares the payload.
            seen.append({"to": to, "pong": step["ping"]} if pong.wait(PATIENCE) else "nothing")
            continue
        came = received(peers[to])
        seen.append(came if isinstance(came, str) else {"to": to, **came})
    if not expected and "from" in step:
        settled(peers[name])
        # The server answers a ping before what it was sent earlier is handled.
        time.sleep(0.02)
    return expected, seen


def play(url, file):
    with open(file, "rb") as text:
        scenario = tomllib.load(text)
    peers = {}
    # What is still open at the end is closed.
    with contextlib.ExitStack() as stack:
        for number, step in enumerate(scenario["step"], 1):
            expected, seen = step_done(url, stack, peers, step)
            for effect in expected:
                # No reason is the empty one.
                if effect.get("reason") == "":
                    del effect["reason"]
            if seen != expected:
                raise Wrong(f"{file}: step {number}: expected {str(expected)[:2000]}, got {str(seen)[:2000]}")
        time.sleep(SILENCE)
        for name, peer in peers.items():
            try:
                came = peer.recv(timeout=0)
            except (TimeoutError, ConnectionClosed):
                continue
            raise Wrong(f"{file}: {name} got what no step expects: {str(came)[:2000]}")


def main():
    url, *files = sys.argv[1:]
    if not files:
        sys.exit("no scenarios")
    failed = 0
    for file in files:
        try:
            play(url.rstrip("/"), file)
        except Wrong as error:
            failed += 1
            print(error)
    print(f"{len(files) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
