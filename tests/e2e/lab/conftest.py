# SPDX-License-Identifier: BSD-2-Clause
"""The program over Bluetooth, in the machine of tests/bluetooth-lab: A sends from one controller, B receives on the other.

`receive` on B is found by its address and channel; nothing here needs to know the channel beforehand.
"""
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import support  # noqa: E402  # from the folder above
from support import BIN, OK, Receiver, Sender  # noqa: E402

ADDRESS = {"A": os.environ.get("BT_ADDR_A"), "B": os.environ.get("BT_ADDR_B")}
ADAPTER = {"A": os.environ.get("BT_HCI_A"), "B": os.environ.get("BT_HCI_B")}


def set_adapter(side, state):
    subprocess.run(["hciconfig", ADAPTER[side], state], check=True)


class BaseLink:
    """Holds the link of the two controllers, below RFCOMM, between one test and the next. The kernel ends a link that has
    been idle for two seconds, and who connects in the very moment in which it does gets emulated controllers, which have
    room for one packet, into a state that nothing but a reset ends."""

    def __init__(self):
        self.ends = []

    def is_up(self):
        return self.ends and not any(events & ~select.POLLIN for _, events in self._poll())

    def _poll(self):
        poll = select.poll()
        for end in self.ends:
            poll.register(end, select.POLLIN)
        return poll.poll(0)

    def bring_up(self):
        """False where that failed: controllers that have just been restarted may need another attempt."""
        self.let_go()
        near = self._socket()
        with self._socket() as door:
            door.bind((ADDRESS["B"], 0x1001))
            door.listen(1)
            try:
                near.bind((ADDRESS["A"], 0))
                near.connect((ADDRESS["B"], 0x1001))
                self.ends = [near, door.accept()[0]]
            except OSError:
                near.close()
        return bool(self.ends)

    def let_go(self):
        for end in self.ends:
            end.close()
        self.ends = []

    @staticmethod
    def _socket():
        made = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_SEQPACKET, socket.BTPROTO_L2CAP)
        made.settimeout(10)
        return made


base_link = BaseLink()


class RadioReceiver(Receiver):
    """A `wherry receive --json` on one controller; its endpoint is (address, channel)."""

    def __init__(self, command, env, folder, **others):
        support.Process.__init__(self, command, env, **others)
        self.folder = folder
        self.address = self.expect_event("listening")["address"]
        device, channel = self.address.split("/")
        self.endpoint = (device, int(channel))


class RadioPlace(support.Place):
    security = "low"

    def receiver(self, *options, at="B", home="receiver", authorized=("sender",), channel=None, folder=None, **others):
        for sender in authorized:
            self.authorize(sender, home)
        folder = folder or self.received
        where = ADAPTER[at] + (f"/{channel}" if channel else "")
        process = RadioReceiver([BIN, "receive", "--home", self.home(home), "--json", "--transport", "rfcomm",
                                 "--rfcomm.security", self.security, "--filesystem.directory", folder, *options, where],
                                self.env(), folder, cwd=self.folder, **others)
        self.closing.callback(process.kill)
        return process

    def sender(self, to, *items, home="sender", **others):
        address = getattr(to, "address", to)
        return self.start("send", "--home", self.home(home), "--json", "--accept-new-peer", "--rfcomm.security",
                          self.security, "--to", f"rfcomm://{address}", *items, kind=Sender, **others)


@pytest.fixture
def place(apart):
    """Where the two controllers reach each other."""
    if not base_link.is_up():
        support.wait_for(base_link.bring_up, "a link of the two controllers")
    return apart


@pytest.fixture
def apart():
    """The same for a test that connects to nothing, or after which nothing connects."""
    if not ADDRESS["B"]:
        pytest.skip("there is no Bluetooth here; run it by tests/bluetooth-lab/run")
    with tempfile.TemporaryDirectory(prefix="wherry-lab.", ignore_cleanup_errors=True) as folder:
        place = RadioPlace(Path(folder))
        with place.closing:
            yield place
