# SPDX-License-Identifier: BSD-2-Clause
"""A device that is not there, in a machine of its own: the list of channels of Linux 6.1 is damaged when the failure of a
connection comes at once, as from an emulated controller, and what follows may hang."""
from support import LINK


def test_an_unknown_device_does_not_answer(place):
    failed = place.send("00:AA:01:09:09:09/1", "--rfcomm.connect-timeout", "8s", "--message", "x", code=LINK)
    assert b"00:AA:01:09:09:09 does not answer" in failed.err
    assert b"wherry devices" in failed.err
