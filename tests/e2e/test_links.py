# SPDX-License-Identifier: BSD-2-Clause
"""Links that alter, cut, repeat or reorder what goes through them: the receiver takes whole and verified deliveries or
none, and somebody hears of it."""
import random
import socket
import threading

from peer import Peer
from support import (INTEGRITY, LINK, NOT_TRUSTED, OK, CutAt, Flip, FlipAndCut, HoldAt, Pass, Records, content,
                     records_begin, records_of, scaled)

OLD = b"an old file of that name"


# What a sender may make of a link that cuts or alters records; or the handshake, where its own or the receiver's proof
# fails. Where they seem to have nothing in common, that is the link's.
RECORD_CODES = (LINK, INTEGRITY)
OPENING_CODES = (LINK, INTEGRITY, NOT_TRUSTED)
DAMAGED = "what arrived was damaged on the way; send it again"


def no_harm_done(place, sent, codes=RECORD_CODES):
    """A transfer that the link spoilt left nothing behind, and did not look like a success."""
    assert sent.wait() in codes, sent
    assert sent.told("error") and [r["status"] == "ok" for r in sent.results] == [False], sent
    assert place.arrived() == [b"cargo"]
    assert (place.received / "cargo").read_bytes() == OLD


class CleanRun:
    """What each side says in a transfer that nothing disturbs; an old file of the name is in its place then."""

    def __init__(self, place, receiver, file):
        link = place.link(receiver)
        place.send(link, file)
        self.from_sender, self.from_receiver = bytes(link.from_sender[0]), bytes(link.from_receiver[0])
        self.start = records_begin(self.from_sender)
        self.records = records_of(self.from_sender, self.start)
        assert len(self.records) >= 4 and self.start + sum(map(len, self.records)) == len(self.from_sender)
        # BYE goes alone at the end, when all has been answered.
        self.end = len(self.from_sender) - len(self.records[-1])
        (place.received / file.name).write_bytes(OLD)


