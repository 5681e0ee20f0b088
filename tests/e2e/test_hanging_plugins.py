# SPDX-License-Identifier: BSD-2-Clause
"""Plugins that hang: a program that is told to end does so, names the plugin, and leaves nothing that looks finished."""
import fcntl
import os
import signal
import subprocess

import pytest

from support import BIN, INTERRUPTED, LINK, OK, PLUGIN, SOME, HoldAt, Process, Sender, children_of, content, wait_for

FIXTURES = BIN.parent.parent / "tests" / "plugins"
CARGO = content(100_000)

SINK_CALLS = ["begin", "write", "finish", "abort", "interrupt", "destroy"]
TRANSPORT_CALLS = ["accept", "listener_abort", "abort"]


class Hanging:
    """A receiver whose plugin hangs in one function, with a sender in the middle of something where there can be one."""

    def __init__(self, place, kind, function, *options):
        self.place, self.kind, self.function = place, kind, function
        self.folder = place.folder / f"{kind}-{function}"
        self.sender = None
        if kind == "sink":
            # The second call hangs, so that the first item is stored and answered.
            nth = "2" if function in ("begin", "write", "finish") else "1"
            self.receiver = place.receiver(
                "--sink", "faulty", "--faulty.sink", "filesystem", "--faulty.sink-options", f"directory={self.folder}",
                "--faulty.hang", function, "--faulty.at", nth, *options)
        else:
            self.receiver = place.receiver("--transport", "faulty", "--faulty.hang", function, *options,
                                           folder=self.folder)
        if kind == "sink" or function == "abort":
            self.sender = place.sender(self.receiver, place.file("first", b"stored"), "-", "--name", "cargo",
                                       stdin=subprocess.PIPE)
            self.sender.process.stdin.write(CARGO)
            self.sender.process.stdin.flush()
            # Before the second one ends, so that both are not finished as one group.
            self.sender.expect_event("result", name="first", ok=True)
            if function != "abort":
                self.sender.process.stdin.close()
            if function != "begin":
                self.receiver.expect_event("offer", name="cargo")
            if function in ("interrupt", "destroy"):
                self.sender.ended(OK)

    def has_ended_well(self):
        self.receiver.ended(PLUGIN)
        said = self.receiver.err.decode()
        assert f"the {self.kind} faulty did not return from its {self.function}, so the program ends" in said, said
        assert said.count("did not return") == 1, said
        if self.function in ("accept", "listener_abort", "interrupt", "destroy"):
            return
        # The first item stays delivered; the second one has failed.
        self.sender.process.stdin.close()
        self.sender.ended(SOME)
        assert {r["name"]: r["ok"] for r in self.sender.results} == {"first": True, "cargo": False}, self.sender
        assert self.place.arrived(self.folder) == [b"first"]

        again = self.place.receiver(folder=self.folder)
        self.place.send(again, "-", "--name", "cargo", input=CARGO)
        assert (self.folder / "cargo").read_bytes() == CARGO and (self.folder / "first").read_bytes() == b"stored"
        assert self.place.litter(self.folder) == []
        again.stop_well()


def all_hanging(place):
    return ([Hanging(place, "sink", function) for function in SINK_CALLS] +
            [Hanging(place, "transport", function) for function in TRANSPORT_CALLS])


def test_one_signal(place):
    """All receivers run at once, so that the test waits for their grace only once."""
    hanging = all_hanging(place)
    for each in hanging:
        each.receiver.signal(signal.SIGTERM)
    for each in hanging:
        each.has_ended_well()


def test_two_signals(place):
    hanging = all_hanging(place)
    for each in hanging:
        each.receiver.signal(signal.SIGTERM)
    for each in hanging:
        each.receiver.expect("once more: at once")
        each.receiver.signal(signal.SIGINT)
    for each in hanging:
        each.has_ended_well()


def test_once_ends_without_a_signal(place):
    """The first connection has ended, and another one's delivery hangs."""
    hanging = place.receiver("--once", "--sink", "faulty", "--faulty.hang", "finish")
    stuck = place.sender(hanging, "--message", "stuck")
    hanging.expect_event("offer")
    place.send(hanging, "--message", "first to end")
    hanging.ended(PLUGIN)
    assert b"the sink faulty did not return from its finish" in hanging.err, hanging
    stuck.ended(LINK)


