# SPDX-License-Identifier: BSD-2-Clause
"""Sinks that show, and several sinks at once."""
import os
import subprocess

import pytest

from support import BIN, OK, REFUSED, SOME, USAGE, UnusedAddress, content, in_order, raw_control_bytes


def person(place, *options, **others):
    """A `wherry receive` as a person starts it, and what it listens on."""
    place.authorize()
    receiver = place.start("receive", "--home", place.home("receiver"), *options, "127.0.0.1:0", **others)
    return receiver, receiver.expect(rb"tcp://(127\.0\.0\.1:\d+)", "out")[1].decode()


# ---- console ----


def test_console_shows_messages_once(place):
    receiver, address = person(place, "--sink", "console")
    sent = place.send(address, "--message", "Mind the\nmountains.", "--message", "second")
    assert [result["outcome"] for result in in_order(sent)] == ["shown", "shown"]
    receiver.expect("second", "out")
    receiver.stop()
    assert receiver.out.count(b"Mind the\n    mountains.") == 1 and receiver.out.count(b"second") == 1, receiver
    assert b"message from" in receiver.out and b"SHA256:" in receiver.out
    assert not (place.folder / "transferred_files").exists()


def test_console_shows_no_control_characters(place):
    receiver, address = person(place, "--sink", "console")
    place.send(address, "--message", "\x1b]0;title\x07 \x9b2J \u202Egpj.exe\nmessage from you: fake\r")
    receiver.expect("fake", "out")
    receiver.stop()
    assert raw_control_bytes(receiver.out) == [] and b"\\x1B]0;title\\x07" in receiver.out
    assert "\u202e".encode() not in receiver.out
    # A line of a message never looks like one of the program's.
    assert b"\n    message from you: fake" in receiver.out


def test_console_refuses_files_and_says_what_to_do(place):
    receiver, address = person(place, "--sink", "console")
    sent = place.send(address, "--message", "first", place.file("scan.stl", content(100_000)), code=SOME)
    message, file = in_order(sent)
    assert message["ok"] and not file["ok"]
    assert file["status"] == "refused" and "--files-sink" in file["error"]
    # Who watches the receiver sees what was offered, how large it is and from whom.
    line = receiver.expect(rb"scan\.stl[^\n]*\n")[0]
    assert b"97.7 KiB" in line and b"SHA256:" in line
    receiver.stop()


def test_console_announces_files_if_asked_to(place):
    receiver, address = person(place, "--sink", "console", "--console.files", "announce")
    folder = place.file("folder/scan.stl", content(100_000)).parent
    sent = place.send(address, folder)
    assert {result["outcome"] for result in sent.results} == {"announced"}
    assert all("not stored" in result["response"] for result in sent.results)
    line = receiver.expect(rb"[^\n]*folder/scan\.stl[^\n]*\n", "out")[0]
    assert b"97.7 KiB" in line and b"SHA256:" in line and b"not stored" in line
    receiver.stop()
    assert receiver.out.count(b"scan.stl") == 1, receiver
    assert not (place.folder / "transferred_files").exists()


def test_console_shows_piped_text_and_refuses_what_is_none(place):
    receiver, address = person(place, "--sink", "console")
    sent = place.send(address, "-", "--name", "log\nmessage from you", input=b"one line\ntwo lines\n")
    assert sent.results[0]["outcome"] == "shown"
    receiver.expect(rb"data log\\x0Amessage from you from [^\n]*:\n    one line\n    two lines\n", "out")
    for data in (b"text\0", b"\xff\xfe", content(1000)):
        refused = place.send(address, "-", code=REFUSED, input=data)
        assert "not text" in refused.results[0]["error"]
    refused = place.send(address, "-", code=REFUSED, input=bytes(2_000_000))
    assert "1.00 MiB" in refused.results[0]["error"]
    receiver.stop()


