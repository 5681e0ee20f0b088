# SPDX-License-Identifier: BSD-2-Clause
"""With bluetoothd, and an agent that agrees on behalf of whoever sits at the other device."""
import subprocess

import pytest
from conftest import ADAPTER, ADDRESS, base_link

from support import LINK, OK, content, wait_for


def devices(place, *options):
    found = place.run("devices", "--home", place.home("sender"), "--json", "--rfcomm.adapter", ADAPTER["A"], *options)
    last = {}
    for event in found.told("device"):
        last[event["address"]] = event
    return last


def forget_each_other():
    # First, for it ends the link, and Linux 6.1 may stumble over a socket that is closed after its link.
    base_link.let_go()
    for side, other in ("AB", "BA"):
        path = f"/org/bluez/{ADAPTER[side]}"
        device = f"{path}/dev_{ADDRESS[other].replace(':', '_')}"
        subprocess.run(["dbus-send", "--system", "--print-reply", "--dest=org.bluez", path,
                        "org.bluez.Adapter1.RemoveDevice", f"objpath:{device}"], capture_output=True)


def test_a_receiver_is_found_without_its_channel(place):
    data = content(1 << 20)
    receiver = place.receiver()
    place.send(ADDRESS["B"], place.file("scan.stl", data), "--message", "no channel named")
    assert (place.received / "scan.stl").read_bytes() == data
    assert receiver.told("message")[0]["text"] == "no channel named"
    receiver.stop_well()


@pytest.mark.parametrize("how", ["in order", "killed"])
def test_a_receiver_that_has_ended_is_offered_no_more(place, how):
    receiver = place.receiver()
    place.send(ADDRESS["B"], "--message", "it is there")
    if how == "killed":
        receiver.kill()
    else:
        receiver.stop_well()

    def is_gone():
        sent = place.sender(ADDRESS["B"], "--message", "is it?")
        sent.wait()
        return sent.code == LINK and b"offers no wherry receiver" in sent.err

    wait_for(is_gone, "the end of the receiver's service record")


def test_two_receivers_on_one_machine(place):
    first = place.receiver()
    second = place.receiver(at="A", home="other", folder=place.folder / "other")
    assert first.endpoint[0] == ADDRESS["B"] and second.endpoint[0] == ADDRESS["A"]
    place.send(first, "--message", "for B")
    assert first.told("message")[0]["text"] == "for B"
    first.stop_well()
    place.send(second, "--message", "for A")
    assert second.told("message")[0]["text"] == "for A"
    second.stop_well()


def test_a_receiver_by_its_name(place):
    receiver = place.receiver()
    seen = devices(place, "--limit", "6s")[ADDRESS["B"]]
    place.send(seen["name"], "--rfcomm.adapter", ADAPTER["A"], "--message", "by name")
    assert receiver.told("message")[0]["text"] == "by name"
    receiver.stop_well()


def test_medium_security_pairs_by_itself_where_the_agents_agree(place):
    place.security = "medium"
    receiver = place.receiver()
    place.send(receiver, "--message", "encrypted link")
    assert receiver.told("message")[0]["text"] == "encrypted link"
    receiver.stop_well()


# The last, for the controllers do not always reach each other again when bluetoothd has cut their link.
def test_devices_and_pairing_and_every_security(place):
    forget_each_other()
    place.security = "high"
    receiver = place.receiver()
    found = devices(place, "--limit", "8s")
    assert ADDRESS["B"] in found, found
    seen = found[ADDRESS["B"]]
    assert seen["receiver"] is True and seen["paired"] is False, seen
    assert seen["name"] and isinstance(seen["signal_dbm"], int), seen
    assert seen["destination"] == f"rfcomm://{ADDRESS['B']}"

    # Both show a number, and a person compares.
    person = place.terminal("pair", "--home", place.home("sender"), "--rfcomm.adapter", ADAPTER["A"],
                            f"rfcomm://{ADDRESS['B']}")
    person.expect(r"[0-9]{6}")
    person.type("yes\n")
    assert person.wait() == OK, person.output
    assert devices(place, "--limit", "4s")[ADDRESS["B"]]["paired"] is True
    again = place.run("pair", "--home", place.home("sender"), "--json", "--rfcomm.adapter", ADAPTER["A"], ADDRESS["B"])
    assert again.told("paired")

    data = content(300_000)
    for level in ("high", "medium", "low"):
        place.security = level
        place.send(ADDRESS["B"], place.file(f"{level}.bin", data))
        assert (place.received / f"{level}.bin").read_bytes() == data
    receiver.stop_well()
