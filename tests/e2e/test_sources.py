# SPDX-License-Identifier: BSD-2-Clause
"""Sources and disks that fail: the item fails with a reason, everything else goes on."""
import os
import shutil
import subprocess
import threading

import pytest

from support import AM_ROOT, BIN, LOCAL, OK, REFUSED, SOME, HoldAt, Sender, content, in_namespace, wait_for

SIZE = 32 << 20  # more than all buffers on the way hold, so that a link which stands still stops the sender


def held_transfer(place, file):
    """Starts to send `file`, and returns once half of it went, and it stands still."""
    receiver = place.receiver()
    hold = HoldAt(file.stat().st_size // 2)
    sender = place.sender(place.link(receiver, lambda: hold), file, "--message", "and a message")
    hold.wait()
    return receiver, hold, sender


def only_the_message_arrived(place, sender):
    assert [r["status"] == "ok" for r in sorted(sender.results, key=lambda r: r["kind"])] == [False, True], sender
    (failed,) = (r for r in sender.results if r["status"] != "ok")
    assert failed["status"] == "io" and "chang" in failed["error"], failed
    assert all(name.startswith(b"message") for name in place.arrived()) and len(place.arrived()) == 1
    wait_for(lambda: place.litter() == [], "the end of the partial file")


def test_file_grows_while_it_is_sent(place):
    file = place.file("cargo", content(SIZE))
    receiver, hold, sender = held_transfer(place, file)
    with open(file, "ab") as more:
        more.write(b"more")
    hold.release()
    sender.ended(SOME)
    only_the_message_arrived(place, sender)
    receiver.stop_well()


def test_file_shrinks_while_it_is_sent(place):
    file = place.file("cargo", content(SIZE))
    receiver, hold, sender = held_transfer(place, file)
    os.truncate(file, SIZE * 3 // 4)
    hold.release()
    sender.ended(SOME)
    only_the_message_arrived(place, sender)
    receiver.stop_well()


def test_file_is_overwritten_while_it_is_sent(place):
    """Same length, other content: a mixture of both must not arrive as if it were a file."""
    file = place.file("cargo", content(SIZE))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    receiver, hold, sender = held_transfer(place, file)
    with open(file, "r+b") as other:
        other.seek(SIZE - 100)
        other.write(b"otherwise")
    hold.release()
    sender.ended(SOME)
    only_the_message_arrived(place, sender)
    receiver.stop_well()


def test_file_is_replaced_while_it_is_sent(place):
    """What was opened is what is sent: a rename over it changes nothing."""
    file = place.file("cargo", content(SIZE))
    receiver, hold, sender = held_transfer(place, file)
    other = place.file("other", b"something else")
    os.replace(other, file)
    hold.release()
    sender.ended(OK)
    assert (place.received / "cargo").read_bytes() == content(SIZE)
    receiver.stop_well()


def test_unreadable_file(place):
    """The superuser reads everything, so somebody else sends."""
    receiver = place.receiver()
    good, locked = place.file("good", b"1"), place.file("locked", b"2", mode=0o000)
    place.file("hold/inside", b"3")
    place.file("hold/locked inside", b"4", mode=0o000)
    arguments = ["send", "--json", "--accept-new-peer", "--to", f"tcp://{receiver.address}", good, locked,
                 place.folder / "source/hold"]
    home = place.home("sender")
    wrapper = []
    if AM_ROOT:
        nobody = 65534
        # The receiver's own folder stays root's, and so does what is above it.
        place.folder.chmod(0o1777)
        for top in (place.folder / "source", home):
            for path in (top, *top.rglob("*")):
                os.chown(path, nobody, nobody)
        wrapper = ["setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups", "--"]
        for needed in (["test", "-w", place.folder], [BIN, "--version"]):
            if subprocess.run([*wrapper, *needed], capture_output=True).returncode != OK:
                pytest.skip("the program or the temporary folder lies where nobody else can go")
    sender = Sender([*wrapper, BIN, *arguments, "--home", home], place.env())
    place.closing.callback(sender.kill)
    sender.ended(SOME)
    assert place.arrived() == [b"good", b"hold/inside"]
    failed = {r["name"] for r in sender.results if r["status"] != "ok"}
    assert failed == {"locked", "hold/locked inside"}
    assert b"ermission denied" in sender.err


def test_nothing_that_can_be_read(place):
    receiver = place.receiver()
    sent = place.send(receiver, place.folder / "not there", place.folder / "nor there", code=LOCAL)
    assert b"not there" in sent.err and b"nor there" in sent.err


def test_special_files_are_not_sent(place):
    receiver = place.receiver()
    place.file("hold/file", b"1")
    os.mkfifo(place.folder / "source/hold/pipe")
    sent = place.send(receiver, place.folder / "source/hold", code=None)
    assert sent.code in (OK, SOME)
    assert place.arrived() == [b"hold/file"]
    assert b"pipe" in sent.err


def small_disk(place, size):
    """What puts a disk of that size below the receiver's folder, for the receiver alone."""
    place.received.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place.received]
    namespace = in_namespace("--mount", *mount)
    if not namespace:
        pytest.skip("only root may mount a small disk")
    return [*namespace, "sh", "-c", f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"', place.received]


def seen_by(receiver, path):
    return os.path.join(f"/proc/{receiver.pid}/root", os.fspath(path).lstrip("/"))


def test_disk_full(place):
    receiver = place.receiver(wrapper=small_disk(place, "4m"))
    folder = seen_by(receiver, place.received)
    place.send(receiver, place.file("first", b"old"))
    for size_is_known in (True, False):
        if size_is_known:
            sent = place.send(receiver, place.file("large", content(9 << 20)), place.file("small", b"fits"), code=SOME)
        else:
            sent = place.send(receiver, "-", "--name", "piped", input=content(9 << 20), code=REFUSED)
        bad = [r for r in sent.results if r["status"] != "ok"]
        assert [r["status"] for r in bad] == ["exhausted"], sent
        assert "space" in bad[0]["error"] or "is full" in bad[0]["error"], bad
    assert place.arrived(folder) == [b"first", b"small"]
    assert place.litter(folder) == []
    # What was full has room again.
    place.send(receiver, place.file("next", content(2 << 20)))
    assert place.arrived(folder) == [b"first", b"next", b"small"]
    receiver.stop_well()


def test_disk_fills_up_while_others_send(place):
    """Two deliveries that fit one by one, but not together."""
    receiver = place.receiver(wrapper=small_disk(place, "24m"), authorized=("sender", "other"))
    folder = seen_by(receiver, place.received)
    senders = [place.sender(receiver, "-", "--name", name, home=home, stdin=subprocess.PIPE)
               for name, home in (("one", "sender"), ("two", "other"))]

    def feed(sender):
        try:
            with sender.process.stdin as pipe:
                pipe.write(content(20 << 20))
        except BrokenPipeError:
            pass

    feeders = [threading.Thread(target=feed, args=(sender,), daemon=True) for sender in senders]
    for feeder in feeders:
        feeder.start()
    codes = sorted(sender.wait() for sender in senders)
    assert codes in ([OK, REFUSED], [REFUSED, REFUSED]), codes
    assert len(place.arrived(folder)) == codes.count(OK)
    assert place.litter(folder) == []
    receiver.stop_well()


def test_quota(place):
    receiver = place.receiver("--filesystem.quota", "100kB")  # 4 KiB of it for each file
    place.send(receiver, place.file("a", content(60_000)))
    sent = place.send(receiver, place.file("b", content(60_000)), code=REFUSED)
    assert "quota" in sent.results[0]["error"]
    place.send(receiver, place.file("c", content(30_000)))
    assert place.arrived() == [b"a", b"c"]


def test_folder_vanishes(place):
    receiver = place.receiver()
    place.send(receiver, "--message", "one")
    shutil.rmtree(place.received)
    sent = place.send(receiver, place.file("a", b"a"), code=None)
    if sent.code == OK:  # made again
        assert place.arrived() == [b"a"]
    else:
        assert sent.code == REFUSED, sent
        assert sent.results[0]["error"]
    receiver.stop_well()


def test_folder_that_cannot_be_written(place):
    """Told before anybody sends."""
    blocked = place.file("a file", b"")
    refused = place.run("receive", "--home", place.home("receiver"), "--filesystem.directory", blocked, "127.0.0.1:0",
                        code=None)
    assert refused.code in (LOCAL, 2), refused
    assert b"a file" in refused.err
