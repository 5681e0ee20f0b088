# SPDX-License-Identifier: BSD-2-Clause
"""The option --overlap of earlier versions, which means nothing any more."""
import pytest
from support import OK, USAGE

SENTENCE = "streams are the one way to use more processors"


@pytest.mark.parametrize("word", ("auto", "off"))
def test_a_word_that_means_nothing_is_taken_and_told(place, word):
    receiver = place.receiver("--overlap", word)
    sender = place.sender(receiver, "--message", "x", "--overlap", word)
    sender.ended(OK)
    sender.expect(SENTENCE)
    receiver.expect(SENTENCE)
    receiver.stop_well()


def test_on_is_refused(place):
    receiver = place.receiver()
    sender = place.sender(receiver, "--message", "x", "--overlap", "on")
    sender.ended(USAGE)
    sender.expect(SENTENCE)
    receiver.stop_well()


def test_another_word_is_refused(place):
    receiver = place.receiver()
    place.sender(receiver, "--message", "x", "--overlap", "perhaps").ended(USAGE)
    receiver.stop_well()
