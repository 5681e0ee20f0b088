# SPDX-License-Identifier: BSD-2-Clause
"""This system's wherry and another one's, which has ML-KEM, in every pair: `run` beside this file says how."""
import os
import subprocess
from pathlib import Path

import pytest

import support
from support import BIN, LINK, content

CLASSICAL, HYBRID = "x25519", "x25519-mlkem768"
OWN, OTHER = BIN, Path(os.environ["WHERRY_OTHER_BIN"])
NAMES = {OWN: "own", OTHER: "other"}
INSIST = ["--hybrid.kem", HYBRID]


def has_mlkem(program):
    """Whether it offers ML-KEM unless it is told otherwise."""
    return HYBRID.encode() in subprocess.run([program, "plugins", "hybrid"], capture_output=True, check=True).stdout


@pytest.fixture
def choose(monkeypatch):
    """Makes these programs the sender and the receiver of the test."""

    def choose(sender, receiver):
        monkeypatch.setattr(support, "SENDER_BIN", sender)
        monkeypatch.setattr(support, "RECEIVER_BIN", receiver)

    return choose


def agreed_on(process):
    return {event["cipher"].partition(",")[0] for event in process.told("connected")}


def exchange(place, receiver, *options):
    """Sends a file and a message, which arrive, and returns the key exchange that both sides told."""
    file = place.file("cargo", content(3_000_000))
    sent = place.send(receiver, *options, file, "--message", "ahoy")
    receiver.stop_well()
    assert sorted(result["kind"] for result in receiver.delivered()) == ["file", "message"]
    assert (place.received / "cargo").read_bytes() == file.read_bytes()
    assert receiver.told("message")[0]["text"] == "ahoy"
    told = agreed_on(sent) | agreed_on(receiver)
    assert len(told) == 1, told
    return told.pop()


def test_the_other_program_has_mlkem():
    assert has_mlkem(OTHER)


@pytest.mark.parametrize("receiver", [OWN, OTHER], ids=NAMES.get)
@pytest.mark.parametrize("sender", [OWN, OTHER], ids=NAMES.get)
def test_pair_takes_the_best_that_both_have(place, choose, sender, receiver):
    choose(sender, receiver)
    expected = HYBRID if has_mlkem(sender) and has_mlkem(receiver) else CLASSICAL
    assert exchange(place, place.receiver()) == expected
    print(f"{NAMES[sender]} to {NAMES[receiver]}: {expected}")


def test_either_side_may_insist(place, choose):
    choose(OTHER, OTHER)
    assert exchange(place, place.receiver(), *INSIST) == HYBRID
    assert exchange(place, place.receiver(*INSIST)) == HYBRID


def refused(place, receiver, *options):
    sent = place.send(receiver, *options, "--message", "x", code=LINK)
    receiver.stop_well()
    assert place.arrived() == []
    return sent.told("error")[0]["error"], receiver.told("disconnected")[0]["error"]


def test_who_insists_has_no_classical_peer(place, choose):
    if has_mlkem(OWN):
        pytest.skip("both sides have ML-KEM")
    choose(OTHER, OWN)
    for told in refused(place, place.receiver(), *INSIST):
        assert told.endswith("no key exchange in common: the receiver allows x25519, or the handshake was altered on the "
                             "way; choose with --hybrid.kem")
    choose(OWN, OTHER)
    here, there = refused(place, place.receiver(*INSIST))
    assert "the receiver allows x25519-mlkem768 (not in this build, which lacks Botan 3)" in here
    assert "the receiver allows x25519-mlkem768, or the handshake" in there