def test_console_in_json(place):
    receiver = place.receiver("--sink", "console")
    assert receiver.told("listening")[0]["sink"] == "console"
    place.send(receiver, "--message", "one\x1b")
    shown = receiver.expect_event("shown")
    assert "one\\x1B" in shown["text"] and "message from" in shown["text"]
    (message,) = receiver.told("message")
    assert message["text"] == "one\x1b"
    assert receiver.expect_event("result")["outcome"] == "shown"
    receiver.stop_well()


def test_console_speaks_even_if_the_program_is_quiet(place):
    """OK says that it was shown."""
    place.authorize()
    address = UnusedAddress()
    address.release()
    receiver = place.start("receive", "--home", place.home("receiver"), "--quiet", "--sink", "console", address)
    place.send(address, "--retry", "10", "--message", "psst")
    receiver.stop()
    assert receiver.out.startswith(b"message from") and receiver.out.endswith(b"\n    psst\n"), receiver


def test_message_that_nobody_can_read_fails(place):
    """A receiver whose reader has gone away promises nothing."""
    place.authorize()
    read, write = os.pipe()
    process = subprocess.Popen([BIN, "receive", "--home", place.home("receiver"), "--sink", "console", "127.0.0.1:0"],
                               stdout=write, stderr=subprocess.DEVNULL, env=place.env(), cwd=place.folder)
    os.close(write)
    place.closing.callback(process.wait)
    place.closing.callback(process.kill)
    with os.fdopen(read, "rb") as out:
        address = out.readline().split(b"tcp://")[1].split(b",")[0].decode()
    failed = place.send(address, "--message", "to nobody", code=REFUSED)
    assert "not read any more" in failed.results[0]["error"]


# ---- several sinks ----


def test_messages_are_shown_and_files_are_stored(place):
    """The classic receiver."""
    receiver, address = person(place, "--sink", "console", "--files-sink", "filesystem")
    sent = place.send(address, "--message", "here it is", place.file("skull.stl", content(300_000)), "-",
                      input=b"piped")
    assert [result.get("outcome") for result in in_order(sent)] == ["shown", None, None]
    receiver.expect("here it is", "out")
    receiver.expect("stdin", "out")
    receiver.stop()
    folder = place.folder / "transferred_files"
    assert (folder / "skull.stl").read_bytes() == content(300_000)
    assert place.arrived(folder) == [b"skull.stl", b"stdin"]
    assert b"stored as skull.stl" in receiver.out and receiver.out.count(b"here it is") == 1


@pytest.mark.parametrize("options, config, env, sinks", [
    ([], "", {}, ["filesystem", "filesystem"]),
    (["--sink", "null"], "", {}, ["null", "null"]),
    (["--messages-sink", "console"], "", {}, ["console", "filesystem"]),
    (["--files-sink", "null"], "", {}, ["filesystem", "null"]),
    (["--messages-sink", "console", "--files-sink", "null"], "", {}, ["console", "null"]),
    (["--messages-sink", "null", "--files-sink", "null"], "", {}, ["null", "null"]),
    ([], "sink = console\nfiles-sink = filesystem\n", {}, ["console", "filesystem"]),
    (["--files-sink", "null"], "sink = console\nfiles-sink = filesystem\n", {}, ["console", "null"]),
    ([], "", {"WHERRY_MESSAGES_SINK": "console"}, ["console", "filesystem"]),
])
def test_which_sink_takes_what(place, options, config, env, sinks):
    place.home("receiver")
    (place.home("receiver") / "config").write_text(config)
    receiver = place.start("receive", "--home", place.home("receiver"), "--json", *options, "127.0.0.1:0",
                           env=place.env(**env))
    told = receiver.wait_until(lambda: receiver.told("listening"), "listening")[0]
    assert [told["sinks"]["messages"], told["sinks"]["files"]] == sinks
    assert told.get("sink") == (sinks[0] if sinks[0] == sinks[1] else None)
    assert receiver.stop() == OK


