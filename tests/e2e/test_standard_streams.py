# SPDX-License-Identifier: BSD-2-Clause
"""A program that is started with standard streams closed: no file that it opens gets the number of one of them."""
import os

import pytest

from support import BIN, LOCAL, OK, PLUGINS, REFUSED, Process, Sender, UnusedAddress, content


def redirected(redirections):
    return ["sh", "-c", f'exec "$@" {redirections}', "sh"]


def start(place, redirections, *arguments, kind=Process):
    process = kind([*redirected(redirections), BIN, *arguments], place.env(), cwd=place.folder)
    place.closing.callback(process.kill)
    return process


def sending(place, receiver, *items, command="send"):
    return (command, "--home", place.home("sender"), "--json", "--accept-new-peer", "--to",
            f"tcp://{receiver.address}", *items)


@pytest.mark.parametrize("redirections", ["<&-", "0>written", "<&- 3<&-"])
@pytest.mark.parametrize("command", ["send", "chat"])
def test_input_that_cannot_be_read_is_told_at_once(place, command, redirections):
    receiver = place.receiver()
    items = ["-"] if command == "send" else []
    ended = start(place, redirections, *sending(place, receiver, *items, command=command)).ended(LOCAL)
    assert b"standard input cannot be read" in ended.err, ended
    assert receiver.told("connected") == [] and place.arrived() == []
    receiver.stop_well()


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_sender_without_streams_delivers(place, redirections):
    receiver = place.receiver()
    start(place, redirections, *sending(place, receiver, place.file("cargo", content(100_000))), kind=Sender).ended(OK)
    assert (place.received / "cargo").read_bytes() == content(100_000)
    receiver.stop_well()


def test_receiver_without_input_and_errors(place):
    receiver = place.receiver(wrapper=redirected("<&- 2>&-"))
    place.send(receiver, place.file("cargo", content(100_000)))
    assert place.arrived() == [b"cargo"]
    for stream in (0, 2):
        assert os.readlink(f"/proc/{receiver.pid}/fd/{stream}") == "/dev/null"
    assert receiver.stop() == OK


def test_message_for_a_closed_output_is_refused(place):
    """A message for a closed standard output is refused, as if the reader of the output had gone."""
    place.authorize()
    address = UnusedAddress()
    address.release()
    receiver = start(place, ">&-", "receive", "--home", place.home("receiver"), "--sink", "console", address)
    sent = place.send(address, "--retry", "10", "--message", "is anybody there?", code=REFUSED)
    assert [result["status"] for result in sent.results] == ["io"], sent
    assert receiver.stop() == OK


def test_checking_a_plugin_without_streams(place):
    start(place, "<&- >&- 2>&-", "check-plugin", "--allow-unchecked", PLUGINS / "sink-null.so").ended(OK)
