# SPDX-License-Identifier: BSD-2-Clause
"""`wherry receive --raw`: each silence or close of a peer ends a delivery; only the link vouches for the peer."""
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from support import LIMIT, OK, content, raw_control_bytes


def raw_receiver(place, *options):
    return place.receiver("--raw", *options, authorized=())


def test_netcat_as_sender(place):
    if not shutil.which("nc"):
        pytest.skip("there is no nc here")
    receiver = raw_receiver(place)
    host, port = receiver.endpoint
    data = content(3_000_000)
    for _ in range(2):
        subprocess.run(["nc", "-N", host, str(port)], input=data, check=True, timeout=LIMIT)
    receiver.wait_until(lambda: len(receiver.delivered()) == 2, "two deliveries")
    files = place.arrived()
    assert len(files) == 2
    assert all((place.received / name.decode()).read_bytes() == data for name in files)
    receiver.stop_well()


def test_raw_says_that_nobody_vouches_for_the_sender(place):
    receiver = raw_receiver(place)
    receiver.expect(r"(?i)(raw|not encrypted|no protection|vouch)")
    receiver.stop_well()


def test_instrument_that_goes_quiet(place):
    """Each silence ends one delivery, and the connection goes on until the instrument closes it."""
    receiver = raw_receiver(place, "--raw-idle-timeout", "300ms")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
        for number, reading in enumerate((b"12.5 kPa\n", b"12.7 kPa\n"), 1):
            instrument.sendall(reading)
            delivered = receiver.expect_event("result", transfer=number)
            assert delivered["status"] == "ok" and delivered["bytes"] == 9 and delivered["ended_by"] == "silence"
            assert (place.received / delivered["name"]).read_bytes() == reading
        instrument.sendall(b"off\n")
        receiver.wait_until(lambda: receiver.told("offer", transfer=3), "the beginning of the third")
    assert receiver.expect_event("result", transfer=3)["ended_by"] in ("close", "silence")
    assert receiver.expect_event("disconnected")["ok"] is True
    assert len(place.arrived()) == 3 and len(receiver.told("connected")) == 1
    receiver.stop_well()


def test_netcat_that_pauses(place):
    """`(echo first; sleep 6; echo second) | nc`: the bytes after the pause were once lost."""
    if not shutil.which("nc"):
        pytest.skip("there is no nc here")
    receiver, address = place.plain_receiver("--raw", "--raw-idle-timeout", "300ms", "--log-level", "info")
    host, port = address.rsplit(":", 1)
    sender = subprocess.Popen(["nc", "-N", host, port], stdin=subprocess.PIPE)
    place.closing.callback(sender.kill)
    sender.stdin.write(b"first\n")
    sender.stdin.flush()
    receiver.expect(r"received data raw-\S+-1-1 \(6 B\) from \S+, ended by silence", "out")
    sender.stdin.write(b"second\n")
    sender.stdin.close()
    assert sender.wait(LIMIT) == 0
    receiver.expect(r"received data raw-\S+-1-2 \(7 B\) from \S+, ended by (close|silence)", "out")
    assert [(place.received / name.decode()).read_bytes() for name in place.arrived()] == [b"first\n", b"second\n"]
    assert receiver.stop() == OK
    assert b"delivery 1 of connection 1 was ended by silence" in receiver.err


def test_raw_once_is_one_delivery_a_connection(place):
    receiver = raw_receiver(place, "--raw-once", "--raw-idle-timeout", "300ms")
    for number in (1, 2):
        with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
            instrument.sendall(b"a reading")
            assert receiver.expect_event("result", connection=number)["ended_by"] == "silence"
            assert instrument.recv(1) == b""
        assert receiver.expect_event("disconnected", connection=number)["ok"] is True
    assert len(receiver.delivered()) == 2
    receiver.stop_well()


def test_raw_peer_that_says_nothing_is_let_go(place):
    receiver = raw_receiver(place, "--once", "--raw-idle-timeout", "300ms")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as mute:
        assert mute.recv(1) == b""
    end = receiver.expect_event("disconnected")
    assert end["status"] == "timed_out" and "said nothing" in end["error"]
    assert b"said nothing" in receiver.ended(None).err
    assert receiver.code != OK and place.arrived() == []


def test_raw_receiver_that_is_stopped_between_two_deliveries(place):
    receiver = raw_receiver(place, "--raw-idle-timeout", "300ms")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
        instrument.sendall(b"a reading")
        receiver.expect_event("result")
        receiver.stop_well()
        assert instrument.recv(1) == b""
    assert receiver.told("disconnected")[0]["ok"] is True
    assert receiver.told("done")[0]["delivered"] == 1


def test_raw_receiver_that_is_stopped_in_the_middle_says_so(place):
    receiver = raw_receiver(place, "--raw-idle-timeout", "0")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
        instrument.sendall(b"half a reading")
        receiver.wait_until(lambda: receiver.told("progress", bytes=14), "all that was sent")
        receiver.signal(signal.SIGTERM)
        receiver.expect(r"what is in flight")
        receiver.stop_well()
    (result,) = receiver.told("result")
    assert result["status"] == "cancelled" and result["ended_by"] == "cut"
    assert "the receiver was stopped" in result["error"]
    assert (place.received / place.arrived()[0].decode()).read_bytes() == b"half a reading"


def test_raw_has_a_limit(place):
    receiver = raw_receiver(place, "--once", "--raw-idle-timeout", "0", "--raw-max-size", "100000")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as peer:
        with pytest.raises(OSError):  # the peer learns that not all was taken
            peer.sendall(content(20_000_000))
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
    result = receiver.expect_event("result")
    assert result["status"] == "exhausted" and result["ended_by"] == "limit"
    assert "the rest is not stored" in result["error"]
    receiver.ended(None)
    assert receiver.code != OK
    assert [(place.received / name.decode()).read_bytes() for name in place.arrived()] == [content(100_000)]


def test_raw_delivery_that_the_sink_refuses_ends_the_connection(place):
    receiver = raw_receiver(place, "--sink", "console", "--raw-idle-timeout", "300ms")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
        instrument.sendall(b"\xff\xfe no text")
        result = receiver.expect_event("result")
        assert result["status"] == "refused" and result["ended_by"] == "silence"
        assert "this delivery is not stored, and its connection is closed" in result["error"]
        assert instrument.recv(1) == b""
    receiver.stop_well()


def test_raw_peer_that_vanishes(place):
    """Nobody will send that again: what came is stored, but it is told that it was cut off."""
    receiver = raw_receiver(place)
    peer = socket.create_connection(receiver.endpoint)
    peer.sendall(content(100_000))
    receiver.wait_until(lambda: receiver.told("progress", bytes=100_000), "all that was sent")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    result = receiver.expect_event("result")
    assert result["ok"] is False and result["status"] == "disconnected" and result["error"]
    assert result["ended_by"] == "cut"
    receiver.expect_event("disconnected")
    (name,) = place.arrived()
    assert (place.received / name.decode()).read_bytes() == content(100_000)
    receiver.stop_well()
    assert place.litter() == []


def test_raw_bytes_are_not_printed_raw(place):
    receiver = raw_receiver(place)
    with socket.create_connection(receiver.endpoint) as peer:
        peer.sendall(b"\x1b]0;owned\x07\x1b[2J\xff\xfe")
    receiver.expect_event("result")
    receiver.stop_well()
    assert raw_control_bytes(receiver.out) == [] and raw_control_bytes(receiver.err) == []
