# SPDX-License-Identifier: BSD-2-Clause
"""A transport, a cipher and a sink of one earlier plugin.h, from the folder WHERRY_OLD_PLUGINS, in today's program."""
import os
from pathlib import Path

from support import SOME, Sender, content, in_order

PLUGINS = Path(os.environ["WHERRY_OLD_PLUGINS"])
CHOSEN = ["--plugin-dir", PLUGINS, "--cipher", "old", "--insecure"]


def test_they_carry_a_transfer(place):
    place.received.mkdir()
    receiver = place.receiver(*CHOSEN, "--transport", "old", "--sink", "old", "--old.directory", place.received)
    data = content(300_000)
    file = place.file("file", data, 0o640)
    os.utime(file, ns=(0, 1_234_567_890_123_456_789))
    sent = place.start("send", "--home", place.home("sender"), "--json", "--accept-new-peer", *CHOSEN,
                       "--to", f"old://{receiver.address}", file, place.file("unwelcome", b"x"), "--message", "ahoy",
                       kind=Sender).ended(SOME)
    receiver.stop_well()

    first, second, third = in_order(sent)
    assert (first["ok"], first["response"]) == (True, "kept 300000 bytes")
    assert (second["status"], second["error"]) == ("refused", "old: this name is not welcome")
    assert (third["ok"], third["response"]) == (True, "kept 4 bytes")
    assert (place.received / "1").read_bytes() == data and (place.received / "2").read_bytes() == b"ahoy"
    assert b"this sink is an old one" in receiver.err
    # What a sink reads of an offer is where it was when the sink was built.
    (connected,) = receiver.told("connected")
    algorithm, key, label = (place.home("sender") / "identity.pub").read_text().strip().split(" ", 2)
    who = ["peer_address " + connected["address"], "algorithm " + algorithm, f"public_key {algorithm} {key}",
           "fingerprint SHA256:unknown", "label " + label]
    # Flags: size, mode and time; of a message its size.
    assert (place.received / "1.offer").read_text().splitlines() == [
        "kind 2", "flags 7", "mode 640", "name file", "size 300000", "mtime 1234567890.123456789", *who]
    assert (place.received / "2.offer").read_text().splitlines() == [
        "kind 1", "flags 1", "mode 0", "name ", "size 4", "mtime 0.000000000", *who]
    # The two sides' ciphers agreed, and each told who the other is.
    assert connected["cipher"] == sent.told("connected")[0]["cipher"] == "mixed with one byte"
    assert (place.home("receiver") / "identity.pub").read_text().startswith(sent.told("connected")[0]["public_key"] + " ")


def test_what_the_transport_finds_is_listed(place):
    (device,) = place.run("devices", "--plugin-dir", PLUGINS, "--transport", "old", "--json").told("device")
    assert (device["address"], device["name"]) == ("127.0.0.1:1", "Somebody")
    # Nothing is made up of what its structure does not have.
    assert device.keys() & {"signal_dbm", "paired", "receiver"} == set(), device
