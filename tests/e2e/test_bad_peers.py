# SPDX-License-Identifier: BSD-2-Clause
"""Peers that are mistaken, silent or hostile. Each is told no, the receiver says why, and goes on serving others."""
import contextlib
import signal
import socket
import time

import pytest

import peer
from peer import BYE, CRITICAL, DATA, END, FOLDER, OFFER, RESULT, Peer
from support import INTEGRITY, LINK, NOT_TRUSTED, OK, USAGE, UnusedAddress, content, raw_control_bytes, wait_for


def bare_receiver(place, *options):
    """A receiver that everybody can talk to without cryptography."""
    return place.receiver("--cipher", "none", "--insecure", *options, authorized=())


def connect(place, receiver, **how):
    stranger = Peer(receiver, **how)
    place.closing.callback(stranger.close)
    return stranger


def still_serves(place, receiver):
    """A good delivery, and nothing left of the bad ones."""
    good = connect(place, receiver)
    good.say(peer.record(peer.delivery(1, b"good", b"cargo"), peer.frame(BYE)))
    assert good.outcome(1).status == 0
    assert (place.received / "good").read_bytes() == b"cargo"
    assert good.is_closed()
    good.close()
    assert place.arrived() == [b"good"]
    wait_for(lambda: place.litter() == [], "the end of what was not finished")
    receiver.stop_well()


def test_second_implementation_is_understood(place):
    """By protocol.md alone: what this one sends arrives, and it is answered and left in order."""
    receiver = bare_receiver(place)
    friend = connect(place, receiver)
    friend.say(peer.record(peer.delivery(7, b"hold/letter", b"dear all", mode=0o640, mtime=1_000_000_000),
                           peer.delivery(9, b"", b"ahoy", kind=peer.MESSAGE)))
    outcomes = {}
    for kind, transfer, payload in friend.frames():
        if kind == RESULT:
            outcomes[transfer] = peer.Outcome(payload).status
        if len(outcomes) == 2:
            friend.say(peer.record(peer.frame(BYE)))
            break
    assert outcomes == {7: 0, 9: 0}
    assert [kind for kind, _, _ in friend.frames()] == [BYE]
    path = place.received / "hold/letter"
    assert path.read_bytes() == b"dear all"
    assert path.stat().st_mode & 0o777 == 0o640 and path.stat().st_mtime == 1_000_000_000
    assert receiver.expect_event("disconnected")["ok"] is True
    receiver.stop_well()


def test_receiver_that_ends_takes_leave_of_an_idle_peer(place):
    receiver = bare_receiver(place)
    idle = connect(place, receiver)
    idle.say(peer.record(peer.delivery(1, b"good", b"cargo")))
    assert idle.outcome(1).status == 0
    receiver.signal(signal.SIGTERM)
    assert next(idle.frames())[0] == BYE
    idle.close()
    assert receiver.wait() == OK


@pytest.mark.parametrize("name", [
    b"../x", b"/etc/x", b"a/../../x", b"..", b".", b"", b"a//b", b"a/", b"/", b"a/./b", b"nul\0byte",
    b"y" * 256, b"d/" + b"y" * 256, b"../" * 40 + b"tmp/x", b".wherry-partial/x"], ids=lambda n: repr(n[:20]))
def test_names_that_lead_elsewhere_are_refused(place, name):
    receiver = bare_receiver(place)
    before = sorted(p.name for p in place.folder.iterdir())
    bad = connect(place, receiver)
    bad.say(peer.record(peer.delivery(1, name, b"evil")))
    assert bad.outcome(1).status != 0
    # Only that item is refused: the connection goes on.
    bad.say(peer.record(peer.delivery(3, b"fine", b"fine")))
    assert bad.outcome(3).status == 0
    bad.close()
    (place.received / "fine").unlink()
    assert sorted(p.name for p in place.folder.iterdir()) == sorted({*before, "received"})
    still_serves(place, receiver)


def test_longest_name_of_one_component(place):
    receiver = bare_receiver(place)
    friend = connect(place, receiver)
    friend.say(peer.record(peer.delivery(1, b"y" * 255, b"long")))
    assert friend.outcome(1).status == 0
    assert place.arrived() == [b"y" * 255]
    friend.close()
    receiver.stop_well()


