# SPDX-License-Identifier: BSD-2-Clause
"""A receiver with few descriptors: it waits for its own deliveries, has a reserve, and evicts strangers. A sender retries
when the receiver lacks room."""
import os
import re
import resource
import socket

import pytest

from support import (BIN, LINK, LOCAL, OK, REFUSED, SANITIZED, SOME, Process, Sender, content, scaled, sha256,
                     wait_for)
from test_sources import seen_by, small_disk

MIB = 1 << 20


def few(limit):
    """A wrapper that limits a program's descriptors."""
    return ["prlimit", f"--nofile={limit}:{limit}", "--"]


def send_folders(place, receiver, count, files):
    """Runs `count` senders at once, without --retry, each with a folder of these files: {name: content}."""
    for number in range(count):
        for name, data in files.items():
            place.file(f"{number}/from-{number}/{name}", b"%d " % number + data)
    senders = [place.sender(receiver, place.folder / f"source/{number}/from-{number}") for number in range(count)]
    for sender in senders:
        sender.ended(OK)
    for number in range(count):
        for name, data in files.items():
            assert (place.received / f"from-{number}/{name}").read_bytes() == b"%d " % number + data
    receiver.stop_well()
    assert b"not received" not in receiver.err
    assert place.litter() == []


# ---- Deliveries ----


@pytest.mark.parametrize("limit", [64, 256, 1024])
def test_many_senders_of_many_small_files(place, limit):
    receiver = place.receiver(wrapper=few(limit))
    send_folders(place, receiver, 12, {f"{number}": b"%d" % number * 50 for number in range(scaled(300))})


@pytest.mark.parametrize("limit", [20, 28])
def test_limit_that_is_all_reserve(place, limit):
    """Where little is left beside what the receiver itself has open, it serves one sender after the other."""
    receiver = place.receiver(wrapper=few(limit))
    send_folders(place, receiver, 3, {"file": b"1", "other": b"2"})


def test_files_that_each_have_a_folder_of_their_own(place):
    """A group of files is finished with all its folders open."""
    receiver = place.receiver(wrapper=few(96))
    send_folders(place, receiver, 8, {f"{number}/file": b"%d" % number for number in range(scaled(150))})


def test_files_that_are_announced_ahead(place):
    """Each sender announces sixteen files; together these are more than the receiver may have open."""
    receiver = place.receiver(wrapper=few(64))
    large = content(MIB, b"large")
    send_folders(place, receiver, 4, {f"{number}": large for number in range(20)})


def test_raw_deliveries(place):
    receiver = place.receiver("--raw", wrapper=few(64))
    peers = [socket.create_connection(receiver.endpoint) for _ in range(30)]
    for peer in peers:
        peer.sendall(b"raw")
        peer.shutdown(socket.SHUT_WR)
    receiver.wait_until(lambda: len(receiver.told("result")) == len(peers), "the end of every delivery")
    assert len(receiver.delivered()) == len(peers)
    for peer in peers:
        peer.close()
    receiver.stop_well()


def test_sender_of_files_that_are_announced_ahead(place):
    """The sender announces fewer files ahead, instead of failing for lack of descriptors."""
    receiver = place.receiver()
    files = [place.file(f"large-{number}", content(MIB, b"%d" % number)) for number in range(20)]
    files.insert(10, place.file("small", b"1"))
    sender = Sender([*few(20), BIN, "send", "--home", place.home("sender"), "--json", "--accept-new-peer", "--to",
                     f"tcp://{receiver.address}", *files], place.env())
    place.closing.callback(sender.kill)
    sender.ended(OK)
    assert len(place.arrived()) == len(files)
    receiver.stop_well()


# ---- Strangers ----


