"""A peer that sends a gibibyte to a handler that has stopped reading, and asks the kernel for the window that it is left.

usage: window.py PORT

Speaks to the guest `probe`. Prints a JSON object.
"""

import json
import socket
import struct
import sys
import threading
import time

TCP_INFO = 11
# Of struct tcp_info in linux/tcp.h: the window that the other side allows, since Linux 5.4.
SND_WND = 228
GIB = 1 << 30


def window(peer):
    info = peer.getsockopt(socket.IPPROTO_TCP, TCP_INFO, SND_WND + 4)
    if len(info) < SND_WND + 4:
        raise SystemExit("this kernel does not tell the window: Linux 5.4 is needed")
    return struct.unpack_from("=I", info, SND_WND)[0]


def connect(port):
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return peer


def frame(opcode, payload):
    """A frame with a mask of zeros."""
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return header + b"\0\0\0\0" + payload


def exactly(peer, length):
    data = bytearray()
    while len(data) < length:
        piece = peer.recv(min(length - len(data), 1 << 20))
        assert piece, "the server ended the transport"
        data += piece
    return bytes(data)


def receive(peer):
    first, second = exactly(peer, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", exactly(peer, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", exactly(peer, 8))
    return first & 0x0F, exactly(peer, length)


def ask(peer, text):
    peer.sendall(frame(1, text.encode()))
    _, answer = receive(peer)
    return answer.decode()


def main():
    port = int(sys.argv[1])
    peer, control = connect(port), connect(port)
    connection = ask(peer, "id")
    assert ask(control, f"on {connection} flow off") == "ok"

    # With its header of 8 bytes a 64th of a MiB; the handler sends it back.
    piece = memoryview(frame(2, bytes(65528)))
    assert GIB % len(piece) == 0
    sent, still_since = 0, None
    peer.setblocking(False)
    while sent < GIB:
        try:
            sent += peer.send(piece[sent % len(piece) :])
            still_since = None
        except BlockingIOError:
            still_since = still_since or time.monotonic()
            still = time.monotonic() - still_since
            # The kernel gives the last bytes of a window away late.
            if (window(peer) == 0 and still > 1) or still > 15:
                break
            time.sleep(0.01)
    report = {"sent-before-stop": sent, "window-when-stopped": window(peer)}

    assert ask(control, f"on {connection} flow on") == "ok"
    peer.setblocking(True)
    peer.settimeout(60)
    texts = []

    def read():
        # What comes back is read meanwhile, or both sides would wait.
        while not texts:
            opcode, payload = receive(peer)
            if opcode == 1:
                texts.append(payload.decode())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while sent < GIB:
        rest = piece[sent % len(piece) :]
        peer.sendall(rest)
        sent += len(rest)
    peer.sendall(frame(1, b"echo still here"))
    reader.join(60)
    report |= {"sent": sent, "window-when-resumed": window(peer), "echo": texts[0] if texts else None}
    print(json.dumps(report))


main()