def test_control_characters_in_names_and_errors_are_not_printed(place):
    receiver = bare_receiver(place)
    bad = connect(place, receiver)
    bad.say(peer.record(peer.delivery(1, b"a\x1b[2J\n\r\x07\x9b/../b", b"evil")))
    outcome = bad.outcome(1)
    assert outcome.status != 0
    assert raw_control_bytes(outcome.text.encode()) == []
    bad.close()
    receiver.expect_event("disconnected")
    assert raw_control_bytes(receiver.out) == [] and raw_control_bytes(receiver.err) == []
    still_serves(place, receiver)


@pytest.mark.parametrize("planted, name", [("link", b"link/x"), ("link", b"link"), ("deep/link", b"deep/link/x")])
def test_symbolic_link_planted_in_the_folder_leads_nowhere(place, planted, name):
    outside = place.folder / "outside"
    outside.mkdir()
    target = outside if name.endswith(b"x") else outside / "file"
    if target != outside:
        target.write_bytes(b"mine")
    link = place.received / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    receiver = bare_receiver(place, "--filesystem.existing", "overwrite")
    bad = connect(place, receiver)
    bad.say(peer.record(peer.delivery(1, name, b"evil")))
    bad.outcome(1)  # refused, or the link itself gave way
    bad.close()
    assert sorted(p.name for p in outside.iterdir()) == ([] if target == outside else ["file"])
    if target != outside:
        assert target.read_bytes() == b"mine"
    receiver.stop_well()


@pytest.mark.parametrize("data", [
    peer.record(length=(1 << 20) + 1), peer.record(length=0xffffffff), peer.record(b"x" * 9),
    peer.record(peer.frame(DATA, 1, b"data of nothing")),
    peer.record(peer.frame(OFFER, 1, peer.offer(b"n", 4), length=1 << 30)),
    peer.record(peer.frame(OFFER, 1, b"\x80", CRITICAL)),
    peer.record(peer.frame(OFFER, 1, peer.offer(b"x" * 5000, 4), CRITICAL)),
    peer.record(peer.frame(OFFER, 1, peer.field(1, b"\x02", critical=True) * 2, CRITICAL)),
    peer.record(peer.frame(200, 1, b"?", CRITICAL)),
    peer.record(peer.frame(OFFER, 1, peer.offer(b"twice", 4), CRITICAL),
                peer.frame(OFFER, 1, peer.offer(b"twice", 4), CRITICAL)),
    peer.record(peer.delivery(2, b"a number of the other side", b"x")),
    peer.record(peer.frame(OFFER, 3, peer.offer(b"later", 4), CRITICAL), peer.delivery(1, b"earlier", b"x")),
], ids=["record-too-long", "record-of-4GiB", "half-a-frame", "data-without-offer", "frame-beyond-record",
        "field-cut-short", "name-too-long", "field-twice", "unknown-critical-frame", "offer-twice",
        "even-number", "lower-number"])
def test_what_breaks_the_protocol_ends_the_connection(place, data):
    receiver = bare_receiver(place)
    bad = connect(place, receiver)
    bad.say(data)
    assert bad.is_closed()
    failure = receiver.wait_until(lambda: [e for e in receiver.told("disconnected") if not e["ok"]], "the failure")
    # A length out of bounds may as well have been altered on the way.
    assert failure[0]["status"] in ("protocol", "unsupported", "integrity"), failure
    still_serves(place, receiver)


def test_unknown_fields_and_frames_are_skipped(place):
    receiver = bare_receiver(place)
    friend = connect(place, receiver)
    friend.say(peer.record(peer.frame(201, 5, b"later"),
                           peer.frame(OFFER, 1, peer.offer(b"n", 1, more=peer.field(99, b"new")), CRITICAL),
                           peer.frame(DATA, 1, b"x"), peer.frame(END, 1, peer.field(1, (1).to_bytes(8, "big")))))
    assert friend.outcome(1).status == 0


def test_unknown_critical_field_is_refused(place):
    receiver = bare_receiver(place)
    bad = connect(place, receiver)
    bad.say(peer.record(peer.frame(OFFER, 1, peer.offer(b"n", 1, more=peer.field(99, b"new", critical=True)), CRITICAL),
                        peer.frame(DATA, 1, b"x"), peer.frame(END, 1, peer.field(1, (1).to_bytes(8, "big")))))
    assert bad.outcome(1).status == 6
    bad.close()
    assert place.arrived() == []
    still_serves(place, receiver)