@pytest.mark.parametrize("word", [b"", b"\x89wherry\n"], ids=["silent", "begun"])
def test_strangers_keep_no_sender_out(place, word):
    """There are more strangers than the receiver may have descriptors."""
    limit = 256
    receiver = place.receiver(wrapper=few(limit))
    strangers = []
    for _ in range(limit + 50):
        strangers.append(socket.create_connection(receiver.endpoint))
        strangers[-1].sendall(word)
    place.send(receiver, place.file("cargo", b"1"))
    place.send(receiver, place.file("more", b"2"))
    for stranger in strangers:
        stranger.close()
    assert place.arrived() == [b"cargo", b"more"]
    receiver.stop_well()


def test_receiver_without_descriptors_refuses_no_key(place):
    receiver = place.receiver()
    # The transport, the listener, the reserve and the next connection have one eventfd each once the receiver waits in
    # accept.
    wait_for(lambda: sum("eventfd" in each for each in receiver.descriptors()) == 4, "the wait for a connection")
    _, hard = before = resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{receiver.pid}/fd")}
    free = min(set(range(len(used) + 1)) - used)
    # A receiver that has read this version of the file already needs no descriptor to judge a key by it.
    with open(place.home("receiver") / "authorized_keys", "a") as keys:
        keys.write("# changed\n")
    # One descriptor is left, for the connection.
    resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE, (free + 1, hard))
    sent = place.send(receiver, place.file("cargo", b"1"), code=LINK)
    assert b"trust" not in sent.err and b"accept the key" not in sent.err, sent
    assert {result["status"] for result in sent.results} == {"disconnected"}
    receiver.expect("no sender can be let in: .*Too many open files")
    sender = place.sender(receiver, place.file("again", b"2"), "--retry", "20", "--handshake-timeout", "1s")
    sender.expect_event("retry")
    resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE, before)
    sender.ended(OK)
    assert place.arrived() == [b"again"]
    receiver.stop_well()
    assert receiver.told("refused_peer") == []


# ---- The warning at the start ----


def test_low_limit_is_said_at_the_start(place):
    receiver = place.receiver(wrapper=few(128))
    receiver.expect(r"may have only 128 descriptors open, so it serves 8 senders at once instead of 256; .*ulimit -n")
    receiver.stop_well()
    receiver = place.receiver("--max-connections", "8", wrapper=few(128))
    receiver.stop_well()
    assert b"descriptors" not in receiver.err


# ---- Trying again ----


def test_full_disk_costs_the_attempts(place):
    receiver = place.receiver(wrapper=small_disk(place, "4m"))
    large = [place.file(f"large-{number}", content(9 * MIB)) for number in range(3)]
    sent = place.send(receiver, "--retry", "2", *large, code=REFUSED)
    assert [(told["status"], told["attempt"]) for told in sent.told("retry")] == [("exhausted", 1), ("exhausted", 2)]
    assert [result["status"] for result in sent.results] == ["exhausted"] * 3
    assert len(receiver.told("result")) == 9
    # One retry sends all items that failed, and the result of another item does not reset the count.
    sent = place.send(receiver, "--retry", "1", *large, place.file("small", b"fits"), code=SOME)
    assert [told["attempt"] for told in sent.told("retry")] == [1]
    assert sorted(result["status"] for result in sent.results) == ["exhausted"] * 3 + ["ok"]
    assert place.arrived(seen_by(receiver, place.received)) == [b"small"]
    receiver.stop_well()


def test_full_disk_that_gets_room(place):
    receiver = place.receiver(wrapper=small_disk(place, "4m"))
    folder = seen_by(receiver, place.received)
    with open(os.path.join(folder, "ballast"), "wb") as ballast:
        ballast.write(content(3 * MIB))
    file = place.file("cargo", content(2 * MIB))
    sender = place.sender(receiver, "--retry", "5", file, place.file("small", b"1"))
    sender.expect_event("retry")
    os.unlink(os.path.join(folder, "ballast"))
    sender.ended(OK)
    assert sorted(result["status"] for result in sender.results) == ["ok", "ok"]
    assert sha256(os.path.join(folder, "cargo")) == sha256(file)
    assert place.arrived(folder) == [b"cargo", b"small"]
    receiver.stop_well()


