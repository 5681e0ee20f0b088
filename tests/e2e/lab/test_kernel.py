# SPDX-License-Identifier: BSD-2-Clause
"""Without bluetoothd: the kernel's RFCOMM, addresses and channels."""
import socket
from pathlib import Path

import pytest
from conftest import ADAPTER, ADDRESS, set_adapter

from support import INTERRUPTED, LINK, LOCAL, OK, USAGE, content


def test_a_file_of_some_mib_and_messages_both_ways(place):
    data = content(3 << 20)
    file = place.file("model.stl", data)
    at_b = place.receiver("--rfcomm.record-bytes", "8KiB")
    place.send(at_b, file, "--message", "from A")
    at_a = place.receiver(at="A", home="sender", authorized=("receiver",), folder=place.folder / "back")
    place.send(at_a, file, "--message", "from B", home="receiver")
    assert (place.received / "model.stl").read_bytes() == data
    assert (place.folder / "back" / "model.stl").read_bytes() == data
    assert at_b.told("message")[0]["text"] == "from A"
    assert at_a.told("message")[0]["text"] == "from B"
    at_b.stop_well()
    at_a.stop_well()


def test_folders_standard_input_and_many_items_on_one_connection(place):
    for number in range(40):
        place.file(f"scans/{number % 4}/{number}.txt", content(100 * number, b"%d" % number))
    receiver = place.receiver()
    sent = place.send(receiver, place.folder / "source" / "scans", "-", "--name", "piped", input=content(70_000))
    assert sent.told("done")[0]["failed"] == 0
    assert len(place.arrived()) == 41
    assert (place.received / "piped").read_bytes() == content(70_000)
    assert (place.received / "scans/3/39.txt").read_bytes() == content(3900, b"39")
    assert len(receiver.told("connected")) == 1
    receiver.stop_well()


def test_senders_one_after_the_other_and_at_once(place):
    """Of one device there is one connection to a channel at a time: a second sender waits for it."""
    receiver = place.receiver()
    for number in range(4):
        place.send(receiver, "--message", f"in turn {number}")
    senders = [place.sender(receiver, "--message", f"at once {number}") for number in range(3)]
    for sender in senders:
        sender.ended(OK)
    assert len(receiver.told("message")) == 7
    receiver.stop_well()


def test_several_connections_are_one_over_bluetooth(place):
    """The second to a channel cannot be had; that is told at once, and the sending goes on with the first."""
    receiver = place.receiver()
    sent = place.send(receiver, place.file("cargo", content(300_000)), "--streams", "3")
    told = sent.told("streams")
    assert len(told) == 1 and told[0]["streams"] == 1 and "no second one" in told[0]["why"], told
    assert (place.received / "cargo").read_bytes() == content(300_000)
    receiver.stop_well()


def test_raw_bytes_of_an_instrument(place):
    receiver = place.receiver("--raw", "--raw-idle-timeout", "0", authorized=())
    data = content(200_000)
    with socket.socket(socket.AF_BLUETOOTH, socket.SOCK_STREAM, socket.BTPROTO_RFCOMM) as instrument:
        instrument.connect(receiver.endpoint)
        for at in range(0, len(data), 1000):
            instrument.sendall(data[at:at + 1000])
    assert receiver.expect_event("result")["status"] == "ok"
    assert (place.received / place.arrived()[0].decode()).read_bytes() == data
    receiver.stop_well()


def test_an_instrument_that_pauses_and_stays_connected(place):
    """Each silence ends one delivery; no bytes after a silence are lost."""
    receiver = place.receiver("--raw", "--raw-idle-timeout", "1s", authorized=())
    readings = [content(100, b"%d" % number) for number in range(3)]  # each is one frame, which no stall can part
    with socket.socket(socket.AF_BLUETOOTH, socket.SOCK_STREAM, socket.BTPROTO_RFCOMM) as instrument:
        instrument.connect(receiver.endpoint)
        for number, reading in enumerate(readings, 1):
            instrument.sendall(reading)
            assert receiver.expect_event("result", transfer=number)["ended_by"] == "silence"
    assert receiver.expect_event("disconnected")["ok"] is True
    assert [(place.received / result["name"]).read_bytes() for result in receiver.delivered()] == readings
    assert len(receiver.told("connected")) == 1
    receiver.stop_well()