def test_slow_disk_is_no_fault_of_the_plugin(place):
    """A thread that waits in the kernel cannot be ended, and its plugin is not to blame."""
    receiver = place.receiver("--plugin-dir", FIXTURES / "ending", "--sink", "ending", "--ending.in", "finish",
                              "--ending.how", "stall")
    stuck = place.sender(receiver, "--message", "stuck")
    # The sink waits for a child of its thread. Told to end before that, the receiver would not call it any more.
    wait_for(lambda: children_of(receiver.process.pid), "the sink waits in its finish")
    receiver.signal(signal.SIGTERM)
    receiver.expect("once more: at once")
    receiver.signal(signal.SIGINT)
    receiver.ended(INTERRUPTED)
    assert b"the sink ending still waits in its finish for a disk" in receiver.err, receiver
    assert b"did not return" not in receiver.err, receiver
    stuck.ended(LINK)


class Unheard(Process):
    """A program whose standard error is a pipe that is full and that nobody reads."""

    def __init__(self, command, env, cwd):
        self.unread, full = os.pipe()
        fcntl.fcntl(full, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(full, b"x" * 4096)
        except BlockingIOError:
            fcntl.fcntl(full, fcntl.F_SETFL, 0)
        super().__init__(["sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{full}', "sh", *command], env, cwd=cwd)
        self.full = full

    def close(self):
        self.kill()
        os.close(self.full)
        os.close(self.unread)


@pytest.mark.parametrize("function, code", [("finish", PLUGIN), ("none", INTERRUPTED)])
def test_full_standard_error_does_not_hang_the_receiver(place, function, code):
    """Neither the note about the signal nor the message at the end prevents the end of the receiver."""
    place.authorize()
    receiver = Unheard([BIN, "receive", "--json", "--home", place.home("receiver"), "--sink", "faulty", "--faulty.hang",
                        function, "127.0.0.1:0"], place.env(), place.folder)
    place.closing.callback(receiver.close)
    receiver.address = receiver.expect_event("listening")["address"]
    place.sender(receiver, "--message", "hello")
    receiver.expect_event("offer" if function == "finish" else "disconnected")
    receiver.signal(signal.SIGTERM)
    receiver.signal(signal.SIGINT)
    receiver.ended(code)


def held_up(place, command, *items, **others):
    """A sender whose link stands still, and whose transport hangs in abort."""
    receiver = place.receiver()
    hold = HoldAt(1 << 20)
    link = place.link(receiver, lambda: hold)
    sender = place.start(command, "--home", place.home("sender"), "--json", "--accept-new-peer", "--faulty.hang", "abort",
                         "--to", f"faulty://{link.address}", *items, kind=Sender, **others)
    return sender, hold


@pytest.mark.parametrize("count", [1, 2])
def test_sender_whose_link_cannot_be_cut(place, count):
    sender, hold = held_up(place, "send", "--no-resume", place.file("cargo", content(32 << 20)))
    hold.wait()
    sender.signal(signal.SIGINT)
    if count == 2:
        sender.signal(signal.SIGTERM)
    sender.ended(PLUGIN)
    assert b"the transport faulty did not return from its abort" in sender.err, sender


def test_chat_whose_link_cannot_be_cut(place):
    sender, hold = held_up(place, "chat", stdin=subprocess.PIPE)
    sender.process.stdin.write(b"/file %s\n" % os.fsencode(place.file("cargo", content(32 << 20))))
    sender.process.stdin.flush()
    hold.wait()
    sender.signal(signal.SIGINT)
    sender.ended(PLUGIN)
    assert b"the transport faulty did not return from its abort" in sender.err, sender


def test_prompt_whose_link_cannot_be_cut(place):
    """Ctrl-C cancels the transfer, but does not end the chat; repeated Ctrl-C ends a chat that hangs."""
    receiver = place.receiver()
    hold = HoldAt(1 << 20)
    link = place.link(receiver, lambda: hold)
    person = place.terminal("chat", "--home", place.home("sender"), "--accept-new-peer", "--faulty.hang", "abort", "--to",
                            f"faulty://{link.address}")
    person.expect("> ")
    person.type(f"/file {place.file('cargo', content(32 << 20))}\n")
    hold.wait()

    def insist():
        person.type("\x03")
        person.read_for(0.1)
        return b"did not return" in person.output

    wait_for(insist, "the end of the chat")
    assert person.wait() == PLUGIN
    assert b"the transport faulty did not return from its abort" in person.output
