# SPDX-License-Identifier: BSD-2-Clause
"""A transfer that was cut goes on from where it was, if the source is still the same."""
import os

from support import LINK, OK, SOME, CutAt, HoldAt, content, scaled, sha256

SIZE = scaled(32) << 20


def cut_transfer(place, file, *options):
    receiver = place.receiver()
    link = place.link(receiver, lambda: CutAt(SIZE // 2))
    place.sender(link, file, *options).ended(LINK)
    receiver.expect_event("disconnected")
    assert place.arrived() == []
    return receiver


def test_resume_goes_on(place):
    file = place.file("cargo", content(SIZE))
    receiver = cut_transfer(place, file)
    assert len(place.litter()) >= 1
    sent = place.send(receiver, file)
    result = sent.results[0]
    assert SIZE // 4 < result["resumed_from"] <= SIZE // 2
    assert result["resumed_from"] + result["bytes"] == SIZE
    assert receiver.delivered()[0]["resumed_from"] == result["resumed_from"]
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.litter() == []


def test_resume_after_the_receiver_was_killed(place):
    file = place.file("cargo", content(SIZE))
    receiver = cut_transfer(place, file)
    receiver.kill()
    again = place.receiver()
    sent = place.send(again, file)
    assert sent.results[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)


def test_changed_source_starts_over(place):
    file = place.file("cargo", content(SIZE))
    receiver = cut_transfer(place, file)
    file.write_bytes(content(SIZE, b"another cargo"))
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] == 0
    assert (place.received / "cargo").read_bytes() == content(SIZE, b"another cargo")
    receiver.stop_well()


def test_source_changed_without_a_trace_starts_over(place):
    """Same length, same time: the content decides."""
    file = place.file("cargo", content(SIZE))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    receiver = cut_transfer(place, file)
    file.write_bytes(content(SIZE, b"another cargo"))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] == 0
    assert (place.received / "cargo").read_bytes() == content(SIZE, b"another cargo")


def test_source_of_another_size_starts_over(place):
    """Shorter than what had come, and longer; with the time that it had."""
    for size in (SIZE // 8, SIZE + 1):
        file = place.file(f"cargo-{size}", content(SIZE))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        receiver = cut_transfer(place, file)
        os.truncate(file, size)
        os.utime(file, (1_000_000_000, 1_000_000_000))
        sent = place.send(receiver, file)
        assert sent.results[0]["resumed_from"] == 0
        assert sha256(place.received / file.name) == sha256(file)
        os.unlink(place.received / file.name)


def test_altered_partial_file_starts_over(place):
    file = place.file("cargo", content(SIZE))
    receiver = cut_transfer(place, file)
    partials = [place.received / ".wherry-partial" / name.decode() for name in place.litter()]
    largest = max(partials, key=lambda path: path.stat().st_size)
    with open(largest, "r+b") as partial:
        partial.seek(1000)
        partial.write(b"rot")
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] == 0
    assert sha256(place.received / "cargo") == sha256(file)


def test_one_sender_does_not_resume_what_another_began(place):
    file = place.file("cargo", content(SIZE))
    receiver = cut_transfer(place, file)
    place.authorize("other")
    sent = place.send(receiver, file, home="other")
    assert sent.results[0]["resumed_from"] == 0
    assert sha256(place.received / "cargo") == sha256(file)


def test_without_resume_a_cut_leaves_nothing(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver()
    place.sender(place.link(receiver, lambda: CutAt(SIZE // 2)), "--no-resume", file).ended(LINK)
    receiver.stop_well()
    assert place.arrived() == [] and place.litter() == []


def test_a_lifetime_of_nothing_keeps_no_part(place):
    file = place.file("cargo", content(SIZE))
    receiver = place.receiver("--filesystem.partial-lifetime", "0")
    place.sender(place.link(receiver, lambda: CutAt(SIZE // 2)), file).ended(LINK)
    receiver.expect_event("disconnected")
    assert place.arrived() == [] and place.litter() == []
    receiver.stop_well()


def test_resume_of_what_was_never_cut(place):
    receiver = place.receiver()
    sent = place.send(receiver, place.file("new", content(100_000)), place.file("empty", b""))
    assert {r["resumed_from"] for r in sent.results} == {0}
    assert place.arrived() == [b"empty", b"new"]
    assert sent.code == OK


def test_a_file_that_is_refused_before_its_turn_holds_up_none(place):
    """Large files are announced ahead; one that has its result by the time the file before it is sent is passed over."""
    sizes = {"first": 40 << 20, "too-large": 60 << 20, "second": 2 << 20, "third": 3 << 20}
    files = [place.file(name, content(size)) for name, size in sizes.items()]
    receiver = place.receiver("--filesystem.max-size", "50MiB")
    hold = HoldAt(4 << 20)
    sender = place.sender(place.link(receiver, lambda: hold), *files)
    hold.wait()
    sender.expect_event("result", name="too-large")
    hold.release()
    sender.ended(SOME)
    assert {result["name"]: result["status"] for result in sender.results} == {
        "first": "ok", "too-large": "refused", "second": "ok", "third": "ok"}
