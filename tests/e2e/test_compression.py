# SPDX-License-Identifier: BSD-2-Clause
"""`wherry send --compress`: what crosses the link is counted, and what arrives is compared; never how long it took."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peer import CRITICAL, DATA, END, OFFER, PACKED, Peer, field, frame, offer, preface, record
from support import LINK, OK, REFUSED, USAGE, CutAt, Pass, Throttle, content, records_of, scaled, sha256

MAKE_MODEL = Path(__file__).parents[2] / "scripts/make-model"
# The other side of these tests: zstd's own program.
ZSTD = shutil.which("zstd")
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="the program zstd is missing; scripts/packages test installs it")

PLAIN = ("--cipher", "none", "--insecure")


def zstd(*options, data):
    """A zstd frame; where nothing else is said its window is 1 MiB."""
    return subprocess.run([ZSTD, "-q", "-c", "--zstd=wlog=20", *options], input=data, capture_output=True, check=True).stdout


def compressible(size):
    lines = b"".join(b"%d,%d,normal\n" % (i, i * 2654435761 % 9973) for i in range(size // 12 + 1))
    return lines[:size]


def text_model(place, triangles):
    path = place.file("skull.stl")
    subprocess.run([sys.executable, MAKE_MODEL, "--text", path, str(triangles)], check=True)
    return path


def frames_in(stream, start):
    """The frames in what one side of a session without a cipher said."""
    for one in records_of(stream, start):
        body = one[4:]
        while body:
            length = int.from_bytes(body[6:10], "big")
            yield body[0], int.from_bytes(body[2:6], "big"), body[10:10 + length]
            body = body[10 + length:]


def packed_offer(name, size=None):
    """An offer of content that may come compressed: field 6 is 1."""
    return offer(name, size, more=field(6, b"\x01", critical=True))


def test_a_text_model_crosses_a_slow_link_in_well_under_half(place):
    receiver = place.receiver()
    model = text_model(place, scaled(80_000))
    size = model.stat().st_size
    crossed = {}
    for how in ("none", "auto", "zstd"):
        link = place.link(receiver, to_receiver=lambda: Throttle(size))
        options = () if how == "auto" else ("--compress", how)  # auto is what there is without a word
        sent = place.send(link, *options, model)
        crossed[how] = len(link.from_sender[0])
        assert sha256(place.received / model.name) == sha256(model)
        (place.received / model.name).unlink()
        result, = sent.results
        assert result["bytes"] == result["size"] == size
        assert result["bytes_on_link"] < crossed[how] < result["bytes_on_link"] + 64 * 1024
        assert sent.told("done")[0]["bytes_on_link"] == result["bytes_on_link"]
        assert receiver.told("result", status="ok")[-1]["bytes_on_link"] == result["bytes_on_link"]
        # Progress is of the content.
        assert all(p["total_bytes"] == size for p in sent.told("progress"))
    assert crossed["none"] > size
    assert crossed["zstd"] < 0.25 * size
    assert crossed["auto"] < 0.4 * size
    receiver.stop_well()


def test_what_does_not_shrink_crosses_as_it_is(place):
    receiver = place.receiver()
    file = place.file("noise", content(scaled(6_000_000)))
    link = place.link(receiver, to_receiver=lambda: Throttle(6_000_000))
    sent = place.send(link, file)
    assert sent.results[0]["bytes_on_link"] == file.stat().st_size
    assert sha256(place.received / "noise") == sha256(file)


def test_every_kind_of_item_and_size(place):
    """Through each mode, with a digest; sizes around those of zstd's blocks and of records."""
    receiver = place.receiver()
    sizes = [0, 1, 2, 255, 256, 257, 4096, 131071, 131072, 131073, 262144, 1 << 20, (1 << 20) + 1]
    for how in ("auto", "zstd", "none"):
        items = []
        for size in sizes:
            items.append(place.file(f"{how}/text-{size}", compressible(size)))
            items.append(place.file(f"{how}/noise-{size}", content(size)))
        mixed = compressible(2_000_000) + content(5_000_000) + compressible(3_000_000)
        items.append(place.file(f"{how}/mixed", mixed))
        sent = place.send(receiver, "--compress", how, "--digest", "sha256", "--name", f"piped-{how}",
                          place.folder / "source" / how, "-", "--message", "m" * 5000, input=mixed)
        assert len(sent.results) == len(items) + 3
        for item in items:
            assert sha256(place.received / how / item.name) == sha256(item), item
        assert (place.received / f"piped-{how}").read_bytes() == mixed
        assert receiver.told("message")[-1]["text"] == "m" * 5000
    receiver.stop_well()


