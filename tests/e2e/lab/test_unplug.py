# SPDX-License-Identifier: BSD-2-Clause
"""Both controllers vanish: nothing else can be tested in the same machine."""
import os
import signal

from support import LINK, LOCAL, content


def test_controllers_vanish_in_the_middle(place):
    file = place.file("long.bin", content(8 << 20))
    receiver = place.receiver()
    address = receiver.address
    sender = place.sender(receiver, "--resume", file)
    receiver.wait_until(lambda: any(e["bytes"] > 200_000 for e in receiver.told("progress")), "some")
    os.kill(int(os.environ["BT_EMULATOR_PID"]), signal.SIGKILL)
    sender.ended(LINK)
    assert receiver.expect_event("disconnected")["ok"] is False
    assert place.arrived() == []

    # With the partial file still there for the day on which the adapter is back.
    assert place.litter() != []
    failed = place.send(address, file, code=LOCAL)
    assert b"has no Bluetooth adapter" in failed.err