def test_each_sink_has_its_options(place):
    both = ["--messages-sink", "console", "--files-sink", "filesystem"]
    receiver = place.receiver(*both, "--console.max-size", "5", "--filesystem.max-size", "10")
    sent = place.send(receiver, "--message", "four", "--message", "longer", place.file("small", bytes(10)),
                      place.file("large", bytes(11)), code=SOME)
    assert [result["ok"] for result in in_order(sent)] == [True, False, True, False]
    receiver.stop_well()


def test_one_sink_in_two_parts_is_one_instance(place):
    """A quota, say, counts messages and files together."""
    receiver = place.receiver("--messages-sink", "filesystem", "--files-sink", "filesystem", "--filesystem.quota",
                              "9000")
    place.send(receiver, place.file("file", content(900)))
    full = place.send(receiver, "--message", "x" * 200, code=REFUSED)
    assert full.results[0]["status"] == "exhausted"
    receiver.stop_well()


@pytest.mark.parametrize("options, words", [
    (["--messages-sink", "consoul"], [b"--messages-sink", b"consoul", b"console"]),
    (["--files-sink", "../x"], [b"--files-sink", b"../x"]),
    (["--messages-sink", "console", "--files-sink", "null", "--filesystem.quota=1"],
     [b"--filesystem.quota", b"filesystem", b"not used"]),
    (["--messages-sink", "console", "--console.flies=announce"], [b"--console.flies", b"--console.files"]),
    (["--message-sink", "console"], [b"--message-sink", b"--messages-sink"]),
])
def test_mistakes_with_several_sinks(place, options, words):
    refused = place.run("receive", "--home", place.home("receiver"), *options, "127.0.0.1:0", code=USAGE)
    for word in words:
        assert word in refused.err, refused


def test_help_shows_the_options_of_every_sink_that_is_chosen(place):
    both = place.run("receive", "--sink", "console", "--files-sink", "filesystem", "--help").out
    assert b"--console.files" in both and b"--filesystem.directory" in both
    one = place.run("receive", "--sink", "console", "--help").out
    assert b"--console.files" in one and b"--filesystem.directory" not in one
    neither = place.run("receive", "--help").out
    assert b"--filesystem.directory" in neither and b"--messages-sink" in neither
    # Those of the others, and of instruments, are where the help says.
    assert b"--console." not in neither and b"faulty." not in neither and b"wherry plugins NAME" in neither
    assert b"--console.files" in place.run("plugins", "console").out


def test_key_that_is_taken_back_counts_for_every_sink(place):
    receiver = place.receiver("--messages-sink", "console", "--files-sink", "filesystem")
    place.send(receiver, "--message", "one", place.file("one", b"1"))
    place.run("keys", "--home", place.home("receiver"), "--remove", place.home("sender").joinpath(
        "identity.pub").read_text().split()[2])
    place.send(receiver, "--message", "two", code=5)
    receiver.stop_well()


# ---- a limit of the process ----


@pytest.mark.parametrize("sink", ["filesystem", "exec"])
def test_file_beyond_the_size_that_the_receiver_may_write(place, sink):
    """Only that file fails; the other sender's delivery continues."""
    options = ["--sink", "exec", "--exec.command", "sha256sum"] if sink == "exec" else []
    receiver = place.receiver(*options, wrapper=["prlimit", "--fsize=1000000", "--"], authorized=("sender", "other"))
    other = place.sender(receiver, "-", "--name", "other", home="other", stdin=subprocess.PIPE)
    other.process.stdin.write(b"begun before")
    other.process.stdin.flush()
    receiver.expect_event("offer", name="other")
    sent = place.send(receiver, place.file("big", content(2_000_000)), place.file("small", content(1000)), code=SOME)
    big, small = in_order(sent)
    assert big["status"] == "exhausted" and "arge" in big["error"], big
    assert small["ok"], small
    with other.process.stdin as pipe:
        pipe.write(b" and ended after")
    other.ended(OK)
    assert receiver.stop() == OK
    assert place.litter() == []
