# SPDX-License-Identifier: BSD-2-Clause
"""What a person sees on a terminal."""
import re

from support import LINK, OK, HoldAt, content

SIZE = 32 << 20  # more than all buffers on the way hold, so that a link which stands still stops the sender


def test_progress_on_a_terminal(place):
    """A bar, percentage, rate and time left, on one line that fits the window, resized with it."""
    receiver = place.receiver()
    hold = HoldAt(SIZE // 2)
    link = place.link(receiver, lambda: hold)
    place.send(receiver, "--message", "so that the receiver is known")
    terminal = place.terminal("send", "--home", place.home("sender"), "--accept-new-peer", "--to",
                              f"tcp://{link.address}", place.file("skull.stl", content(SIZE)))
    terminal.expect(r"\d+ ?%")
    hold.wait()
    terminal.resize(40)
    seen = len(terminal.output)
    terminal.expect_after(seen, r"\d+ ?%")
    hold.release()
    assert terminal.wait() == OK, terminal.output
    shown = terminal.output.decode()
    assert re.search(r"\d(\.\d+)? ?[KMG]i?B/s", shown)
    bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece) for piece in re.split(r"[\r\n]", shown) if "%" in piece]
    assert max(map(len, bars)) <= 100 and len(bars[-1]) <= 40


def test_plain_lines_where_there_is_no_terminal(place):
    receiver = place.receiver()
    sent = place.plain_send(receiver, "--accept-new-peer", place.file("skull.stl", content(1_000_000)))
    for said in (sent.out, sent.err):
        assert b"\r" not in said and b"\x1b" not in said
    assert b"skull.stl" in sent.out


def test_quiet_says_nothing_of_success(place):
    receiver = place.receiver()
    sent = place.plain_send(receiver, "--quiet", "--accept-new-peer", "--message", "x")
    assert sent.out == b""
    failed = place.plain_send("127.0.0.1:1", "--quiet", "--message", "x", code=LINK)
    assert failed.err != b""


def test_json_events_have_their_fields(place):
    receiver = place.receiver()
    sent = place.send(receiver, place.file("skull.stl", content(3_000_000)))
    result = sent.results[0]
    assert result["bytes"] == 3_000_000 and result["kind"] == "file" and result["ok"] is True
    connected = receiver.told("connected")[0]
    assert connected["public_key"].startswith("ssh-ed25519 ")
    assert connected["fingerprint"].startswith("SHA256:")
    offered = receiver.told("offer")[0]
    assert offered["size"] == 3_000_000 and offered["name"] == "skull.stl"
    assert receiver.delivered()[0]["bytes"] == 3_000_000
    receiver.stop_well()
    assert all("event" in event and "time" in event for event in receiver.events + sent.events)
