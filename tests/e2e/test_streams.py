# SPDX-License-Identifier: BSD-2-Clause
"""One sending over several connections."""
import socket
import threading

import peer
from peer import BYE, END, JOIN, ORDER, RESULT, STREAMS, Peer
from support import LIMIT, LINK, OK, USAGE, CutAt, Throttle, content, scaled, sha256

SIZE = max(scaled(32), 16) << 20


def make_tree(place, count):
    folder = place.folder / "tree"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}").write_bytes(content(number * 37 % 20_000, str(number).encode()))
    return folder


class OneOf:
    """Manglers for the connections of one sending, in the order in which they are opened: one has its own, and the
    others are slow enough for it to get its share."""

    def __init__(self, number, mangler):
        self.number, self.mangler, self.count = number, mangler, 0

    def __call__(self):
        self.count += 1
        return self.mangler() if self.count == self.number else Throttle(SIZE // 3)


def streams_told(sender):
    told = sender.told("streams")
    assert len(told) == 1, sender
    return told[0]


def test_large_and_small_files_over_several_connections(place):
    receiver = place.receiver("--max-connections", "1")
    file = place.file("cargo", content(SIZE))
    tree = make_tree(place, scaled(1000))
    sent = place.send(receiver, file, tree, "--message", "last", "--streams", "4")
    told = streams_told(sent)
    assert (told["streams"], told["wanted"]) == (4, 4) and "why" not in told
    assert sha256(place.received / "cargo") == sha256(file)
    for original in tree.iterdir():
        assert (place.received / "tree" / original.name).read_bytes() == original.read_bytes()
    ended = receiver.wait_until(lambda: len(receiver.told("disconnected")) == 4 and receiver.told("disconnected"),
                                "the end of all connections")
    assert all(one["ok"] for one in ended), ended
    assert {one["with"] for one in receiver.told("joined")} == {1} and len(receiver.told("joined")) == 3
    receiver.stop_well()
    assert place.litter() == []


def test_option_in_the_environment_and_its_bounds(place):
    receiver = place.receiver()
    sent = place.sender(receiver, "--message", "x", env=place.env(WHERRY_STREAMS="2"))
    sent.ended(OK)
    assert streams_told(sent)["wanted"] == 2
    for wrong in ("0", "65", "many"):
        place.sender(receiver, "--message", "x", "--streams", wrong).ended(USAGE)


def test_receiver_grants_no_more_than_it_wants_to(place):
    receiver = place.receiver("--max-streams", "2")
    sent = place.send(receiver, place.file("cargo", content(SIZE)), "--streams", "6")
    told = streams_told(sent)
    assert told["streams"] == 2 and "no more than 2" in told["why"]
    assert b"no more than 2" in sent.err


def test_one_connection_that_is_cut_ends_the_sending_and_it_resumes(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    link = place.link(receiver, OneOf(3, lambda: CutAt(SIZE // 4)))
    place.sender(link, file, "--streams", "4", "--compress", "none").ended(LINK)
    receiver.expect_event("disconnected", connection=1)
    assert place.arrived() == []
    sent = place.send(receiver, file, "--streams", "3")
    result = sent.results[0]
    assert 0 < result["resumed_from"] < SIZE
    assert result["resumed_from"] + result["bytes"] == SIZE
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.litter() == []
    receiver.stop_well()


def test_one_connection_that_is_cut_is_retried(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    link = place.link(receiver, OneOf(2, lambda: CutAt(SIZE // 32)))
    sent = place.sender(link, file, "--streams", "4", "--compress", "none", "--retry", "5")
    sent.ended(OK)
    assert [one["streams"] for one in sent.told("streams")] == [4, 4]
    assert len(sent.told("retry")) == 1
    assert sha256(place.received / "cargo") == sha256(file)


def test_connections_that_are_cut_before_they_join_are_done_without(place):
    receiver = place.receiver("--handshake-timeout", "2s")
    file = place.file("cargo", content(SIZE))
    link = place.link(receiver, OneOf(2, lambda: CutAt(5)))
    sent = place.send(link, file, "--streams", "3")
    told = streams_told(sent)
    assert told["streams"] == 2 and told["why"], told
    assert sha256(place.received / "cargo") == sha256(file)


def test_sender_is_killed(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    sender = place.sender(place.link(receiver, lambda: Throttle(SIZE // 20)), file, "--streams", "3")
    receiver.wait_until(lambda: len(receiver.told("joined")) == 2, "the further connections")
    sender.kill()
    receiver.wait_until(lambda: len(receiver.told("disconnected")) == 3, "the end of all connections")
    assert place.arrived() == []
    receiver.stop_well()


def test_receiver_that_is_to_end_finishes_what_is_in_flight(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    sender = place.sender(receiver, file, "--streams", "4")
    receiver.expect_event("offer")
    receiver.stop()
    # It was begun, so it may end; and if the stop came first, it may not.
    code = sender.wait()
    assert receiver.wait() == OK
    if code == OK:
        assert sha256(place.received / "cargo") == sha256(file)
    else:
        assert code == LINK and place.arrived() == []


# ---- Peers without cryptography ----

def bare_receiver(place, *options):
    return place.receiver("--cipher", "none", "--insecure", *options, authorized=())


def connect(place, receiver):
    stranger = Peer(receiver)
    place.closing.callback(stranger.close)
    return stranger


def heard(one, kind):
    for got, _, payload in one.frames():
        if got == kind:
            return dict(peer.fields_of(payload))
    raise AssertionError("the receiver closed without that")


def order(number):
    return peer.frame(ORDER, payload=number.to_bytes(8, "big"))


def ask(one, count):
    one.say(peer.record(peer.frame(STREAMS, payload=peer.field(1, count.to_bytes(2, "big")))))
    fields = heard(one, STREAMS)
    return int.from_bytes(fields[1], "big"), fields.get(2)


def join(one, token):
    one.say(peer.record(peer.frame(JOIN, payload=peer.field(1, token), flags=peer.CRITICAL)))
    return int.from_bytes(heard(one, JOIN)[1], "big")


def test_second_implementation_is_understood(place):
    """By protocol.md alone: records that come in another order over three connections."""
    receiver = bare_receiver(place)
    first, second, third = connect(place, receiver), connect(place, receiver), connect(place, receiver)
    count, token = ask(first, 2)
    assert count == 2 and len(token) == 32
    assert join(second, token) == 0 and join(third, token) == 0
    what = peer.offer(b"cargo", 9)
    third.say(peer.record(order(2), peer.frame(peer.DATA, 1, b"fore")))
    second.say(peer.record(order(1), peer.frame(peer.DATA, 1, b"be")))
    second.say(peer.record(peer.frame(peer.PING)))
    second.say(peer.record(order(3), peer.frame(peer.DATA, 1, b"aft")))
    third.say(peer.record(order(4), peer.frame(END, 1, peer.field(1, (9).to_bytes(8, "big")))))
    first.say(peer.record(order(0), peer.frame(peer.OFFER, 1, what, peer.CRITICAL)))
    assert first.outcome(1).status == 0
    assert (place.received / "cargo").read_bytes() == b"beforeaft"
    second.say(peer.record(order(5), peer.frame(BYE)))
    assert [kind for kind, _, _ in first.frames()] == [BYE]
    first.close()
    assert second.is_closed() and third.is_closed()
    ended = receiver.wait_until(lambda: len(receiver.told("disconnected")) == 3 and receiver.told("disconnected"),
                                "the end of all connections")
    assert all(one["ok"] for one in ended), ended
    receiver.stop_well()


def test_wrong_token_harms_only_who_has_it(place):
    receiver = bare_receiver(place)
    first = connect(place, receiver)
    _, token = ask(first, 1)
    stranger = connect(place, receiver)
    assert join(stranger, bytes(32)) == 2
    assert stranger.is_closed()
    assert receiver.expect_event("disconnected", connection=2)["status"] == "auth_failed"
    friend = connect(place, receiver)
    assert join(friend, token) == 0
    one_too_many = connect(place, receiver)
    assert join(one_too_many, token) == 2
    friend.say(peer.record(order(0), peer.delivery(1, b"cargo", b"x")))
    assert first.outcome(1).status == 0


def test_hostile_orders_end_the_exchange(place):
    receiver = bare_receiver(place)
    ping, offer = peer.frame(peer.PING), peer.delivery(1, b"x", b"y")
    hostile = {
        "again": [peer.record(order(0), ping), peer.record(order(0), ping)],
        "left out": [peer.record(order(1), ping)],
        "without": [peer.record(offer)],
        "twice": [peer.record(order(0), order(1), ping)],
        "short": [peer.record(peer.frame(ORDER, payload=bytes(7)))],
        "asks again": [peer.record(order(0), peer.frame(STREAMS, payload=peer.field(1, bytes(2))))],
    }
    for count in (0, 1):  # over one connection, and where another may join
        for name, records in hostile.items():
            before = len(receiver.told("disconnected"))
            bad = connect(place, receiver)
            assert ask(bad, count)[0] == count
            bad.say(b"".join(records))
            assert bad.is_closed(), name
            bad.close()
            ended = receiver.wait_until(lambda: receiver.told("disconnected")[before:], "the end of the connection")
            assert ended[0]["status"] == "protocol", (name, ended)
    assert place.arrived() == []
    receiver.stop_well()


def test_connections_that_were_granted_and_never_come(place):
    receiver = bare_receiver(place)
    first = connect(place, receiver)
    assert ask(first, 60)[0] == 15
    first.say(peer.record(order(0), peer.delivery(1, b"cargo", b"x")))
    assert first.outcome(1).status == 0
    first.say(peer.record(order(1), peer.frame(BYE)))
    assert [kind for kind, _, _ in first.frames()] == [BYE]
    first.close()
    assert receiver.expect_event("disconnected")["ok"]
    receiver.stop_well()


class OlderReceiver:
    """Knows the frames up to PACKED, and skips the others, as the protocol's version 1 always said."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.skipped, self.connections = [], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        link, _ = self.listener.accept()
        self.connections += 1
        link.settimeout(LIMIT)
        stream = link.makefile("rwb")
        assert stream.read(len(peer.preface())) == peer.preface()
        stream.write(peer.preface())
        stream.flush()
        while head := stream.read(4):
            body = stream.read(int.from_bytes(head, "big"))
            while body:
                kind, flags, transfer = body[0], body[1], body[2:6]
                body = body[10 + int.from_bytes(body[6:10], "big"):]
                if kind > peer.PACKED:
                    assert flags & peer.CRITICAL == 0
                    self.skipped.append(kind)
                if kind == END:
                    stream.write(peer.record(peer.frame(RESULT, int.from_bytes(transfer, "big"),
                                                        peer.field(1, bytes(4), critical=True))))
                if kind == BYE:
                    stream.write(peer.record(peer.frame(BYE)))
            stream.flush()
        link.close()


def test_older_receiver_gets_it_all_over_one_connection(place):
    older = OlderReceiver()
    place.closing.callback(older.listener.close)
    place.home("sender")
    sent = place.sender(older, "--message", "ahoy", "--message", "again", "--streams", "4", "--cipher", "none",
                        "--insecure")
    sent.ended(OK)
    told = streams_told(sent)
    assert told["streams"] == 1 and "knows of one connection only" in told["why"]
    older.thread.join(LIMIT)
    assert older.connections == 1 and STREAMS in older.skipped and ORDER in older.skipped
    assert [result["status"] for result in sent.results] == ["ok", "ok"]
