"""`wherry receive --raw`: whatever a peer sends becomes one delivery per connection; only the link vouches for it."""
import shutil
import socket
import struct
import subprocess

import pytest

from support import LIMIT, content, raw_control_bytes


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
    """A peer that never closes is done when it has been silent for the idle timeout."""
    receiver = raw_receiver(place, "--raw-idle-timeout", "300ms")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as instrument:
        instrument.sendall(b"12.5 kPa\n")
        delivered = receiver.expect_event("result")
        assert delivered["status"] == "ok" and delivered["bytes"] == 9
        assert instrument.recv(100) is not None
    assert (place.received / place.arrived()[0].decode()).read_bytes() == b"12.5 kPa\n"
    receiver.stop_well()


def test_raw_has_a_limit(place):
    receiver = raw_receiver(place, "--raw-max-size", "100000")
    with socket.create_connection(receiver.endpoint, timeout=LIMIT) as peer:
        try:
            peer.sendall(content(5_000_000))
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
        except OSError:
            pass
    receiver.expect_event("disconnected")
    assert all((place.received / name.decode()).stat().st_size <= 100_000 for name in place.arrived())
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