def test_without_retry_it_is_told_at_once(place):
    receiver = place.receiver(wrapper=small_disk(place, "4m"))
    sent = place.send(receiver, place.file("large", content(9 * MIB)), code=REFUSED)
    assert sent.told("retry") == [] and len(receiver.told("result")) == 1
    receiver.stop_well()


def exhausted_once(place):
    """A receiver whose command fails the first time with a lack of resources (EX_TEMPFAIL)."""
    return place.receiver("--sink", "exec", "--exec.shell", "--exec.command",
                          f"test -e {place.folder}/tried && cat || {{ touch {place.folder}/tried; exit 75; }}")


def test_sink_is_asked_again_for_what_it_had_no_room_for(place):
    receiver = exhausted_once(place)
    sent = place.send(receiver, "--retry", "1", "--message", "ahoy")
    assert [told["status"] for told in sent.told("retry")] == ["exhausted"]
    assert [result["response"] for result in sent.results] == ["ahoy"]
    receiver.stop_well()


def test_standard_input_is_not_sent_again(place):
    receiver = exhausted_once(place)
    sent = place.send(receiver, "--retry", "1", "-", input=b"ahoy", code=REFUSED)
    result, = sent.results
    assert result["status"] == "exhausted" and "cannot be read again" in result["error"]
    receiver.stop_well()


def test_chat_sends_the_line_again(place):
    receiver = exhausted_once(place)
    chat = place.run("chat", "--home", place.home("sender"), "--accept-new-peer", "--retry", "1", "--to",
                     f"tcp://{receiver.address}", input=b"first\nsecond\n")
    assert [word for word in chat.out.split() if word in (b"first", b"second")] == [b"first", b"second"]
    assert len(receiver.told("connected")) == 1
    receiver.stop_well()
    place.folder.joinpath("tried").unlink()
    receiver = exhausted_once(place)
    chat = place.run("chat", "--home", place.home("sender"), "--accept-new-peer", "--to", f"tcp://{receiver.address}",
                     input=b"first\nsecond\n", code=SOME)
    assert b"exit status 75" in chat.err
    receiver.stop_well()


# ---- Threads and memory ----

MISSING = rb"no (further thread can be started|thread could be started|more memory can be had)"


def little(megabytes):
    """A wrapper that limits a program's memory, and so its threads, each of which has a stack of 8 MB."""
    return ["prlimit", f"--as={megabytes * 1_000_000}", "--"]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reserves more memory than there is")
def test_sender_without_memory_or_threads_says_so(place):
    receiver = place.receiver()
    place.send(receiver, "--accept-new-peer", "-m", "x")
    told = 0
    for megabytes in range(20, 140, 6):
        sender = Process([*little(megabytes), BIN, "send", "--home", place.home("sender"), "--to",
                          f"tcp://{receiver.address}", "-m", "x"], place.env())
        place.closing.callback(sender.kill)
        code = sender.wait()
        if b"error while loading shared libraries" in sender.err:
            continue
        assert code in (OK, LOCAL), sender
        if code == LOCAL:
            assert re.search(MISSING, sender.err), sender
            told += 1
    assert code == OK and told > 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reserves more memory than there is")
def test_receiver_without_memory_or_threads_always_warns(place):
    place.authorize()
    told = []
    for megabytes in range(20, 200, 3):
        try:
            receiver = place.receiver(wrapper=little(megabytes))
        except AssertionError:
            continue
        sender = place.sender(receiver, "--handshake-timeout", "1s", "-m", "x")
        code = sender.wait()
        assert receiver.stop() == OK
        if code == OK:
            break
        assert re.search(rb"warning: [^\n]*: " + MISSING, receiver.err), receiver
        told.append(megabytes)
    assert code == OK and told
