# SPDX-License-Identifier: BSD-2-Clause
"""Many senders, large files: everybody is served, in bounded memory."""
import re
import time

import pytest

from support import OK, SANITIZED, HoldAt, content, scaled, sha256, wait_for

MIB = 1 << 20


def test_many_senders_at_once(place):
    count = scaled(48)
    receiver = place.receiver()
    files = [place.file(f"{number}/cargo-{number}", content(200_000, b"%d" % number)) for number in range(count)]
    senders = [place.sender(receiver, file, "--message", "ahoy") for file in files]
    for sender in senders:
        sender.ended(OK)
    receiver.wait_until(lambda: len(receiver.told("disconnected")) == count, "the end of every connection")
    assert len(receiver.delivered()) == 2 * count
    for number, file in enumerate(files):
        assert sha256(place.received / f"cargo-{number}") == sha256(file)
    receiver.stop_well()
    assert place.litter() == []


def test_same_name_from_many_senders_at_once(place):
    """Each delivery stays whole, under a name of its own."""
    count = scaled(24)
    receiver = place.receiver()
    files = [place.file(f"{number}/log.txt", content(50_000, b"%d" % number)) for number in range(count)]
    for sender in [place.sender(receiver, file) for file in files]:
        sender.ended(OK)
    assert len(place.arrived()) == count
    assert sorted(sha256(place.received / name.decode()) for name in place.arrived()) == sorted(map(sha256, files))
    receiver.stop_well()


def test_senders_beyond_the_limit_wait(place):
    receiver = place.receiver("--max-connections", "1", authorized=("sender", "second"))
    hold = HoldAt(500_000)
    first = place.sender(place.link(receiver, lambda: hold), place.file("first", content(8 * MIB)))
    hold.wait()
    second = place.sender(receiver, place.file("second", b"2"), home="second")
    receiver.expect_event("connected", connection=2)  # it has proved its key, and waits for its turn
    hold.release()
    first.ended(OK)
    second.ended(OK)
    assert place.arrived() == [b"first", b"second"]
    receiver.stop_well()
    order = [(e["event"], e["connection"]) for e in receiver.events if e["event"] in ("offer", "result")]
    assert order == [("offer", 1), ("result", 1), ("offer", 2), ("result", 2)]


def high_water(pid):
    with open(f"/proc/{pid}/status") as status:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
    return int(found[1]) * 1024 if found else 0


@pytest.mark.skipif(SANITIZED, reason="memory says nothing under a sanitizer")
def test_memory_is_bounded_for_a_large_file(place):
    receiver = place.receiver()
    file = place.folder / "large"
    with open(file, "wb") as sparse:
        sparse.truncate(1 << 30)
    sender = place.sender(receiver, file)
    highest = 0
    while sender.process.poll() is None:
        try:
            highest = max(highest, high_water(sender.pid))
        except OSError:
            break
        time.sleep(0.002)
    sender.ended(OK)
    assert (place.received / "large").stat().st_size == 1 << 30
    assert 0 < highest < 32 * MIB, highest / MIB
    assert 0 < high_water(receiver.pid) < 32 * MIB, high_water(receiver.pid) / MIB
    receiver.stop_well()


@pytest.mark.skipif(SANITIZED, reason="memory says nothing under a sanitizer")
def test_memory_is_bounded_for_a_pipe_and_for_many_files(place):
    receiver = place.receiver("--sink", "null")
    for number in range(3000):
        place.file(f"crates/{number}", b"")
    place.send(receiver, place.folder / "source/crates", "-", input=bytes(64 * MIB))
    assert 0 < high_water(receiver.pid) < 32 * MIB, high_water(receiver.pid) / MIB
    receiver.stop_well()


def test_descriptors_do_not_leak(place):
    receiver = place.receiver()
    file = place.file("cargo", content(100_000))
    place.send(receiver, file)
    receiver.expect_event("disconnected")
    baseline = receiver.descriptors()
    for _ in range(3):
        for sender in [place.sender(receiver, file, "--message", "x") for _ in range(scaled(8))]:
            sender.ended(OK)
    wait_for(lambda: len(receiver.descriptors()) <= len(baseline),
             f"no more than {baseline} when all have gone; it has {receiver.descriptors()}")
    receiver.stop_well()