@pytest.mark.parametrize("said, sent, ended", [(10, 4, 4), (10, 20, 20), (10, 10, 9), (None, 10, 11), (1 << 62, 3, 3)])
def test_content_of_another_length_than_was_said(place, said, sent, ended):
    receiver = bare_receiver(place)
    bad = connect(place, receiver)
    bad.say(peer.record(peer.frame(OFFER, 1, peer.offer(b"n", said), CRITICAL), peer.frame(DATA, 1, content(sent)),
                        peer.frame(END, 1, peer.field(1, ended.to_bytes(8, "big")))))
    bad.close()
    receiver.expect_event("disconnected")
    assert place.arrived() == []
    still_serves(place, receiver)


def test_too_many_transfers_at_once(place):
    receiver = bare_receiver(place)
    bad = connect(place, receiver)
    for transfer in range(1, 140, 2):
        bad.say(peer.record(peer.frame(OFFER, transfer, peer.offer(b"n%d" % transfer, 4), CRITICAL)))
    assert bad.outcome(129).status == 5  # the 65th; it is the only one that is told no
    bad.close()
    receiver.expect_event("disconnected")
    still_serves(place, receiver)


def test_file_where_a_folder_is_and_folder_where_a_file_is(place):
    receiver = bare_receiver(place, "--filesystem.existing", "overwrite")
    odd = connect(place, receiver)
    odd.say(peer.record(peer.delivery(1, b"a/b", b"x")))
    assert odd.outcome(1).status == 0
    for transfer, name, kind, data in ((3, b"a", peer.FILE, b"y"), (5, b"a/b/c", peer.FILE, b"z"),
                                       (7, b"a/b", FOLDER, b"")):
        odd.say(peer.record(peer.delivery(transfer, name, data, kind=kind)))
        assert odd.outcome(transfer).status != 0, name
    assert place.arrived() == [b"a/b"]
    assert (place.received / "a/b").read_bytes() == b"x"
    odd.close()
    receiver.stop_well()


def test_folder_with_content(place):
    receiver = bare_receiver(place)
    odd = connect(place, receiver)
    odd.say(peer.record(peer.delivery(1, b"f", b"content", kind=FOLDER)))
    odd.close()
    receiver.expect_event("disconnected")
    assert place.arrived() == []
    still_serves(place, receiver)


def test_http_at_the_port(place):
    receiver = place.receiver()
    browser = connect(place, receiver, hello=None)
    browser.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert browser.is_closed()
    failure = receiver.expect_event("disconnected")
    assert failure["status"] == "protocol" and "GET / HTTP" in failure["error"]
    place.send(receiver, "--message", "still here")


def test_wherry_at_a_port_of_something_else(place):
    server = socket.create_server(("127.0.0.1", 0))
    place.closing.callback(server.close)
    sender = place.sender("127.0.0.1:%d" % server.getsockname()[1], "--message", "hello?")
    near, _ = server.accept()
    near.sendall(b"220 mail.example ESMTP\r\n")
    near.shutdown(socket.SHUT_WR)
    sender.ended(INTEGRITY)
    assert b"220 mail.example" in sender.err
    near.close()


@pytest.mark.parametrize("hello, word", [
    (peer.preface(b"hybrid", magic=b"\x89WHERRY\n"), "wherry"), (peer.preface(b"hybrid", version=2), "version 2"),
    (peer.preface(b"hybrid", version=0), "version 0"), (peer.preface(b"rot13"), "rot13"),
    (peer.preface(b"x" * 33), "length"), (peer.preface(b""), "length")],
    ids=["magic", "newer", "older", "cipher", "name-too-long", "no-name"])
def test_other_prefaces(place, hello, word):
    receiver = place.receiver()
    stranger = connect(place, receiver, hello=None)
    stranger.say(hello)
    assert stranger.is_closed()
    failure = receiver.expect_event("disconnected")
    assert failure["status"] == "protocol" and word in failure["error"]
    place.send(receiver, "--message", "still here")


def test_receiver_of_another_version_is_told_to_the_sender(place):
    server = socket.create_server(("127.0.0.1", 0))
    place.closing.callback(server.close)
    sender = place.sender("127.0.0.1:%d" % server.getsockname()[1], "--message", "hello?")
    near, _ = server.accept()
    near.sendall(peer.preface(b"hybrid", version=2))
    sender.ended(LINK)
    assert b"version 2" in sender.err and b"version 1" in sender.err
    near.close()


