# SPDX-License-Identifier: BSD-2-Clause
"""Looking for devices and pairing with them, with a transport that finds what a file says."""
import re
import signal

import pytest

from support import BIN, INTERRUPTED, LOCAL, NOT_TRUSTED, OK, REFUSED, USAGE, raw_control_bytes

STAGE = BIN.parent.parent / "tests/plugins/stage"


def on_stage(place, command, *lines, options=()):
    """The arguments of a command for which these lines come true."""
    scene = place.file("scene", b"".join(line.replace(" ", "\t").encode() + b"\n" if isinstance(line, str) else line
                                         for line in lines))
    return [command, "--plugin-dir", STAGE, "--transport", "stage", "--stage.scene", scene, *options]


def rows(output):
    """The table's lines below the headings, in columns."""
    return [line.split() for line in output.decode().splitlines()[1:]]


# ---- devices ----


FAR, NEAR, PAIRED = "found far Attic -80 no no", "found near Desk -40 no yes", "found known Phone - yes ?"


def test_devices_are_listed_the_nearest_first(place):
    shown = place.run(*on_stage(place, "devices", FAR, PAIRED, NEAR))
    assert shown.out.split()[:5] == b"SIGNAL ADDRESS PAIRED RECEIVER NAME".split()
    assert rows(shown.out) == [["-40", "dBm", "near", "no", "yes", "Desk"], ["-80", "dBm", "far", "no", "no", "Attic"],
                               ["-", "known", "yes", "?", "Phone"]]


def test_the_next_step_is_the_one_for_the_nearest_receiver(place):
    assert b"wherry pair stage://near" in place.run(*on_stage(place, "devices", FAR, NEAR)).err
    shown = place.run(*on_stage(place, "devices", "found near Desk -40 yes yes"))
    assert b"wherry send FILE --to stage://near" in shown.err and b"wherry pair" not in shown.err
    assert b"wherry receive --transport stage" in place.run(*on_stage(place, "devices", FAR)).err


def test_finding_nothing_is_no_failure_and_says_what_to_check(place):
    shown = place.run(*on_stage(place, "devices"))
    assert shown.out == b"" and b"--limit 30s" in shown.err


def test_what_becomes_known_later_replaces_what_was_known(place):
    shown = place.run(*on_stage(place, "devices", "found a Desk -40 no ?", "found a Desk -40 no yes"))
    assert rows(shown.out) == [["-40", "dBm", "a", "no", "yes", "Desk"]]


def test_names_from_strangers_do_nothing_to_the_terminal(place):
    nasty = b"found\ta\t\x1b]0;mine\x07\x1b[2J\xff" + b"x" * 5000 + b"\t-1\tno\tno\n"
    shown = place.run(*on_stage(place, "devices", nasty))
    assert raw_control_bytes(shown.out + shown.err) == []
    assert len(shown.out.splitlines()) == 2 and max(map(len, shown.out.splitlines())) < 400
    (device,) = place.run(*on_stage(place, "devices", nasty, options=["--json"])).told("device")
    assert device["name_hex"].startswith(b"\x1b]0;mine".hex())


def test_devices_as_json(place):
    shown = place.run(*on_stage(place, "devices", FAR, PAIRED, "found far Attic -80 no no", "found far Attic -70 no yes",
                                options=["--json"]))
    devices = [{k: v for k, v in e.items() if k not in ("event", "time")} for e in shown.told("device")]
    assert devices == [
        {"address": "far", "destination": "stage://far", "name": "Attic", "signal_dbm": -80, "paired": False,
         "receiver": False},
        {"address": "known", "destination": "stage://known", "name": "Phone", "paired": True},
        {"address": "far", "destination": "stage://far", "name": "Attic", "signal_dbm": -70, "paired": False,
         "receiver": True}]
    assert shown.events[-1]["event"] == "done"
    assert (shown.events[-1]["devices"], shown.events[-1]["exit_code"]) == (2, OK)


def test_an_interrupted_search_tells_what_it_found(place):
    search = place.start(*on_stage(place, "devices", NEAR, "wait", options=["--limit", "1h", "--json"]))
    search.expect_event("device")
    search.process.send_signal(signal.SIGINT)
    search.ended(INTERRUPTED)
    assert search.told("done", devices=1, exit_code=INTERRUPTED)


def test_a_search_that_finds_nothing_can_be_interrupted(place):
    terminal = place.terminal(*on_stage(place, "devices", "wait", options=["--limit", "1h"]))
    terminal.expect("looking for devices")
    terminal.type("\x03")
    assert terminal.wait() == INTERRUPTED
    assert b"no device was found" in terminal.output


