# SPDX-License-Identifier: BSD-2-Clause
"""A receiver that is killed between storing and answering stores nothing twice, and what is there already is not sent,
or not stored, again."""
import os
import subprocess

import pytest

from support import LINK, OK, USAGE, CutAt, Pass, content, killed_at, scaled, tree

KILLED = -9
# Before the journal's sync, before the renaming, and before the sync of the folder, behind those of the journal's own.
CALLS = ("journal:1", "place:1", "folder:3")


def already_there(sent):
    return sorted(result["name"] for result in sent.results if result.get("outcome") == "already there")


def files(folder):
    """A folder that a killed receiver has made keeps the mode that it was made with."""
    return {name: what for name, what in tree(folder).items() if what[0] != "folder"}


# ---- Killed ----


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["file", "small", "message", "pipe"])
def test_nothing_is_stored_twice(place, call, kind):
    """The receiver is killed while it stores, and another takes its place at the same address."""
    dying = place.receiver(wrapper=killed_at(call))
    arguments = {"file": [place.file("cargo", content(2 << 20))], "small": [place.file("cargo", b"small")],
                 "message": ["--message", "hello"], "pipe": ["-"]}[kind]
    sending = place.sender(dying, "--retry", "20", *arguments, stdin=subprocess.PIPE)
    with sending.process.stdin as pipe:
        pipe.write(b"piped")
    assert dying.wait() == KILLED, dying
    again = place.receiver(address=dying.address)
    sent = sending.ended(LINK if kind == "pipe" else OK)
    again.stop_well()
    if kind == "pipe":
        # What was read cannot be read again: it is there once, or not at all.
        assert len(place.arrived()) <= 1
    else:
        assert len(place.arrived()) == 1, place.arrived()
        assert sent.results[0]["ok"]
    assert place.litter() == []


def test_a_killed_receiver_is_not_asked_twice_for_what_it_answered(place):
    """Of a folder that was interrupted each file is there once, under its own name, whatever had been answered."""
    folder = place.folder / "source"
    for number in range(scaled(200)):
        path = folder / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(100 + number, b"%d" % number))
    dying = place.receiver(wrapper=killed_at("folder:12"))
    sending = place.sender(dying, "--retry", "20", folder)
    assert dying.wait() == KILLED, dying
    again = place.receiver(address=dying.address)
    sending.ended(OK)
    again.stop_well()
    assert files(place.received / "source") == files(folder)


def test_the_journal_of_a_newer_wherry_is_refused(place):
    area = place.received / ".wherry-partial"
    area.mkdir(parents=True)
    (area / "journal").write_bytes(b"wherryJ\n\0\0\0\x09")
    os.chmod(area, 0o700)
    ended = place.run("receive", "--home", place.home("receiver"), "--filesystem.directory", place.received,
                      "127.0.0.1:0", code=USAGE)
    assert b"journal" in ended.err and b"newer wherry (format 9" in ended.err


# ---- Already there ----


@pytest.mark.parametrize("existing", ["rename", "refuse", "overwrite"])
def test_a_folder_that_is_sent_twice_is_stored_once(place, existing):
    folder = place.folder / "source"
    (folder / "deep").mkdir(parents=True)
    for number in range(5):
        (folder / "deep" / f"{number}").write_bytes(content(1000 * number, b"%d" % number))
    receiver = place.receiver("--filesystem.existing", existing)
    assert already_there(place.send(receiver, folder)) == []
    before = tree(place.received)
    sent = place.send(receiver, folder)
    assert already_there(sent) == [f"source/deep/{number}" for number in range(5)]
    assert sent.told("done")[0]["already_there"] == 5
    receiver.stop_well()
    after = tree(place.received)
    journal = b".wherry-partial/journal"
    assert {name: what for name, what in after.items() if name != journal} == \
        {name: what for name, what in before.items() if name != journal}


# ---- Update ----


