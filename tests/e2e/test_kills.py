# SPDX-License-Identifier: BSD-2-Clause
"""A receiver is killed between the last byte of a file and its answer: the file arrives when it is sent again."""
import os

import pytest

from support import AM_ROOT, LINK, content, killed_at, wait_for

SIZE = 2 << 20  # large enough to be resumed
KILLED = -9
PAST, FUTURE = 1_000_000_000, 4_000_000_000
# The sender must be able to read the file.
MODES = [0o444, 0o400] + ([0o200, 0o000] if AM_ROOT else [])


def send_to_one_that_dies(place, call, file, *options):
    receiver = place.receiver(*options, wrapper=killed_at(call))
    place.sender(receiver, file).ended(LINK)
    assert receiver.wait() == KILLED, receiver


def as_sent(place, file, mode, time):
    status = os.stat(place.received / file.name)
    assert status.st_mode & 0o7777 == mode
    assert status.st_mtime == time
    os.chmod(place.received / file.name, 0o600)
    return (place.received / file.name).read_bytes() == content(SIZE)


@pytest.mark.parametrize("mode", MODES)
def test_a_read_only_file_is_resumed(place, mode):
    """The receiver dies before the content is synced, before the attributes are, and before the file gets its name."""
    place.received.mkdir()
    for number, (call, time) in enumerate([("file:1", PAST), ("file:2", PAST), ("file:2", FUTURE), ("place:1", PAST)]):
        file = place.file(f"cargo-{number}", content(SIZE), mode)
        os.utime(file, (time, time))
        send_to_one_that_dies(place, call, file)
        assert place.arrived() == [] and len(place.litter()) == 1
        again = place.receiver()
        sent = place.send(again, file)
        assert sent.results[0]["resumed_from"] > 0
        assert place.arrived() == [os.fsencode(file.name)]
        assert as_sent(place, file, mode, time)
        again.stop_well()
        assert place.litter() == []
        os.unlink(place.received / file.name)


def test_another_running_receiver_resumes_a_read_only_file(place):
    """Two receivers fill one folder; the one that survives has started before the kill."""
    file = place.file("cargo", content(SIZE), 0o400)
    os.utime(file, (PAST, PAST))
    living = place.receiver()
    send_to_one_that_dies(place, "file:2", file)
    assert place.send(living, file).results[0]["resumed_from"] > 0
    assert as_sent(place, file, 0o400, PAST)
    living.stop_well()
    assert place.litter() == []


@pytest.mark.parametrize("old", ["writable", "read-only", "closed", "link"])
def test_an_old_file_is_no_obstacle(place, old):
    """The receiver dies before the new file is in place, before its folder is synced, and before the old one is removed."""
    precious = place.file("precious", b"precious")
    for call in ("exchange:1", "folder:1", "removal:1"):
        place.received.mkdir(exist_ok=True)
        target = place.received / "cargo"
        if old == "link":
            target.symlink_to(precious)
        else:
            target.write_bytes(b"old")
            target.chmod({"writable": 0o644, "read-only": 0o444, "closed": 0o000}[old])
        file = place.file("cargo", content(SIZE), 0o644)
        os.utime(file, (PAST, PAST))
        overwrite = "--filesystem.existing", "overwrite"
        send_to_one_that_dies(place, call, file, *overwrite)
        assert len(place.litter()) == 1, "one of the two"
        again = place.receiver(*overwrite)
        wait_for(lambda: place.litter() == [], "the removal of the file that is left")
        place.send(again, file)
        assert as_sent(place, file, 0o644, PAST)
        again.stop_well()
        assert place.arrived() == [b"cargo"] and place.litter() == []
        target.unlink()
    assert precious.read_bytes() == b"precious"