def test_a_receiver_that_is_killed_in_the_middle_and_a_resume(place):
    data = content(3 << 20)
    file = place.file("long.bin", data)
    receiver = place.receiver()
    channel = receiver.endpoint[1]
    sender = place.sender(receiver, "--resume", file)
    receiver.wait_until(lambda: any(e["bytes"] > 400_000 for e in receiver.told("progress")), "a good part")
    receiver.kill()
    sender.ended(LINK)
    assert place.arrived() == []
    again = place.receiver(channel=channel)
    result = place.send(again, "--resume", file).results[0]
    assert result["ok"] and result["resumed_from"] > 0
    assert (place.received / "long.bin").read_bytes() == data
    again.stop_well()


def test_a_sender_that_is_killed_in_the_middle_and_runs_again(place):
    data = content(3 << 20)
    file = place.file("long.bin", data)
    receiver = place.receiver()
    sender = place.sender(receiver, "--resume", file)
    receiver.wait_until(lambda: any(e["bytes"] > 400_000 for e in receiver.told("progress")), "a good part")
    sender.kill()
    receiver.expect_event("disconnected")
    assert place.arrived() == []
    assert place.send(receiver, "--resume", file).results[0]["resumed_from"] > 0
    assert (place.received / "long.bin").read_bytes() == data
    receiver.stop_well()


def test_an_interrupted_sender_tells_the_receiver_at_once(place):
    receiver = place.receiver()
    sender = place.sender(receiver, place.file("long.bin", content(6 << 20)))
    receiver.wait_until(lambda: any(e["bytes"] > 200_000 for e in receiver.told("progress")), "some")
    sender.signal(2)
    sender.ended(INTERRUPTED)
    assert receiver.expect_event("result")["status"] == "cancelled"
    assert place.arrived() == []
    receiver.stop_well()


def test_a_closed_channel(place):
    failed = place.send(f"{ADDRESS['B']}/29", "--message", "x", code=LINK)
    assert b"nothing listens on its channel 29" in failed.err
    assert b"wherry receive --transport rfcomm" in failed.err


def test_without_bluetoothd_a_receiver_says_that_the_channel_has_to_be_named(place):
    receiver = place.receiver()
    assert b"bluetoothd" in receiver.err and b"/%d of its address" % receiver.endpoint[1] in receiver.err, receiver
    failed = place.send(ADDRESS["B"], "--message", "x", code=LINK)
    assert b"does not tell its services" in failed.err
    receiver.stop_well()


def test_a_channel_that_is_taken(place):
    receiver = place.receiver(channel=9)
    taken = place.start("receive", "--home", place.home("receiver"), "--transport", "rfcomm", f"{ADAPTER['B']}/9")
    taken.ended(LOCAL)
    assert b"choose another channel" in taken.err
    receiver.stop_well()


def test_an_adapter_that_is_not_there(place):
    failed = place.send(f"{ADDRESS['B']}/3", "--rfcomm.adapter", "hci7", "--message", "x", code=USAGE)
    assert b"there is no Bluetooth adapter 'hci7'" in failed.err


# From here on the controllers do not reach each other any more: emulated ones do not take an adapter back that was down.


def test_the_senders_adapter_goes_down_in_the_middle(place):
    file = place.file("long.bin", content(6 << 20))
    receiver = place.receiver("--io-timeout", "10s")
    sender = place.sender(receiver, "--resume", file)
    receiver.wait_until(lambda: any(e["bytes"] > 200_000 for e in receiver.told("progress")), "some")
    set_adapter("A", "down")
    try:
        sender.ended(LINK)
        assert b"link" in sender.err or b"connection" in sender.err
        # Emulated controllers do not tell the other side, so that it is the silence that ends it.
        receiver.expect_event("disconnected")
        assert place.arrived() == []
    finally:
        set_adapter("A", "up")
    receiver.stop_well()


@pytest.mark.parametrize("how", ["down", "blocked"])
def test_an_adapter_that_is_down_or_blocked(apart, how):
    if how == "blocked":
        switch = next(Path(f"/sys/class/bluetooth/{ADAPTER['A']}").glob("rfkill*")) / "soft"
        switch.write_text("1")
    else:
        set_adapter("A", "down")
    try:
        failed = apart.send(f"{ADDRESS['B']}/3", "--rfcomm.adapter", ADAPTER["A"], "--message", "x", code=LOCAL)
        assert (b"rfkill unblock bluetooth" if how == "blocked" else b"bluetoothctl power on") in failed.err
    finally:
        if how == "blocked":
            switch.write_text("0")
        set_adapter("A", "up")
