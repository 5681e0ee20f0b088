# SPDX-License-Identifier: BSD-2-Clause
"""Connecting is ended by a signal, though neither the system's resolver nor the peer answers for a long time."""
import os
import signal
import socket

import pytest

from support import BIN, INTERRUPTED, OK, Sender, wait_for

HANGING_LOOKUP = BIN.parent.parent / "tests" / "hanging-lookup.so"
PATIENT = ("--tcp.connect-timeout", "1h", "--handshake-timeout", "1h")


class Silent:
    """An address that never answers: its queue is full, so that the system drops whatever else wants to connect."""

    def __init__(self, place, port=0):
        self.door = socket.create_server(("127.0.0.1", port), backlog=0)
        self.filler = socket.create_connection(self.door.getsockname())
        self.port = self.door.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        place.closing.callback(self.door.close)
        place.closing.callback(self.filler.close)

    def is_tried(self):
        """Whether somebody wants to connect."""
        wanted = f":{self.port:04X} 02 "  # SYN_SENT
        return wanted in open("/proc/net/tcp").read()

    def answer(self):
        """Leaves the address to others."""
        self.filler.close()
        self.door.close()


class Unheard:
    """A peer that connects, and then says nothing."""

    def __init__(self, place):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.door.getsockname()[1]
        self.links = []
        place.closing.callback(self.door.close)
        self.door.settimeout(0.05)

    def is_tried(self):
        try:
            self.links.append(self.door.accept()[0])
        except TimeoutError:
            pass
        return bool(self.links)


class Unknown:
    """A name whose lookup hangs."""

    address = "lab-pc:9417"

    def __init__(self, place):
        assert HANGING_LOOKUP.exists()
        self.begun = place.folder / "lookup"
        # The library is loaded before the sanitizer, which would refuse that.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.env = place.env(LD_PRELOAD=str(HANGING_LOOKUP), WHERRY_TEST_LOOKUP=str(self.begun), ASAN_OPTIONS=sanitizer)

    def is_tried(self):
        return self.begun.exists()


def environment(peer, place):
    return getattr(peer, "env", None) or place.env()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", [Silent, Unheard, Unknown])
def test_send_is_interrupted(place, kind, number):
    place.home("sender")
    peer = kind(place)
    sender = place.sender(peer, "--message", "hello", *PATIENT, env=environment(peer, place))
    wait_for(peer.is_tried, "the attempt to connect")
    sender.signal(number)
    sender.ended(INTERRUPTED)
    assert [(r["status"], r["ok"]) for r in sender.results] == [("cancelled", False)], sender
    # Without this it would have ended by force.
    assert [e["status"] for e in sender.told("error")] == ["cancelled"], sender
    assert sender.told("done")[0]["exit_code"] == INTERRUPTED


@pytest.mark.parametrize("count", [1, 2])
def test_send_is_ended_by_force_where_the_transport_cannot_be_aborted(place, count):
    sender = place.start("send", "--home", place.home("sender"), "--json", "--faulty.hang", "connect", "--to",
                         "faulty://127.0.0.1:1", "--message", "hello", "--log-level", "info", kind=Sender)
    sender.expect("connecting to")
    for _ in range(count):
        sender.signal(signal.SIGINT)
    sender.ended(INTERRUPTED)
    assert [(r["status"], r["ok"]) for r in sender.results] == [("cancelled", False)], sender


@pytest.mark.parametrize("kind", [Silent, Unheard, Unknown])
def test_chat_is_interrupted(place, kind):
    place.home("sender")
    peer = kind(place)
    chat = place.terminal("chat", "--home", place.home("sender"), "--to", f"tcp://{peer.address}", *PATIENT,
                          env=environment(peer, place))
    wait_for(peer.is_tried, "the attempt to connect")
    chat.type("\x03")
    assert chat.wait() == INTERRUPTED
    assert b"error: interrupted" in chat.output  # and not by force


def test_chat_that_connects_again_is_interrupted_and_goes_on(place):
    receiver = place.receiver()
    person = place.terminal("chat", "--home", place.home("sender"), "--accept-new-peer", "--to",
                            f"tcp://{receiver.address}", *PATIENT)
    person.expect("> ")
    receiver.kill()
    person.expect("the connection is gone")
    silent = Silent(place, receiver.endpoint[1])
    person.type("not this\r")
    wait_for(silent.is_tried, "the attempt to connect")
    person.type("\x03")
    person.expect("not sent: message")
    silent.answer()
    again = place.receiver(address=receiver.address)
    person.type("but this\r")
    person.expect("stored as")
    person.type("/quit\r")
    assert person.wait() == OK
    assert [e["size"] for e in again.told("offer")] == [len("but this")]