@needs_zstd
def test_another_implementation_expands_what_is_sent(place):
    """What goes into PACKED frames, as anybody else would read it who knows protocol.md and zstd."""
    receiver = place.receiver(*PLAIN, authorized=())
    text = compressible(3_000_000)
    for how, item in (("zstd", text), ("zstd", content(1_000_000)), ("zstd", b"x"),
                      ("auto", text + content(6_000_000) + text)):
        link = place.link(receiver)
        place.send(link, *PLAIN, "--compress", how, place.file("item", item))
        got, packed, kinds = b"", b"", []
        for kind, transfer, payload in frames_in(bytes(link.from_sender[0]), len(preface())):
            if kind not in (DATA, PACKED, END):
                continue
            assert transfer == 1
            if packed and kind != PACKED:  # only whole zstd frames, which end here
                got += subprocess.run([ZSTD, "-qdc", "-M1MiB"], input=packed, capture_output=True, check=True).stdout
                packed = b""
            if kind == DATA:
                got += payload
            elif kind == PACKED:
                packed += payload
            kinds.append(kind)
        assert got == item
        assert PACKED in kinds and (how == "auto" or DATA not in kinds)
        (place.received / "item").unlink()


@needs_zstd
def test_what_another_implementation_sends_is_expanded(place):
    receiver = place.receiver(*PLAIN, authorized=())
    text = compressible(3_000_000)
    peer = Peer(receiver)
    transfer = 1
    for level, check in (("-1", "--check"), ("-3", "--no-check"), ("-19", "--check")):
        packed = zstd(level, check, data=text)
        peer.say(record(frame(OFFER, transfer, packed_offer(b"%d" % transfer, len(text)), CRITICAL)))
        for at in range(0, len(packed), 50_000):
            peer.say(record(frame(PACKED, transfer, packed[at:at + 50_000], CRITICAL)))
        peer.say(record(frame(END, transfer, field(1, len(text).to_bytes(8, "big")))))
        assert peer.outcome(transfer).status == 0
        assert (place.received / str(transfer)).read_bytes() == text
        transfer += 2
    peer.close()


@needs_zstd
def test_compressed_content_that_lies_ends_its_transfer_and_no_other(place):
    receiver = place.receiver(*PLAIN, authorized=())
    text = compressible(100_000)
    good = zstd("-3", data=text)
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    integrity, protocol = 9, 10
    lies = {
        "longer than offered": (good, len(text) - 1, integrity),
        "far longer than offered": (zstd("-3", data=bytes(7 << 20)), 1000, integrity),
        "shorter than offered": (good, len(text) + 1, integrity),
        "bytes behind its end": (good + b"\0", len(text), protocol),
        "another frame behind its end": (good + good, 2 * len(text), protocol),
        "cut": (good[:-1], len(text), protocol),
        "cut to its header": (good[:9], len(text), protocol),
        "a window of 8 MiB": (zstd("-3", "--zstd=wlog=23", data=compressible(9 << 20))[:60_000], 9 << 20, protocol),
        "a frame to skip": (skippable, 0, protocol),
        "a frame to skip before it": (skippable + good, len(text), protocol),
        "not compressed": (text, len(text), protocol),
        "nothing": (b"", 0, protocol),
    }
    peer = Peer(receiver)
    transfer = 1
    for name, (packed, size, status) in lies.items():
        file = name.replace(" ", "-").encode()
        peer.say(record(frame(OFFER, transfer, packed_offer(file, size), CRITICAL),
                        frame(PACKED, transfer, packed, CRITICAL),
                        frame(END, transfer, field(1, size.to_bytes(8, "big")))))
        answer = peer.outcome(transfer)
        assert answer.status == status, f"{name}: {answer.status} {answer.text}"
        transfer += 2
    peer.say(record(frame(OFFER, transfer, packed_offer(b"good", len(text)), CRITICAL),
                    frame(PACKED, transfer, good, CRITICAL), frame(END, transfer, field(1, len(text).to_bytes(8, "big")))))
    assert peer.outcome(transfer).status == 0
    assert place.arrived() == [b"good"]
    assert place.litter() == []
    peer.close()


