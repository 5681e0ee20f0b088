# SPDX-License-Identifier: BSD-2-Clause
"""A receiver whose sink is wrong: what the sender hears of it, and that the rest is served all the same."""
import pytest

from support import BIN, LINK, OK, PLUGIN, SANITIZED, SOME, USAGE, content

FIXTURES = BIN.parent.parent / "tests" / "plugins"


def receiver_with(place, fault):
    return place.receiver("--plugin-dir", FIXTURES / f"faulty-sink-{fault}", "--sink", "faulty")


def good_and_bad(place):
    """Three files, of which the second has a name that the sink does not take."""
    return [place.file(name, content(70_000, name.encode())) for name in ("first.bin", "not plain.bin", "third.bin")]


def served_all_the_same(place, receiver):
    """What was good of good_and_bad() is there, and so is what the next one sends; the receiver then ends in order."""
    place.send(receiver, place.file("later.bin", content(1000)))
    for name in ("first.bin", "third.bin", "later.bin"):
        assert (place.folder / "items" / name).read_bytes() == (place.folder / "source" / name).read_bytes()
    assert sorted(path.name for path in (place.folder / "items").iterdir()) == ["first.bin", "later.bin", "third.bin"]
    assert receiver.stop() == OK


def test_sink_that_lets_an_exception_out(place):
    receiver = receiver_with(place, "throws")
    sent = place.send(receiver, *good_and_bad(place), code=SOME)
    first, bad, third = sorted(sent.results, key=lambda result: result["item"])
    assert first["ok"] and third["ok"]
    assert bad["status"] == "internal" and "let a C++ exception out" in bad["error"], bad
    assert "faulty" in bad["error"] and "the name is not plain" in bad["error"], bad
    served_all_the_same(place, receiver)


def test_sink_that_refuses_one_of_three(place):
    receiver = receiver_with(place, "none")
    sent = place.send(receiver, *good_and_bad(place), code=SOME)
    first, bad, third = sorted(sent.results, key=lambda result: result["item"])
    assert first["ok"] and third["ok"]
    assert bad["status"] == "refused" and "the name is not plain" in bad["error"], bad
    served_all_the_same(place, receiver)


def test_sink_that_fails_without_saying_why(place):
    receiver = receiver_with(place, "fails_without_text")
    sent = place.send(receiver, *good_and_bad(place), code=SOME)
    bad = next(result for result in sent.results if not result["ok"])
    assert bad["status"] == "refused" and "failed without saying why" in bad["error"], bad
    served_all_the_same(place, receiver)


def test_sink_of_another_abi_is_told_at_the_start(place):
    ended = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", FIXTURES / "other-abi", "--sink", "bad",
                      "127.0.0.1:0", code=USAGE)
    assert b"sink-bad.so was built for another plugin ABI" in ended.err and b"get or build the plugin" in ended.err
    ended = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", FIXTURES / "faulty-sink-has_another_abi",
                      "--sink", "faulty", "127.0.0.1:0", code=USAGE)
    assert b"says plugin ABI 7 inside, this wherry speaks 1" in ended.err


# ---- A plugin that ends the process ----


@pytest.mark.parametrize("how, said", [
    ("exit", b"the sink ending, in its finish, ended the program by exit()"),
    ("quick-exit", b"the sink ending, in its finish, ended the program by exit()"),
    ("thread", rb"one of the plugins that are loaded (cipher hybrid, sink ending, transport tcp), outside of all calls,"),
], ids=["exit", "quick-exit", "thread"])
def test_sink_that_ends_the_process(place, how, said):
    receiver = place.receiver("--plugin-dir", FIXTURES / "ending", "--sink", "ending", "--ending.in", "finish",
                              "--ending.how", how)
    sent = place.send(receiver, place.file("cargo", content(1000)), code=LINK)
    assert [result["ok"] for result in sent.results] == [False]
    receiver.ended(PLUGIN)
    assert said in receiver.err and b"counts as not delivered" in receiver.err, receiver


@pytest.mark.skipif(SANITIZED, reason="a sanitizer does not follow a fork of several threads")
def test_sink_whose_own_process_ends(place):
    receiver = place.receiver("--plugin-dir", FIXTURES / "ending", "--sink", "ending", "--ending.how", "fork")
    place.send(receiver, place.file("cargo", content(1000)))
    assert receiver.stop() == OK
    assert b"exit()" not in receiver.err, receiver


def test_sink_that_ends_the_process_before_it_is_ready(place):
    ended = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", FIXTURES / "ending", "--sink",
                      "ending", "--ending.in", "configure_done", "127.0.0.1:0", code=PLUGIN)
    assert b"the sink ending, in its configure_done, ended the program by exit()" in ended.err, ended


def test_transport_that_ends_the_sender(place):
    """0 would say that all was delivered."""
    ended = place.run("send", "--home", place.home("sender"), "--plugin-dir", FIXTURES / "ending-transport", "--to",
                      "ending://somewhere", place.file("cargo", content(1000)), code=PLUGIN)
    assert b"the transport ending, in its connect, ended the program by exit()" in ended.err, ended


def test_plugin_that_ends_the_process_when_it_is_loaded(place):
    ended = place.run("plugins", "--home", place.home("sender"), "--plugin-dir", FIXTURES / "faulty-sink-ends_when_loaded",
                      code=PLUGIN)
    assert b"the sink faulty, in its load, ended the program by exit()" in ended.err, ended
