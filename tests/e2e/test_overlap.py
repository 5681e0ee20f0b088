"""Reading, encrypting and writing at the same time, on threads of their own."""
import itertools

import pytest
from support import LINK, OK, USAGE, CutAt, content, scaled, sha256

SIZE = scaled(48) << 20


@pytest.mark.parametrize("here, there", itertools.product(("on", "off"), repeat=2))
def test_a_large_file_and_what_follows_it(place, here, there):
    receiver = place.receiver("--overlap", there)
    file = place.file("cargo", content(SIZE))
    small = place.file("small", b"behind it")
    place.send(receiver, file, small, "--message", "last", "--overlap", here)
    assert sha256(place.received / "cargo") == sha256(file)
    assert (place.received / "small").read_bytes() == b"behind it"
    receiver.stop_well()
    assert place.litter() == []


def test_a_cut_file_goes_on(place):
    receiver = place.receiver("--overlap", "on")
    file = place.file("cargo", content(SIZE))
    cut = place.link(receiver, to_receiver=lambda: CutAt(SIZE // 2))
    place.sender(cut, file, "--overlap", "on").ended(LINK)
    receiver.wait_until(lambda: receiver.told("disconnected"), "the end of the connection")
    sent = place.send(receiver, file, "--overlap", "on")
    assert sent.told("result")[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)


def test_a_receiver_that_is_stopped_has_what_it_said(place):
    receiver = place.receiver("--overlap", "on")
    file = place.file("cargo", content(SIZE))
    place.send(receiver, file, "--overlap", "on")
    receiver.stop_well()
    assert sha256(place.received / "cargo") == sha256(file)


def test_another_word_is_refused(place):
    receiver = place.receiver()
    place.sender(receiver, "--message", "x", "--overlap", "perhaps").ended(USAGE)
    place.sender(receiver, "--message", "x", "--overlap", "auto").ended(OK)
