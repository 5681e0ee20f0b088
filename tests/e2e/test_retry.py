# SPDX-License-Identifier: BSD-2-Clause
"""A sender that tries again by itself when the link is lost: what is there already is not sent again, and nothing arrives
twice."""
import os
import signal
import socket
import subprocess
import threading

from support import (INTERRUPTED, LIMIT, LINK, NOT_TRUSTED, OK, REFUSED, SOME, CutAt, Flip, HoldAt, Pass,
                     UnusedAddress, content, records_begin, scaled, sha256)

SIZE = scaled(32) << 20


def first(mangler, then=Pass):
    """Makes `mangler` for the first connection, and `then` for those after it."""
    makers = iter([mangler])
    return lambda: next(makers, then)()


class Vanishing:
    """A link that goes silent in the middle, in both directions, and looks alive to the receiver from then on."""

    def __init__(self, place, receiver, offset):
        self.hold = HoldAt(offset)
        self.over = threading.Event()
        place.closing.callback(self.over.set)
        place.closing.callback(self.hold.release)

        class Silent(Pass):
            def change(mangler, begin, piece):
                if self.hold.reached.is_set():
                    self.over.wait(LIMIT)
                return piece

        self.link = place.link(receiver, first(lambda: self.hold), first(Silent))
        self.address = self.link.address

    def vanish(self):
        """The sender's end is gone; the receiver hears nothing of it."""
        self.hold.wait()
        self.link.sockets[0].shutdown(socket.SHUT_RDWR)


# ---- A link that is cut ----