def offsets_of_every_kind(stream, count):
    """Offsets in the preface, the handshake, and the lengths, bodies and ends of records."""
    start = records_begin(stream)
    chosen = {0, 8, 9, 10, 15, 16, 17, 18, 19, 25, start - 1}
    records = records_of(stream, start)
    at = start
    for number, record in enumerate(records):
        if number < 2 or number >= len(records) - 2:
            end = at + len(record)
            chosen |= {at, at + 1, at + 2, at + 3, at + 4, (at + end) // 2, end - 16, end - 1}
        at += len(record)
    chosen = {offset for offset in chosen if offset < len(stream)}
    more = random.Random(7)
    while len(chosen) < count:
        chosen.add(more.randrange(len(stream)))
    return sorted(more.sample(sorted(chosen), count))


def place_of(offset, clean):
    """Whether the byte belongs to the opening, a record's length, or its body."""
    at = clean.start
    for record in clean.records:
        if at <= offset < at + len(record):
            return "length" if offset < at + 4 else "body"
        at += len(record)
    return "opening"


def test_one_flipped_bit_on_the_way_to_the_receiver(place):
    receiver = place.receiver("--filesystem.existing", "overwrite", "--handshake-timeout", "2s")
    file = place.file("cargo", content(600_000))
    clean = CleanRun(place, receiver, file)
    before = len(receiver.told("disconnected"))
    for number, offset in enumerate(offsets_of_every_kind(clean.from_sender[:clean.end], scaled(80))):
        link = place.link(receiver, lambda: FlipAndCut(offset, number % 8, clean.end))
        part = place_of(offset, clean)
        sent = place.sender(link, file, "--handshake-timeout", "2s")
        no_harm_done(place, sent, OPENING_CODES if part == "opening" else RECORD_CODES)
        if part == "body" and offset >= clean.start + len(clean.records[0]):
            assert [(r["status"], r["remote"], r["error"]) for r in sent.results] == [("integrity", True, DAMAGED)], sent
            assert sent.code == INTEGRITY
        link.close()
        ended = receiver.wait_until(lambda: receiver.told("disconnected")[before + number:], "the end of the connection")
        assert ended[0]["ok"] is False
        if part == "body":
            assert ended[0]["status"] == "integrity", (offset, ended)
        elif part == "length":
            assert ended[0]["status"] in ("integrity", "protocol", "disconnected"), (offset, ended)
    assert len(receiver.delivered()) == 1  # by the clean run
    place.send(receiver, file)
    assert (place.received / "cargo").read_bytes() == content(600_000)
    receiver.stop_well()
    assert place.litter() == []


def test_damage_is_mended_by_another_attempt(place):
    receiver = place.receiver()
    file = place.file("cargo", content(4_000_000))
    harms = iter([Flip(3_000_000)])
    link = place.link(receiver, lambda: next(harms, None) or Pass())
    sent = place.sender(link, "--retry", "1", file).ended(OK)
    assert [e["status"] for e in sent.told("retry")] == ["integrity"], sent
    assert "damaged on the way" in sent.told("retry")[0]["error"]
    assert sent.results[0]["resumed_from"] > 0
    assert (place.received / "cargo").read_bytes() == content(4_000_000)
    receiver.stop_well()


def test_nothing_in_common_is_not_tried_again(place):
    receiver = place.receiver("--hybrid.aead", "chacha20-poly1305")
    sent = place.sender(receiver, "--hybrid.aead", "aes-256-gcm", "--retry", "3", place.file("cargo", b"x")).ended(LINK)
    assert sent.told("retry") == [], sent
    assert "allows chacha20-poly1305, or the handshake was altered on the way" in sent.told("error")[0]["error"], sent
    receiver.stop_well()


def test_length_that_promises_more_than_comes(place):
    """A peer that is alive but does not go on with its record is not waited for without end."""
    receiver = place.receiver("--io-timeout", "10s")
    file = place.file("cargo", content(600_000))
    clean = CleanRun(place, receiver, file)
    link = place.link(receiver, lambda: Flip(clean.start + 1, bit=3))  # half a MiB more
    sender = place.sender(link, file, "--io-timeout", "10s")
    failure = receiver.wait_until(lambda: [e for e in receiver.told("disconnected") if not e["ok"]], "the failure")
    assert failure[0]["status"] in ("timed_out", "integrity", "protocol")
    assert sender.wait() in (LINK, INTEGRITY)
    assert (place.received / "cargo").read_bytes() == OLD


def test_one_flipped_bit_on_the_way_back(place):
    """The sender must not take a spoilt answer for a promise."""
    receiver = place.receiver("--sink", "null", "--handshake-timeout", "2s")
    file = place.file("cargo", content(100_000))
    link = place.link(receiver)
    place.send(link, file)
    stream = bytes(link.from_receiver[0])
    start = records_begin(stream)
    result_ends = start + sum(map(len, records_of(stream, start)[:-1]))
    for number, offset in enumerate(offsets_of_every_kind(stream[:result_ends], scaled(40))):
        link = place.link(receiver, to_sender=lambda: FlipAndCut(offset, number % 8, result_ends))
        sent = place.sender(link, file, "--handshake-timeout", "2s")
        assert sent.wait() in (OPENING_CODES if offset < start else RECORD_CODES), sent
        assert [r["status"] == "ok" for r in sent.results] == [False], sent
        link.close()
    place.send(receiver, file)
    receiver.stop_well()


def test_link_cut_at_every_kind_of_offset(place):
    receiver = place.receiver("--filesystem.existing", "overwrite")
    file = place.file("cargo", content(600_000))
    clean = CleanRun(place, receiver, file)
    for offset in offsets_of_every_kind(clean.from_sender[:clean.end], scaled(60)):
        link = place.link(receiver, lambda: CutAt(offset))
        no_harm_done(place, place.sender(link, file))
        link.close()
    receiver.stop_well()
    assert len(receiver.delivered()) == 1  # by the clean run
    assert place.litter() == []


def test_link_cut_before_the_sender_hears_of_success(place):
    """It cannot know, so it must not say that it worked; the receiver may well have the file."""
    receiver = place.receiver()
    file = place.file("cargo", content(600_000))
    clean = CleanRun(place, receiver, file)
    link = place.link(receiver, to_sender=lambda: CutAt(records_begin(clean.from_receiver) + 2))
    sent = place.sender(link, file).ended(LINK)
    assert [r["status"] for r in sent.results] == ["disconnected"]
    receiver.stop_well()


def test_records_repeated_swapped_and_left_out(place):
    receiver = place.receiver("--filesystem.existing", "overwrite")
    file = place.file("cargo", content(2_000_000))
    clean = CleanRun(place, receiver, file)
    held = []

    def swapped(number, record):
        if number == 1:
            held.append(record)
            return b""
        return record + held.pop() if number == 2 else record

    changes = {
        "repeated": lambda number, record: record * 2 if number == 1 else record,
        "swapped": swapped,
        "left out": lambda number, record: b"" if number == 1 else record,
        "turned round": lambda number, record: record[:4] + record[4:][::-1] if number == 1 else record,
        "too long": lambda number, record: (1 << 30).to_bytes(4, "big") + record[4:] if number == 1 else record,
        "empty": lambda number, record: bytes(4) + record if number == 1 else record,
        "shorter": lambda number, record:
            (len(record) - 5).to_bytes(4, "big") + record[4:-1] if number == 1 else record,
        "repeated later": lambda number, record: record + held[0] if number == 3 else (held.append(record) or record),
    }
    for count, (what, change) in enumerate(changes.items()):
        held.clear()
        link = place.link(receiver, lambda: Records(clean.start, change))
        no_harm_done(place, place.sender(link, "--no-resume", file))
        link.close()
        ended = receiver.wait_until(lambda: receiver.told("disconnected")[1 + count:], "the end of the connection")
        assert ended[0]["status"] in ("integrity", "protocol"), (what, ended)
    receiver.stop_well()
    assert place.litter() == []


def test_end_of_the_stream_in_place_of_the_last_record(place):
    """A stream that ends in order between two records, but without BYE, was cut."""
    receiver = place.receiver("--filesystem.existing", "overwrite")
    file = place.file("cargo", content(600_000))
    clean = CleanRun(place, receiver, file)
    for number in (1, len(clean.records) - 2):
        end = clean.start + sum(map(len, clean.records[:number]))
        link = place.link(receiver, lambda: CutAt(end))
        no_harm_done(place, place.sender(link, "--no-resume", file))
        link.close()
    receiver.stop_well()
    assert all(not e["ok"] for e in receiver.told("disconnected")[1:])
    assert place.litter() == []


def test_captured_connection_said_again(place):
    """Word for word, by somebody without a key: nothing is delivered twice."""
    receiver = place.receiver()
    link = place.link(receiver)
    place.send(link, place.file("order", b"ten barrels"))
    captured = bytes(link.from_sender[0])
    assert len(receiver.delivered()) == 1

    for _ in range(3):
        thief = Peer(receiver, hello=None)
        place.closing.callback(thief.close)
        thief.say(captured)
        assert thief.is_closed()
    receiver.wait_until(lambda: len(receiver.told("disconnected")) >= 4, "the end of all connections")
    assert len(receiver.delivered()) == 1
    assert place.arrived() == [b"order"] and place.litter() == []
    receiver.stop_well()


def test_other_transfers_are_not_harmed(place):
    """While one link is cut and another spoilt, a third delivers."""
    receiver = place.receiver(authorized=("sender", "cut", "spoilt"))
    size = scaled(16) << 20
    good, cut, spoilt = (place.file(name, content(size, name.encode())) for name in ("good", "cut", "spoilt"))
    holding = HoldAt(size // 2)
    senders = [place.sender(place.link(receiver, lambda: holding), good),
               place.sender(place.link(receiver, lambda: CutAt(size // 2)), "--no-resume", cut, home="cut"),
               place.sender(place.link(receiver, lambda: Flip(size // 2)), "--no-resume", spoilt, home="spoilt")]
    holding.wait()
    assert senders[1].wait() in (LINK, INTEGRITY)
    assert senders[2].wait() in (LINK, INTEGRITY)
    holding.release()
    senders[0].ended(OK)
    assert place.arrived() == [b"good"]
    assert (place.received / "good").read_bytes() == content(size, b"good")
    receiver.stop_well()
    assert place.litter() == []


def test_link_that_gives_a_few_bytes_at_a_time(place):
    receiver = place.receiver()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        near, _ = listener.accept()
        far = socket.create_connection(receiver.endpoint)
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pump(source, target):
            try:
                while piece := source.recv(4096):
                    for at in range(0, len(piece), 7):
                        target.sendall(piece[at:at + 7])
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        other = threading.Thread(target=pump, args=(far, near), daemon=True)
        other.start()
        pump(near, far)
        other.join()
        near.close()
        far.close()

    threading.Thread(target=serve, daemon=True).start()
    place.closing.callback(listener.close)
    place.send("127.0.0.1:%d" % listener.getsockname()[1], place.file("cargo", content(30_000)), "--message", "ahoy")
    assert len(place.arrived()) == 2