def test_the_list_grows_on_a_terminal_and_stays_within_it(place):
    lines = [f"found device-{n:02} {'long' * 40} -{n} no yes" for n in range(1, 60)]
    terminal = place.terminal(*on_stage(place, "devices", *lines, "wait", options=["--limit", "1h"]))
    # On its 24 lines there is room for 20 of the 59, once all have been found.
    drawn = terminal.expect(r"and 39 more\r\n[-|/\\] looking")
    terminal.expect_after(len(drawn), r"\x1b\[\d+A\x1b\[J")  # in place of the one before
    last = re.split(rb"\x1b\[\d+A\x1b\[J|\r\x1b\[K", drawn)[-1].decode().splitlines()
    assert len(last) <= 24 and all(len(line) < 100 for line in last), last
    assert "device-01" in last[1] and last[-2] == f"and {59 - len(last[1:-2])} more"
    terminal.type("\x03")
    assert terminal.wait() == INTERRUPTED
    assert terminal.output.count(b"device-59") == 1  # in the table at the end


def test_a_failed_search(place):
    shown = place.run(*on_stage(place, "devices", "fail out-of-order"), code=LOCAL)
    assert b"out-of-order" in shown.err


def test_a_transport_that_cannot_look_around(place):
    assert b"cannot look for peers" in place.run("devices", "--transport", "tcp", code=USAGE).err


def test_the_transport_of_the_settings_is_for_sending_and_receiving(place):
    config = place.file("wherry.ini", b"transport = tcp\n")
    shown = place.run("devices", "--config", config, "--limit", "1s", code=None)
    assert b"cannot look for peers" not in shown.err


@pytest.mark.parametrize("arguments", [["devices", "here"], ["pair"], ["pair", "a", "b"], ["pair", "tcp://"],
                                       ["pair", "tcp://host:1"], ["devices", "--limit", "soon"]])
def test_wrong_usage_of_devices_and_pair(place, arguments):
    assert place.run(*arguments, code=USAGE).err


# ---- pair ----


CODE = "confirm 314159"
NO_CODE = b"confirm\t\n"


@pytest.mark.parametrize("answer, code", [("yes", OK), ("no", REFUSED), ("", REFUSED), ("yesterday", REFUSED)])
def test_codes_are_compared_by_the_person(place, answer, code):
    terminal = place.terminal(*on_stage(place, "pair", CODE, options=["stage://desk"]))
    terminal.expect(r"desk show the code 314159.*\[yes/no\]")
    terminal.type(answer + "\n")
    assert terminal.wait() == code
    assert (b"paired with desk" in terminal.output) == (code == OK)


def test_yes_does_not_compare_codes(place):
    terminal = place.terminal(*on_stage(place, "pair", CODE, options=["desk", "--yes"]))
    terminal.expect(r"314159.*\[yes/no\]")
    terminal.type("no\n")
    assert terminal.wait() == REFUSED


def test_yes_pairs_with_a_device_that_shows_no_code(place):
    shown = place.run(*on_stage(place, "pair", NO_CODE, options=["desk", "--yes"]))
    assert b"paired with desk" in shown.out


@pytest.mark.parametrize("answer, code", [("yes", OK), ("no", REFUSED)])
def test_a_device_that_shows_no_code_is_asked_about(place, answer, code):
    terminal = place.terminal(*on_stage(place, "pair", NO_CODE, options=["desk"]))
    terminal.expect(r"no code.*\n.*\[yes/no\]")
    terminal.type(answer + "\n")
    assert terminal.wait() == code


@pytest.mark.parametrize("scene, options", [(CODE, []), (CODE, ["--yes"]), (NO_CODE, []), ("enter 1234", ["--yes"])])
def test_nobody_is_paired_with_where_nobody_can_be_asked(place, scene, options):
    shown = place.run(*on_stage(place, "pair", scene, options=["desk", *options]), code=NOT_TRUSTED)
    assert b"terminal" in shown.err and shown.out == b""


@pytest.mark.parametrize("typed, code", [("1234", OK), ("4321", NOT_TRUSTED), ("", REFUSED)])
def test_a_code_that_is_typed(place, typed, code):
    terminal = place.terminal(*on_stage(place, "pair", "enter 1234", options=["desk"]))
    terminal.expect("The code of desk")
    terminal.type(typed + "\n")
    assert terminal.wait() == code


def test_a_code_to_be_typed_on_the_other_device_is_shown(place):
    shown = place.run(*on_stage(place, "pair", "show 2718", options=["desk"]))
    assert b"2718" in shown.err


def test_a_question_can_be_interrupted(place):
    terminal = place.terminal(*on_stage(place, "pair", CODE, options=["desk"]))
    terminal.expect(r"\[yes/no\]")
    terminal.type("\x03")
    assert terminal.wait() == INTERRUPTED


def test_pairing_as_json(place):
    shown = place.run(*on_stage(place, "pair", "show 2718", options=["desk", "--json"]))
    assert shown.told("pairing_code", what="show", code="2718")
    assert shown.told("paired", address="desk", destination="stage://desk")
    shown = place.run(*on_stage(place, "pair", CODE, options=["desk", "--json"]), code=NOT_TRUSTED)
    assert shown.told("pairing_code", what="compare", code="314159") and shown.told("error", status="auth_failed")


def test_a_transport_that_knows_no_pairing(place):
    assert b"knows no pairing" in place.run("pair", "tcp://host:1", "--transport", "tcp", code=USAGE).err