def test_a_bomb_is_cut_off(place):
    """1 MiB that would expand to 32 GiB, of no size known beforehand."""
    receiver = place.receiver(*PLAIN, authorized=())
    block = b"\x02\x00\x10x"  # "x", 128 KiB times; not the last
    bomb = b"\x28\xb5\x2f\xfd\x00\x50" + block * 262_000
    peer = Peer(receiver)
    peer.say(record(frame(OFFER, 1, packed_offer(b"bomb"), CRITICAL)))
    peer.say(record(frame(PACKED, 1, bomb[:1_040_000], CRITICAL)))
    assert peer.is_closed()
    ended = receiver.expect_event("disconnected", ok=False)
    assert ended["status"] == "protocol" and "8 MiB" in ended["error"], ended
    assert receiver.told("result")[0]["bytes"] == 8 << 20
    assert place.arrived() == [] and place.litter() == []
    # Others are served as before.
    place.send(receiver, *PLAIN, place.file("good", b"good"))
    receiver.stop_well()


def test_compressed_content_that_was_not_offered_so_ends_the_connection(place):
    receiver = place.receiver(*PLAIN, authorized=())
    peer = Peer(receiver)
    peer.say(record(frame(OFFER, 1, offer(b"x", 5), CRITICAL), frame(PACKED, 1, b"hello", CRITICAL)))
    assert peer.is_closed()
    assert receiver.expect_event("disconnected", ok=False)["status"] == "protocol"
    assert place.arrived() == []


def test_a_resumed_file_goes_on_compressed(place):
    receiver = place.receiver()
    file = place.file("model", content(3_000_000) + compressible(9_000_000))
    cut = place.link(receiver, to_receiver=lambda: CutAt(2_000_000))
    place.send(cut, "--resume", "--digest", "sha256", "--compress", "zstd", file, code=LINK)
    receiver.expect_event("disconnected", ok=False)
    assert place.arrived() == []
    again = place.link(receiver)
    sent = place.send(again, "--resume", "--digest", "sha256", "--compress", "zstd", file)
    result, = sent.results
    assert result["resumed_from"] > 0
    assert result["bytes"] == file.stat().st_size - result["resumed_from"]
    assert result["bytes_on_link"] < result["bytes"] / 2
    assert sha256(place.received / "model") == sha256(file)


def test_lines_that_are_piped_in_do_not_wait_for_the_next(place):
    receiver = place.receiver(*PLAIN, authorized=())
    for how in ("auto", "zstd"):
        link = place.link(receiver)
        sender = place.sender(link, *PLAIN, "--compress", how, "--name", how, "-", stdin=subprocess.PIPE)
        pipe = sender.process.stdin
        for count in range(1, 4):
            pipe.write(b"temperature 36.%d degrees\n" % count)
            pipe.flush()
            # The receiver has it while the pipe stays open, and says nothing more.
            receiver.wait_until(lambda: [p for p in receiver.told("progress") if p["bytes"] >= 25 * count]
                                or partial_bytes(place) >= 25 * count, f"line {count}")
        pipe.close()
        sender.ended(OK)
        assert (place.received / how).read_bytes() == b"".join(b"temperature 36.%d degrees\n" % i for i in (1, 2, 3))


def partial_bytes(place):
    """What lies in the receiver's folder of a delivery that goes on."""
    area = os.path.join(place.received, ".wherry-partial")
    if not os.path.isdir(area):
        return 0
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, files in os.walk(area) for name in files
               if name != "format")


def test_a_sender_is_told_how_to_do_without(place):
    """A receiver that does not know the compression refuses, as this one does with a kind of the future."""
    receiver = place.receiver(*PLAIN, authorized=())

    class Future(Pass):
        def change(self, begin, piece):
            return piece.replace(field(6, b"\x01", critical=True), field(6, b"\x02", critical=True))

    link = place.link(receiver, to_receiver=Future)
    sent = place.send(link, *PLAIN, "--compress", "zstd", place.file("x", b"content"), code=REFUSED)
    assert sent.results[0]["status"] == "unsupported" and sent.results[0]["remote"]
    assert b"--compress none" in sent.err
    place.send(link, *PLAIN, "--compress", "none", place.file("x", b"content"))
    assert place.arrived() == [b"x"]


def test_the_mode_comes_from_the_environment_and_the_configuration(place):
    receiver = place.receiver()
    file = place.file("text", compressible(1_000_000))
    sent = place.send(receiver, file)
    assert sent.results[0]["bytes_on_link"] < 500_000
    (place.received / "text").unlink()
    (place.home("sender") / "config").write_text("compress = none\n")
    sent = place.send(receiver, file)
    assert sent.results[0]["bytes_on_link"] == 1_000_000
    (place.received / "text").unlink()
    sent = place.send(receiver, "--compress", "zstd", file)
    assert sent.results[0]["bytes_on_link"] < 500_000
    wrong = place.run("send", "--home", place.home("sender"), "--compress", "gzip", "--to", "tcp://127.0.0.1:9", file,
                      code=USAGE)
    assert b"--compress" in wrong.err and b"auto" in wrong.err
