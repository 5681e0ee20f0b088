# SPDX-License-Identifier: BSD-2-Clause
"""A second implementation of the protocol (core/doc/protocol.md), for the cipher 'none': a peer that can say anything."""
import contextlib
import socket
import time

from support import LIMIT

MAGIC = b"\x89wherry\n"
OFFER, ACCEPT, DATA, END, RESULT, CANCEL, PING, BYE = range(1, 9)
PACKED, STREAMS, JOIN, ORDER = range(10, 14)
MESSAGE, FILE, DATA_ITEM, FOLDER = 1, 2, 3, 4
CRITICAL = 1


def preface(cipher=b"none", version=1, magic=MAGIC):
    return magic + bytes([version, len(cipher)]) + cipher


def field(tag, value, critical=False):
    return (tag | (0x8000 if critical else 0)).to_bytes(2, "big") + len(value).to_bytes(4, "big") + value


def frame(kind, transfer=0, payload=b"", flags=0, length=None):
    return (bytes([kind, flags]) + transfer.to_bytes(4, "big")
            + (len(payload) if length is None else length).to_bytes(4, "big") + payload)


def record(*frames, length=None):
    body = b"".join(frames)
    return (len(body) if length is None else length).to_bytes(4, "big") + body


def offer(name, size=None, kind=FILE, mode=None, mtime=None, resume=False, more=b""):
    payload = field(1, bytes([kind]), critical=True) + field(2, name)
    if size is not None:
        payload += field(3, size.to_bytes(8, "big"))
    if mode is not None:
        payload += field(4, mode.to_bytes(4, "big"))
    if mtime is not None:
        payload += field(5, mtime.to_bytes(8, "big", signed=True) + bytes(4))
    if resume:
        payload += field(7, b"")
    return payload + more


def delivery(transfer, name, data, **offered):
    """All the frames of one whole item."""
    return (frame(OFFER, transfer, offer(name, len(data), **offered), CRITICAL)
            + (frame(DATA, transfer, data) if data else b"")
            + frame(END, transfer, field(1, len(data).to_bytes(8, "big"))))


class Outcome:
    """What a RESULT or a CANCEL says."""

    def __init__(self, payload):
        fields = dict(fields_of(payload))
        self.status = int.from_bytes(fields[1], "big")
        self.text = fields.get(2, b"").decode(errors="replace")
        self.response = fields.get(3, b"")


def fields_of(payload):
    while payload:
        tag, length = int.from_bytes(payload[:2], "big") & 0x7fff, int.from_bytes(payload[2:6], "big")
        yield tag, payload[6:6 + length]
        payload = payload[6 + length:]


class Peer:
    """A connection to a receiver, by default with the preface already exchanged."""

    def __init__(self, receiver, hello=preface(), receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(LIMIT)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(receiver.endpoint)
        self.buffer = b""
        if hello:
            self.say(hello)
            assert self.read(len(hello)) == hello

    def say(self, data):
        self.socket.sendall(data)

    def read(self, count):
        while len(self.buffer) < count:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise EOFError
            self.buffer += piece
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frames(self):
        """Frames as they come, but for PING, until the receiver closes."""
        while True:
            try:
                body = self.read(int.from_bytes(self.read(4), "big"))
            except (EOFError, ConnectionError):
                return
            while body:
                kind, transfer = body[0], int.from_bytes(body[2:6], "big")
                length = int.from_bytes(body[6:10], "big")
                payload, body = body[10:10 + length], body[10 + length:]
                if kind != PING:
                    yield kind, transfer, payload

    def outcome(self, of):
        """How the transfer ended."""
        for kind, transfer, payload in self.frames():
            if kind in (RESULT, CANCEL) and transfer == of:
                return Outcome(payload)
        raise AssertionError("the receiver closed without a word on the transfer")

    def is_closed(self):
        """Waits until the receiver has closed the connection, whatever it says before; PING alone keeps nothing alive."""
        end = time.monotonic() + LIMIT
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(1 << 16):
                if time.monotonic() > end:
                    return False
        return True

    def close(self):
        self.socket.close()
