# SPDX-License-Identifier: BSD-2-Clause
"""An upgrade is undone: an older wherry, WHERRY_OLD_BIN, goes on with the home and the partial area that this one left.
What it does not know must not mislead it."""
import os
import stat
from pathlib import Path

import support
from support import NOT_TRUSTED, OK, CutAt, Process, Receiver, Sender, content

OLD = Path(os.environ["WHERRY_OLD_BIN"])


def old(place, *arguments, kind=Process):
    process = kind([OLD, *arguments], place.env(), cwd=place.folder)
    place.closing.callback(process.kill)
    return process


def old_receiver(place, *options, address="127.0.0.1:0"):
    process = Receiver([OLD, "receive", "--home", place.home("receiver"), "--json", "--filesystem.directory",
                        place.received, *options, address], place.env(), place.received, cwd=place.folder)
    place.closing.callback(process.kill)
    return process


def old_send(place, to, *items, code=OK, home="sender"):
    """As one that trusts nobody new."""
    address = getattr(to, "address", to)
    return old(place, "send", "--home", place.home(home), "--json", "--to", f"tcp://{address}", *items,
               kind=Sender).ended(code)


def test_the_old_sender_knows_whom_this_one_knew_and_refuses_another(place):
    receiver = place.receiver()
    place.send(receiver, "--message", "one")
    known = place.home("sender") / "known_hosts"
    left = known.read_text()
    assert left.startswith("# wherry-format 1\n") and "key-exchange=" in left

    old_send(place, receiver, "--message", "two")
    assert b"passed over" not in old(place, "keys", "--home", place.home("sender")).ended(OK).err
    assert known.read_text() == left
    assert receiver.stop() == OK
    place.receiver(home="impostor", address=receiver.address)
    refused = old_send(place, receiver, "--accept-new-peer", "--message", "three", code=NOT_TRUSTED)
    assert b"HAS CHANGED" in refused.err
    assert len(place.arrived()) == 2

    # What the old one adds, this one reads; and what it removes is gone.
    other = place.receiver(home="other")
    old_send(place, other, "--accept-new-peer", "--message", "four")
    place.plain_send(other, "--message", "five")
    assert known.read_text().startswith(left)
    old(place, "keys", "--home", place.home("sender"), "--remove", f"tcp://{receiver.address}").ended(OK)
    place.plain_send(receiver, "--message", "six", code=NOT_TRUSTED)


def test_the_old_receiver_lets_in_whom_this_one_let_in_and_nobody_else(place):
    place.authorize()
    accepted = place.home("receiver") / "authorized_keys"
    assert accepted.read_text().startswith("# wherry-format 1\n")
    receiver = old_receiver(place)
    place.send(receiver, "--message", "one")
    place.send(receiver, "--message", "two", home="stranger", code=NOT_TRUSTED)
    receiver.stop_well()
    assert b"passed over" not in receiver.err and len(place.arrived()) == 1


def left_by_a_cut(place):
    """Has this version keep a part, and the journal of another file; returns the file that was cut."""
    file = place.file("large", content(6_000_000))
    receiver = place.receiver()
    place.send(receiver, place.file("whole", content(2_000_000, b"whole")))
    link = place.link(receiver, to_receiver=lambda: CutAt(3_000_000))
    place.send(link, "--compress", "none", file, code=None)
    assert receiver.stop() == OK
    return file


def area_of(place):
    area = place.received / ".wherry-partial"
    return {path.name: path.read_bytes() for path in area.iterdir()}


def test_the_old_receiver_does_not_misread_the_partial_area(place):
    file = left_by_a_cut(place)
    left = area_of(place)
    (part,) = [name for name in left if name.startswith("keep-")]
    assert left.keys() == {part, "format", "journal"}
    assert left["format"] == b"wherry-format 1\n" and file.read_bytes().startswith(left[part])

    receiver = old_receiver(place)
    sent = place.send(receiver, file, place.file("other", b"other"))
    (result,) = [result for result in sent.results if result["name"] == "large"]
    assert result["resumed_from"] == len(left[part]) > 0, "it is the same part to both"
    receiver.stop_well()
    assert (place.received / "large").read_bytes() == file.read_bytes()
    assert place.arrived() == [b"large", b"other", b"whole"]
    # What is not its own stays.
    after = area_of(place)
    assert after.keys() == {"format", "journal"} and after["format"] == left["format"]
    assert stat.S_IMODE((place.received / ".wherry-partial").stat().st_mode) == 0o700

    # And back again: nothing that was stored before is stored a second time, and the journal is as good as before.
    receiver = place.receiver()
    sent = place.send(receiver, "--update", file, place.folder / "source" / "whole")
    results = support.in_order(sent)
    assert [result["outcome"] for result in results] == ["already there", "already there"]
    assert results[1]["bytes"] == 0
    receiver.stop_well()
    assert place.arrived() == [b"large", b"other", b"whole"]


def test_this_receiver_goes_on_with_what_the_old_one_left(place):
    """Files without a number are of the first format."""
    place.authorize()
    file = place.file("large", content(6_000_000))
    receiver = old_receiver(place)
    link = place.link(receiver, to_receiver=lambda: CutAt(3_000_000))
    place.send(link, "--compress", "none", file, code=None)
    assert receiver.stop() == OK
    (part,) = area_of(place)
    size = (place.received / ".wherry-partial" / part).stat().st_size
    receiver = place.receiver()
    sent = place.send(receiver, file)
    assert sent.results[0]["resumed_from"] == size > 0
    receiver.stop_well()
    assert (place.received / "large").read_bytes() == file.read_bytes()


def test_the_old_chat_never_sends_the_line_that_names_the_format(place):
    receiver = place.receiver()
    kept = place.home("sender") / "chat_history"
    kept.write_text("/wherry-format 1\nolder\n")
    kept.chmod(0o600)
    place.send(receiver, "--message", "met")
    terminal = support.Terminal([OLD, "chat", "--home", place.home("sender"), "--history", "--to",
                                 f"tcp://{receiver.address}"], place.env())
    place.closing.callback(terminal.kill)
    terminal.expect(r"/help lists the commands")
    terminal.type("\x1b[A\x1b[A\r")
    terminal.expect(r"there is no command /wherry-format")
    terminal.type("/quit\r")
    assert terminal.wait() == OK, terminal.output
    assert len(place.arrived()) == 1