def test_peer_that_connects_and_says_nothing(place):
    receiver = place.receiver("--handshake-timeout", "300ms")
    silent = connect(place, receiver, hello=None)
    assert silent.is_closed()
    assert receiver.expect_event("disconnected")["status"] == "timed_out"
    place.send(receiver, "--message", "still here")


def test_receiver_that_says_nothing(place):
    server = socket.create_server(("127.0.0.1", 0))
    place.closing.callback(server.close)
    place.sender("127.0.0.1:%d" % server.getsockname()[1], "--handshake-timeout", "300ms", "--message", "?").ended(LINK)


def test_peer_that_trickles_its_handshake(place):
    """The time is for the handshake as a whole, however many pieces come."""
    receiver = place.receiver("--handshake-timeout", "500ms")
    slow = connect(place, receiver, hello=None)

    with contextlib.suppress(OSError):
        for byte in peer.preface(b"hybrid") + b"\x01\x00\x60" + bytes(95):
            slow.say(bytes([byte]))
            if receiver.told("disconnected"):
                break
            time.sleep(0.05)  # this peer's slowness: nothing is waited for
    assert receiver.expect_event("disconnected")["status"] == "timed_out"


def test_peer_that_stops_in_the_middle_of_a_record(place):
    receiver = bare_receiver(place, "--io-timeout", "10s")
    stuck = connect(place, receiver)
    stuck.say(peer.record(peer.frame(OFFER, 1, peer.offer(b"half", 100_000), CRITICAL),
                          peer.frame(DATA, 1, content(50_000)), length=90_000))
    assert stuck.is_closed()
    assert receiver.expect_event("disconnected")["status"] == "timed_out"
    still_serves(place, receiver)


def test_peer_that_does_not_read_its_answers(place):
    """It can block itself only, and no longer than the silence that ends a connection."""
    receiver = bare_receiver(place, "--io-timeout", "10s", "--tcp.send-buffer", "16KiB", "--tcp.receive-buffer", "16KiB",
                             "--sink", "null")
    deaf = connect(place, receiver, receive_buffer=4096)
    deaf.socket.settimeout(2)
    with pytest.raises(OSError):  # it is not heard any more
        for transfer in range(1, 20_000_000, 100):
            deaf.say(peer.record(*(peer.delivery(t, b"n", b"") for t in range(transfer, transfer + 100, 2))))
    assert receiver.told("disconnected") == []
    other = connect(place, receiver)
    other.say(peer.record(peer.delivery(1, b"good", b"cargo")))
    assert other.outcome(1).status == 0
    other.close()
    receiver.wait_until(lambda: [e for e in receiver.told("disconnected") if not e["ok"]], "the end of patience")
    receiver.stop_well()


def test_address_that_nobody_listens_on(place):
    address = UnusedAddress()
    sent = place.send(address, "--message", "anyone?", code=LINK)
    assert b"refused" in sent.err.lower() and address.encode() in sent.err


def test_name_that_does_not_resolve(place):
    sent = place.send("no-such-host.invalid:1", "--message", "anyone?", code=None)
    assert sent.code in (LINK, USAGE), sent
    assert b"no-such-host.invalid" in sent.err


def test_descriptors_do_not_leak(place):
    """Whatever peers do, each connection gives back what it took."""
    receiver = place.receiver("--handshake-timeout", "2s")
    file = place.file("cargo", content(300_000))
    place.send(receiver, file)
    baseline = wait_for(lambda: len(receiver.told("disconnected")) == 1 and receiver.descriptors(), "an idle receiver")
    for _ in range(3):
        Peer(receiver, hello=None).close()
        browser = Peer(receiver, hello=None)
        browser.say(b"GET / HTTP/1.0\r\n\r\n")
        browser.close()
        gone = place.sender(receiver, file, "--message", "x")
        gone.kill()
        place.send(receiver, file, "--message", "y")
        place.send(receiver, file, home="stranger", code=NOT_TRUSTED)
    wait_for(lambda: len(receiver.descriptors()) <= len(baseline), f"no more than {baseline} once all have gone")
    receiver.stop_well()