def test_goes_on_after_a_cut(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    link = place.link(receiver, first(lambda: CutAt(SIZE // 2)))
    sent = place.send(link, "--retry", "3", file)
    retry, = sent.told("retry")
    assert (retry["attempt"], retry["of"], retry["status"]) == (1, 3, "disconnected")
    result, = sent.results
    assert result["ok"] and result["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"] and place.litter() == []
    receiver.stop_well()


def test_every_cut_that_comes_after_progress_is_mended(place):
    """The count starts over: four cuts are survived with one retry."""
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    cuts = iter(range(4))
    link = place.link(receiver, lambda: CutAt(SIZE // 6) if next(cuts, None) is not None else Pass())
    sent = place.send(link, "--retry", "1", file)
    assert [retry["attempt"] for retry in sent.told("retry")] == [1] * 4
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"] and place.litter() == []


def test_many_items_arrive_once(place):
    count = scaled(2000)
    files = [place.file(f"many/{number:05}", b"%d" % number * 100) for number in range(count)]
    receiver = place.receiver()
    link = place.link(receiver, first(lambda: CutAt(count * 200)), first(lambda: CutAt(count * 30)))
    sent = place.send(link, "--retry", "3", *files)
    assert len(sent.told("retry")) == 1
    assert len(sent.results) == count and all(result["ok"] for result in sent.results)
    assert place.arrived() == [b"%05d" % number for number in range(count)]
    assert len(receiver.delivered()) == count
    receiver.stop_well()


def test_receiver_that_was_killed_and_started_again(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    hold = HoldAt(SIZE // 2)
    place.closing.callback(hold.release)
    sender = place.sender(place.link(receiver, first(lambda: hold)), "--retry", "20", file)
    hold.wait()
    receiver.wait_until(lambda: any(e["bytes"] >= SIZE // 4 for e in receiver.told("progress")), "a good part")
    receiver.kill()
    sender.expect_event("retry")
    again = place.receiver(address=receiver.address)
    sender.ended(OK)
    assert sender.results[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"]
    again.stop_well()
    assert place.litter() == []


def test_receiver_that_is_told_to_end_and_is_started_again(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    hold = HoldAt(SIZE // 2)
    place.closing.callback(hold.release)
    sender = place.sender(place.link(receiver, first(lambda: hold)), "--retry", "20", file)
    hold.wait()
    receiver.signal(signal.SIGTERM)
    receiver.expect("stopping")
    receiver.stop()
    again = place.receiver(address=receiver.address)
    hold.release()
    sender.ended(OK)
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"]
    again.stop_well()


def test_sender_that_was_killed_and_is_run_again(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    hold = HoldAt(SIZE // 2)
    place.closing.callback(hold.release)
    link = place.link(receiver, lambda: hold)
    sender = place.sender(link, file)
    hold.wait()
    # What the system has not handed to the receiver yet may go with the link.
    receiver.wait_until(lambda: [told for told in receiver.told("progress") if told["bytes"] > 0], "something")
    sender.kill()
    link.cut()
    receiver.expect_event("disconnected")
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"] and place.litter() == []


# ---- A receiver that is not there ----


def test_waits_for_a_receiver(place):
    file = place.file("note", b"ahoy")
    address = UnusedAddress()
    sender = place.sender(address, "--retry", "20", file)
    sender.expect_event("retry", attempt=1)
    address.release()
    receiver = place.receiver(address=address)
    sender.ended(OK)
    assert place.arrived() == [b"note"]
    receiver.stop_well()


def test_gives_up_in_the_end(place):
    sent = place.send(UnusedAddress(), "--retry", "2", place.file("note", b"ahoy"), code=LINK)
    assert [(retry["attempt"], retry["of"]) for retry in sent.told("retry")] == [(1, 2), (2, 2)]
    assert [result["ok"] for result in sent.results] == [False]


def test_says_what_failed_and_what_comes(place):
    place.home("sender")
    sent = place.plain_send(UnusedAddress(), "--retry", "1", place.file("note", b"ahoy"), code=LINK)
    assert b"refused" in sent.err and b"trying again in " in sent.err and b" (1 of 1)" in sent.err


def test_interrupted_while_it_waits(place):
    sender = place.sender(UnusedAddress(), "--retry", "1000", place.file("note", b"ahoy"))
    # Later waits are longer than a test.
    sender.expect_event("retry", attempt=3)
    sender.signal(signal.SIGINT)
    sender.ended(INTERRUPTED)
    assert sender.told("done")[0]["exit_code"] == INTERRUPTED
    assert [result["ok"] for result in sender.results] == [False]


# ---- What is not tried again ----


def test_refusals_are_final(place):
    file = place.file("cargo", b"new")
    receiver = place.receiver("--filesystem.existing", "refuse")
    place.send(receiver, "--retry", "3", file)
    file.write_bytes(b"other")
    sent = place.send(receiver, "--retry", "3", file, code=REFUSED)
    assert sent.told("retry") == []


def test_a_sender_that_is_not_authorised_is_told_once(place):
    receiver = place.receiver()
    sent = place.send(receiver, "--retry", "3", place.file("x", b"1"), home="stranger", code=NOT_TRUSTED)
    assert sent.told("retry") == []


def test_damage_that_the_sender_finds_is_mended_too(place):
    receiver = place.receiver()
    probe = place.link(receiver)
    place.send(probe, place.file("probe", b"x"))
    # In the first record that the receiver sends.
    link = place.link(receiver, Pass, first(lambda: Flip(records_begin(probe.from_receiver[0]) + 20)))
    file = place.file("cargo", content(SIZE))
    sent = place.send(link, "--retry", "1", file)
    assert [event["status"] for event in sent.told("retry")] == ["integrity"], sent
    assert sha256(place.received / "cargo") == sha256(file) and place.litter() == []


def test_standard_input_is_not_sent_by_halves(place):
    receiver = place.receiver()
    link = place.link(receiver, first(lambda: CutAt(3_000_000)))
    file = place.file("cargo", content(100_000))
    sender = place.sender(link, "--retry", "3", "-", file, stdin=subprocess.PIPE)
    try:
        with sender.process.stdin as pipe:
            pipe.write(content(8_000_000))
    except BrokenPipeError:
        pass
    sender.ended(SOME)
    data, = sender.told("result", kind="data")
    assert not data["ok"] and "cannot be read again" in data["error"]
    assert len(sender.told("retry")) == 1
    assert place.arrived() == [b"cargo"]


def test_standard_input_alone_is_not_tried_again(place):
    receiver = place.receiver()
    link = place.link(receiver, first(lambda: CutAt(3_000_000)))
    sent = place.send(link, "--retry", "3", "-", input=content(8_000_000), code=LINK)
    assert sent.told("retry") == []
    assert place.arrived() == []


# ---- Once, and by one ----


def test_what_was_delivered_when_the_answer_was_lost_does_not_arrive_twice(place):
    receiver = place.receiver()
    probe = place.link(receiver)
    place.send(probe, "--message", "first")
    begin = records_begin(probe.from_receiver[0])
    receiver.wait_until(lambda: receiver.told("disconnected"), "the end of the probe")
    hold = HoldAt(begin + 1)
    place.closing.callback(hold.release)
    link = place.link(receiver, Pass, first(lambda: hold))
    sender = place.sender(link, "--no-resume", "--retry", "3", "--message", "ahoy", place.file("cargo", content(3_000_000)))
    receiver.wait_until(lambda: len(receiver.delivered()) == 3, "both deliveries")
    link.cut()
    sender.ended(OK)
    assert len(sender.told("retry")) == 1
    assert [(result["ok"], result["uncertain"] if "uncertain" in result else None) for result in sender.results] == [
        (True, None)] * 2
    assert all("stored as" in result["response"] for result in sender.results)
    assert [message["text"] for message in receiver.told("message")] == ["first", "ahoy"]
    assert len(receiver.delivered()) == 3
    assert b"cargo (1)" not in place.arrived() and b"cargo" in place.arrived()
    receiver.stop_well()


def test_a_source_that_is_gone_when_it_would_be_sent_again_may_have_arrived(place):
    receiver = place.receiver()
    probe = place.link(receiver)
    place.send(probe, "--message", "first")
    begin = records_begin(probe.from_receiver[0])
    receiver.wait_until(lambda: receiver.told("disconnected"), "the end of the probe")
    hold = HoldAt(begin + 1)
    place.closing.callback(hold.release)
    link = place.link(receiver, Pass, first(lambda: hold))
    file = place.file("cargo", content(3_000_000))
    sender = place.sender(link, "--no-resume", "--retry", "3", file)
    receiver.wait_until(lambda: len(receiver.delivered()) == 2, "the delivery")
    os.remove(file)
    link.cut()
    sender.ended(None)
    result, = sender.results
    assert (result["ok"], result["uncertain"]) == (False, True)
    assert b"perhaps not sent: file cargo" in sender.err


def test_takes_over_from_a_connection_that_looks_alive(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    link = Vanishing(place, receiver, SIZE // 2)
    sender = place.sender(link, "--retry", "3", file)
    link.vanish()
    sender.ended(OK)
    assert len(sender.told("retry")) == 1
    assert sender.results[0]["resumed_from"] > 0
    assert place.arrived() == [b"cargo"] and place.litter() == []
    assert sha256(place.received / "cargo") == sha256(file)
    # That connection is over, before any time-out.
    receiver.wait_until(lambda: receiver.told("disconnected", connection=1), "the end of the first connection")
    receiver.stop_well()


def test_a_sender_that_is_run_again_takes_over_from_a_connection_that_looks_alive(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    link = Vanishing(place, receiver, SIZE // 2)
    sender = place.sender(link, file)
    link.vanish()
    sender.ended(LINK)
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] > 0
    assert place.arrived() == [b"cargo"] and place.litter() == []
    assert sha256(place.received / "cargo") == sha256(file)


def test_a_stranger_with_the_same_file_begins_anew_and_harms_nobody(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver(authorized=("sender", "other"))
    hold = HoldAt(SIZE // 2)
    place.closing.callback(hold.release)
    sender = place.sender(place.link(receiver, lambda: hold), file)
    hold.wait()
    sent = place.send(receiver, file, home="other")
    assert sent.results[0]["resumed_from"] == 0
    hold.release()
    sender.ended(OK)
    assert sender.results[0]["outcome"] == "already there"
    assert place.arrived() == [b"cargo"] and place.litter() == []
    assert sha256(place.received / "cargo") == sha256(file)


# ---- A source that changes between two attempts ----


def change_while_cut(place, change):
    """Sends half of a file, then changes it before the next attempt goes on; returns the sender and the file."""
    file = place.file("cargo", content(SIZE))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    receiver = place.receiver()
    hold = HoldAt(1)
    place.closing.callback(hold.release)
    sender = place.sender(place.link(receiver, first(lambda: CutAt(SIZE // 2), lambda: hold)), "--retry", "3", file)
    hold.wait()
    change(file)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    hold.release()
    sender.ended(OK)
    assert sender.results[0]["resumed_from"] == 0
    assert place.arrived() == [b"cargo"]
    assert sha256(place.received / "cargo") == sha256(file)
    receiver.stop_well()


def test_other_content_of_the_same_size_and_time_starts_over(place):
    change_while_cut(place, lambda file: file.write_bytes(content(SIZE, b"another cargo")))


def test_a_source_that_shrank_below_what_was_sent_starts_over(place):
    change_while_cut(place, lambda file: os.truncate(file, SIZE // 8))


def test_a_source_that_grew_starts_over(place):
    change_while_cut(place, lambda file: file.write_bytes(content(SIZE) + b"more"))
