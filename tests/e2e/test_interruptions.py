# SPDX-License-Identifier: BSD-2-Clause
"""Either side ends in the middle, by a signal or by violence: nothing half-done is left, and the other side is told."""
import signal
import subprocess

import pytest

from support import INTERRUPTED, LINK, OK, REFUSED, CutAt, HoldAt, content, wait_for

SIZE = 32 << 20  # more than all buffers on the way hold, so that a link which stands still stops the sender
OLD = b"an old file of that name"


class Halfway:
    """A transfer of "cargo" that is held in the middle."""

    def __init__(self, place, *options):
        self.place = place
        self.receiver = place.receiver("--filesystem.existing", "overwrite", *options)
        place.received.mkdir(exist_ok=True)
        (place.received / "cargo").write_bytes(OLD)
        self.file = place.file("cargo", content(SIZE))
        self.hold = HoldAt(SIZE // 2)
        self.link = place.link(self.receiver, lambda: self.hold)
        self.sender = place.sender(self.link, "--no-resume", self.file)
        self.hold.wait()

    def nothing_is_left(self):
        assert self.place.arrived() == [b"cargo"]
        assert (self.place.received / "cargo").read_bytes() == OLD
        wait_for(lambda: self.place.litter() == [], "the end of the partial file")


def test_sender_is_killed(place):
    half = Halfway(place)
    half.sender.kill()
    half.hold.release()
    half.receiver.expect_event("disconnected")
    half.nothing_is_left()
    place.send(half.receiver, half.file)
    half.receiver.stop_well()


def test_receiver_is_killed(place):
    half = Halfway(place)
    half.receiver.kill()
    half.hold.release()
    half.sender.ended(LINK)
    assert [r["status"] for r in half.sender.results] == ["disconnected"]
    assert place.arrived() == [b"cargo"]
    assert (place.received / "cargo").read_bytes() == OLD

    # What it could not clean up is gone once there is a receiver again.
    again = place.receiver("--filesystem.existing", "overwrite")
    place.send(again, "--accept-new-peer", half.file)
    assert (place.received / "cargo").read_bytes() == content(SIZE)
    again.stop_well()
    assert place.litter() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sender_is_interrupted(place, number):
    half = Halfway(place)
    half.sender.signal(number)
    half.hold.release()
    half.sender.ended(INTERRUPTED)
    half.receiver.expect_event("disconnected")
    half.nothing_is_left()
    half.receiver.stop_well()


def test_sender_is_interrupted_while_the_link_stands_still(place):
    """One signal is obeyed though no byte can move; nobody may be there to give a second."""
    half = Halfway(place)
    half.sender.signal(signal.SIGINT)
    half.sender.ended(INTERRUPTED)
    half.link.cut()
    half.receiver.expect_event("disconnected")
    half.nothing_is_left()


def test_sender_is_interrupted_again_and_again(place):
    half = Halfway(place)

    def has_ended():
        half.sender.signal(signal.SIGINT)
        return half.sender.process.poll() is not None

    wait_for(has_ended, "the end of the sender", 5)
    half.sender.ended(INTERRUPTED)
    half.link.cut()
    half.receiver.expect_event("disconnected")
    half.nothing_is_left()


def test_sender_is_interrupted_while_it_waits_for_standard_input(place):
    receiver = place.receiver()
    sender = place.sender(receiver, "-", "--name", "typed", stdin=subprocess.PIPE)
    sender.process.stdin.write(b"and then")
    sender.process.stdin.flush()
    receiver.expect_event("offer")
    sender.signal(signal.SIGINT)
    sender.ended(INTERRUPTED)
    sender.process.stdin.close()
    receiver.expect_event("disconnected")
    assert place.arrived() == []
    receiver.stop_well()
    assert place.litter() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_idle_receiver_ends_at_once(place, number):
    receiver = place.receiver()
    receiver.signal(number)
    assert receiver.wait() == OK
    assert place.litter() == []


@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_signal_that_was_ignored_at_the_start_stays_ignored(place, name):
    receiver = place.receiver(wrapper=["env", f"--ignore-signal={name}"])
    receiver.signal(signal.Signals[f"SIG{name}"])
    place.send(receiver, "--accept-new-peer", "-m", "still here")
    receiver.stop_well()


def test_receiver_that_is_to_end_finishes_what_is_in_flight(place):
    half = Halfway(place)
    half.receiver.signal(signal.SIGTERM)
    half.receiver.expect(r"(?i)(stop|end|finish|shut)")
    half.hold.release()
    half.sender.ended(OK)
    assert half.receiver.wait() == OK, half.receiver
    assert (place.received / "cargo").read_bytes() == content(SIZE)
    assert place.litter() == []


def test_receiver_that_is_told_twice_to_end_aborts_what_is_in_flight(place):
    half = Halfway(place)
    half.receiver.signal(signal.SIGTERM)
    half.receiver.expect(r"(?i)(stop|end|finish|shut)")
    half.receiver.signal(signal.SIGTERM)
    assert half.receiver.wait() in (OK, INTERRUPTED), half.receiver
    half.hold.release()
    assert half.sender.wait() in (LINK, REFUSED), half.sender
    assert half.sender.err, "the sender must say why"
    half.nothing_is_left()


def test_receiver_that_ends_takes_no_new_senders(place):
    half = Halfway(place)
    half.receiver.signal(signal.SIGTERM)
    half.receiver.expect(r"(?i)(stop|end|finish|shut)")
    late = place.sender(half.receiver, "--message", "too late", "--handshake-timeout", "3s")
    assert late.wait() in (LINK, REFUSED), late
    half.hold.release()
    half.sender.ended(OK)
    assert half.receiver.wait() == OK


def test_reader_of_the_output_goes_away(place):
    """As in `wherry send ... | head -1`: the delivery goes on."""
    receiver = place.receiver()
    sender = place.sender(receiver, place.file("cargo", content(1_000_000)), out="closed")
    sender.ended(OK)
    assert place.arrived() == [b"cargo"]


def test_old_file_stays_until_the_new_one_is_whole(place):
    receiver = place.receiver("--filesystem.existing", "overwrite")
    place.send(receiver, place.file("cargo", OLD))
    new = place.file("cargo", content(SIZE))
    place.sender(place.link(receiver, lambda: CutAt(SIZE - 1000)), new).ended(LINK)
    assert (place.received / "cargo").read_bytes() == OLD
    place.send(receiver, new)
    assert (place.received / "cargo").read_bytes() == content(SIZE)