def test_update_and_no_resume_do_not_go_together(place):
    receiver = place.receiver()
    ended = place.plain_send(receiver, "--update", "--no-resume", place.file("a", b"a"), code=USAGE)
    assert b"--no-resume" in ended.err


def test_update_moves_only_the_rest(place):
    """What moves is what rsync says."""
    folder = place.folder / "source"
    count = scaled(3000)
    for number in range(count):
        path = folder / f"{number % 20}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        # 2 MB in all, which are several records: nothing of one that is cut has arrived.
        path.write_bytes(content((10 + number % 300) * 12_000 // count, b"%d" % number))
    receiver = place.receiver("--filesystem.existing", "overwrite")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    makers = iter([lambda: CutAt((total + count * 100) // 2)])
    cut = place.link(receiver, lambda: next(makers, Pass)())
    place.sender(cut, folder).ended(None)
    receiver.expect_event("disconnected")  # it stores what had come until then
    # Changes after the first attempt: content, time, one that is gone at the receiver, and one that is new.
    arrived = sorted(path for path in (place.received / "source").rglob("*") if path.is_file())
    assert 10 < len(arrived) < count
    relative = [path.relative_to(place.received / "source") for path in arrived]
    (folder / relative[0]).write_bytes(b"changed")
    os.utime(folder / relative[1], (1, 1))
    arrived[2].unlink()
    (folder / "large").write_bytes(content(3 << 20))

    listed = subprocess.run(["rsync", "-rtn", "--out-format=%n", f"{folder}/", f"{place.received}/source/"],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    to_move = sorted(f"source/{name}" for name in listed if not name.endswith("/"))
    sent = place.send(receiver, "--update", folder)
    moved = sorted(result["name"] for result in sent.results
                   if result["kind"] == "file" and result["bytes"] > 0)
    assert moved == to_move
    receiver.stop_well()
    assert tree(place.received / "source") == tree(folder)


def test_modes_of_read_only_folders_are_kept_and_updated(place):
    folder = place.folder / "source"
    modes = {"": 0o555, "private": 0o500, "private/deep": 0o555, "private/deep/empty": 0o500, "open": 0o755}
    for name in modes:
        (folder / name).mkdir()
    for name in ("a", "private/b", "private/deep/c", "open/d"):
        (folder / name).write_bytes(name.encode())

    def set_modes(top, of):
        for name in sorted(modes, reverse=True):
            (top / name).chmod(of(name))

    set_modes(folder, modes.get)
    try:
        receiver = place.receiver("--filesystem.existing", "overwrite")
        place.send(receiver, folder)
        assert tree(place.received / "source") == tree(folder)
        assert (place.received / "source").stat().st_mode & 0o7777 == 0o555
        sent = place.send(receiver, "--update", folder)
        assert sum(result["bytes"] for result in sent.results) == 0
        receiver.stop_well()
        # The next receiver knows nothing of the folders.
        set_modes(folder, lambda name: 0o755)
        (folder / "private/b").write_bytes(b"changed")
        (folder / "private/deep/new").mkdir(mode=0o755)
        (folder / "private/deep/new/e").write_bytes(b"e")
        set_modes(folder, modes.get)
        receiver = place.receiver("--filesystem.existing", "overwrite")
        place.send(receiver, "--update", folder)
        receiver.stop_well()
        assert tree(place.received / "source") == tree(folder)
        assert (place.received / "source").stat().st_mode & 0o7777 == 0o555 and place.litter() == []
    finally:
        for top in (folder, place.received / "source"):
            for name in [name for name in modes if (top / name).is_dir()]:
                (top / name).chmod(0o755)


def test_another_key_sends_everything_again(place):
    folder = place.folder / "source"
    folder.mkdir()
    (folder / "a").write_bytes(b"content")
    receiver = place.receiver()
    place.send(receiver, folder)
    sent = place.send(receiver, "--update", folder)
    assert [result["bytes"] for result in sent.results if result["kind"] == "file"] == [0]
    assert already_there(sent) == ["source/a"]
