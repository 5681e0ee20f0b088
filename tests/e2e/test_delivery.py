# SPDX-License-Identifier: BSD-2-Clause
"""What is sent arrives: every kind of item, whole, with its name, mode and time, and the sender hears so."""
import os
import re
import socket
import stat
import subprocess

import pytest

from support import (BIN, OK, REFUSED, SOME, Process, Terminal, content, in_namespace, raw_control_bytes, scaled,
                     sha256, tree)


def test_file_message_folder_and_stdin_in_one_command(place):
    receiver = place.receiver()
    model = place.file("skull.stl", content(scaled(40) << 20))
    place.file("plans/deck/mast.txt", b"tall")
    place.file("plans/hull.txt", b"wide")

    sent = place.send(receiver, model, place.folder / "source" / "plans", "--message", "ahoy", "-", "--name", "log.txt",
                      input=b"piped in")

    assert len(sent.results) == 7  # two of them folders
    assert {result["status"] for result in sent.results} == {"ok"}
    assert sha256(place.received / "skull.stl") == sha256(model)
    assert (place.received / "plans/deck/mast.txt").read_bytes() == b"tall"
    assert (place.received / "plans/hull.txt").read_bytes() == b"wide"
    assert (place.received / "log.txt").read_bytes() == b"piped in"
    receiver.stop_well()
    assert len(receiver.delivered()) == 7
    assert place.litter() == []


def test_response_of_the_sink_is_shown(place):
    receiver = place.receiver("--sink", "null")
    sent = place.send(receiver, place.file("five", b"12345"))
    assert sent.results[0]["response"] == "counted 5 bytes"

    shown = place.plain_send(receiver, place.file("seven", b"1234567"))
    assert b"counted 7 bytes" in shown.out


def test_message_reaches_the_person_who_receives(place):
    place.authorize()
    receiver, address = place.plain_receiver()
    place.plain_send(address, "--accept-new-peer", "--message", "the tide turns at six")
    receiver.expect("the tide turns at six", "out")
    # Who sent it is told by the comment of the key and its fingerprint.
    kind, key, comment = (place.home("sender") / "identity.pub").read_text().split()
    fingerprint = place.run("keys", "--home", place.home("sender")).out.split(b"SHA256:")[1].split()[0]
    assert comment.encode() in receiver.out and fingerprint in receiver.out
    assert receiver.stop() == OK
    files = place.arrived()
    assert len(files) == 1
    assert (place.received / os.fsdecode(files[0])).read_bytes() == b"the tide turns at six"


def test_modes_and_times_are_kept(place):
    receiver = place.receiver()
    folder = place.folder / "source" / "kept"
    for name, mode, time in ((b"run.sh", 0o755, 1_000_000_000_123_456_789), (b"secret", 0o600, 1_500_000_000_000_000_000),
                             (b"read-only", 0o444, 999_999_999)):
        path = place.file(b"kept/" + name, name, mode)
        os.utime(path, ns=(time, time))
    inner = folder / "inner"
    inner.mkdir(mode=0o750)
    inner.chmod(0o750)
    os.utime(inner, (1_234_567_890, 1_234_567_890))

    place.send(receiver, folder)

    assert tree(place.received / "kept") == tree(folder)
    assert (place.received / "kept/inner").stat().st_mtime == 1_234_567_890


def test_special_mode_bits_do_not_arrive(place):
    receiver = place.receiver()
    path = place.file("setuid", b"#!/bin/sh\n", 0o4755)
    place.send(receiver, path)
    assert stat.S_IMODE((place.received / "setuid").stat().st_mode) == 0o755


def test_empty_files_and_folders(place):
    receiver = place.receiver()
    place.file("hold/empty file", b"")
    (place.folder / "source/hold/empty folder/another").mkdir(parents=True)
    place.send(receiver, place.folder / "source/hold", "--message", "")
    assert len(receiver.delivered()) == 5
    assert (place.received / "hold/empty file").read_bytes() == b""
    assert (place.received / "hold/empty folder/another").is_dir()


def test_symbolic_links_are_skipped_with_a_note(place):
    receiver = place.receiver()
    place.file("hold/real", b"real")
    (place.folder / "source/hold/link").symlink_to("real")
    (place.folder / "source/hold/dangling").symlink_to("nowhere")
    sent = place.send(receiver, place.folder / "source/hold")
    assert place.arrived() == [b"hold/real"]
    assert {os.path.basename(e["path"]) for e in sent.told("skipped")} == {"link", "dangling"}
    shown = place.plain_send(receiver, place.folder / "source/hold")
    assert b"hold/link" in shown.err and b"hold/dangling" in shown.err


def test_symbolic_links_are_followed_on_request(place):
    receiver = place.receiver()
    outside = place.file("elsewhere/treasure", b"gold")
    place.file("hold/real", b"real")
    (place.folder / "source/hold/link").symlink_to(outside)
    (place.folder / "source/hold/folder-link").symlink_to(outside.parent)
    (place.folder / "source/hold/loop").symlink_to(".")
    sent = place.send(receiver, "--follow", place.folder / "source/hold")
    assert [os.path.basename(e["path"]) for e in sent.told("skipped")] == ["loop"]
    assert (place.received / "hold/link").read_bytes() == b"gold"
    assert not (place.received / "hold/link").is_symlink()
    assert (place.received / "hold/folder-link/treasure").read_bytes() == b"gold"
    assert not (place.received / "hold/loop").exists()


def test_names_that_are_not_text(place):
    """They arrive as they are, and are never printed raw, in either form of output of either side."""
    names = [b"not \xff\xfe utf-8", b"escape \x1b[31mred", b"line\nbreak", b"bell\x07", b"quote\"back\\slash",
             "smörgåsbord ⛵".encode(), "gnp.\u202efdp".encode(),
             "c1 \u009b, hidden \u200b, blank \u3164, variant \U000e0100".encode(), b" lead and trail ", b"-rf", b"x" * 255]
    receiver = place.receiver()
    for number, name in enumerate(names):
        place.file(b"odd/" + name, b"%d" % number)
    sent = place.send(receiver, place.folder / "source/odd")
    assert place.arrived() == sorted(b"odd/" + name for name in names)
    for number, name in enumerate(names):
        with open(os.fsencode(place.received) + b"/odd/" + name, "rb") as file:
            assert file.read() == b"%d" % number
    for said in (sent.out, sent.err, receiver.out, receiver.err):
        assert raw_control_bytes(said) == []
        # UTF-8 throughout, and nothing that reorders or hides text.
        assert not re.search("[\x80-\x9f\u200b\u202e\u3164\U000e0100]", said.decode())
    # The bytes are there for programs.
    assert {r.get("name_hex", r["name"].encode().hex()) for r in sent.results} == \
        {(b"odd/" + name).hex() for name in names} | {b"odd".hex()}

    # The same in plain output.
    plain, address = place.plain_receiver("--verbose", folder=place.folder / "again")
    shown = place.plain_send(address, "--accept-new-peer", "--verbose", place.folder / "source/odd")
    assert plain.stop() == OK
    assert place.arrived(place.folder / "again") == sorted(b"odd/" + name for name in names)
    for said in (shown.out, shown.err, plain.out, plain.err):
        assert raw_control_bytes(said) == []
        assert "\u202e".encode() not in said
        said.decode()
    assert "smörgåsbord ⛵".encode() in shown.out and "smörgåsbord ⛵".encode() in plain.out


def test_thousands_of_small_files_in_one_connection(place):
    count = scaled(2000)
    receiver = place.receiver()
    for number in range(count):
        place.file(f"crates/{number % 10}/{number}", b"%d" % number)
    sent = place.send(receiver, place.folder / "source/crates")
    assert len([r for r in sent.results if r["kind"] == "file"]) == count
    assert tree(place.received / "crates") == tree(place.folder / "source/crates")
    assert len(receiver.told("connected")) == 1


def test_one_item_that_fails_does_not_stop_the_others(place):
    receiver = place.receiver()
    first, last = place.file("first", b"1"), place.file("last", b"2")
    sent = place.send(receiver, first, place.folder / "source/is not there", last, code=SOME)
    assert place.arrived() == [b"first", b"last"]
    assert [r["status"] for r in sent.results].count("ok") == 2
    failed = [r for r in sent.results if r["status"] != "ok"]
    assert [r["status"] for r in failed] == ["io"] and "is not there" in failed[0]["error"]
    shown = place.plain_send(receiver, first, place.folder / "source/is not there", code=SOME)
    assert b"is not there" in shown.err and b"first" in shown.out


def test_existing_file_is_not_overwritten(place):
    receiver = place.receiver()
    place.send(receiver, place.file("log", b"first"))
    place.send(receiver, place.file("log", b"second"))
    assert place.arrived() == [b"log", b"log (1)"]
    assert (place.received / "log").read_bytes() == b"first"
    assert (place.received / "log (1)").read_bytes() == b"second"


def test_refusal_of_the_sink_reaches_the_sender(place):
    receiver = place.receiver("--filesystem.existing", "refuse", "--filesystem.max-size", "100kB")
    place.send(receiver, place.file("log", b"first"))
    again = place.send(receiver, place.file("log", b"second"), code=REFUSED)
    assert again.results[0]["status"] == "refused" and again.results[0]["remote"] is True
    large = place.send(receiver, place.file("large", content(200_000)), code=REFUSED)
    assert "97.7 KiB" in large.results[0]["error"]
    assert place.arrived() == [b"log"] and (place.received / "log").read_bytes() == b"first"


def test_digest_of_the_content(place):
    receiver = place.receiver()
    place.send(receiver, "--digest", "sha256", place.file("cargo", content(1_000_000)), place.file("empty", b""), "-",
               input=content(70_000))
    assert (place.received / "cargo").read_bytes() == content(1_000_000)
    assert len(place.arrived()) == 3


def test_receiver_for_one_connection(place):
    receiver = place.receiver("--once")
    place.send(receiver, "--message", "one", "--message", "two")
    assert receiver.wait() == OK
    assert len(place.arrived()) == 2


def test_stdin_without_name(place):
    receiver = place.receiver()
    sent = place.send(receiver, "-", input=content(300_000))
    assert len(place.arrived()) == 1
    assert (place.received / os.fsdecode(place.arrived()[0])).read_bytes() == content(300_000)
    assert sent.results[0]["bytes"] == 300_000


def test_stdin_arrives_while_it_is_still_typed(place):
    """What a pipe gave is sent before the pipe gives more."""
    receiver = place.receiver()
    sender = place.sender(receiver, "-", "--name", "typed", stdin=subprocess.PIPE)
    sender.process.stdin.write(b"first line\n")
    sender.process.stdin.flush()
    receiver.expect_event("progress")
    sender.process.stdin.write(b"second line\n")
    sender.process.stdin.close()
    sender.ended(OK)
    assert (place.received / "typed").read_bytes() == b"first line\nsecond line\n"


def test_ipv6(place):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on the loopback interface")
    receiver = place.receiver(address="[::1]:0")
    assert receiver.address.startswith("[::1]:")
    place.send(receiver, "--message", "over six")
    assert len(receiver.delivered()) == 1


def test_a_folder_is_one_line_on_both_sides(place):
    for number in range(30):
        place.file(f"many/{number % 3}/{number}", b"x" * 1024)
    folder = place.file("many/last", b"x").parent
    place.authorize()
    receiver, address = place.plain_receiver("--filesystem.existing", "rename")
    sent = place.plain_send(address, "--accept-new-peer", folder, place.file("one", b"x"))
    assert sorted(sent.out.decode().splitlines()[:-1]) == [
        "sent file one (1 B): stored as one", "sent folder many (31 files, 30.0 KiB): stored as many"]
    receiver.expect("received file one .*\n", "out")
    receiver.expect("received folder many .*\n", "out")
    assert sorted(line.split(" from ")[0] for line in receiver.out.decode().splitlines()[1:]) == [
        "received file one (1 B)", "received folder many (31 files, 30.0 KiB)"]
    # Renames are told one by one, and with --verbose everything.
    (place.received / "many/last").write_bytes(b"other")
    for path in sorted((place.received / "many").glob("*/*")):
        path.unlink()
    told = place.plain_send(address, folder).out.decode()
    assert told.count("\n") == 3 and "sent file many/last (1 B): stored as many/last" in told, told
    everything = place.plain_send(address, "--verbose", folder).out.decode()
    assert everything.count("sent file many/") == 31, everything
    assert receiver.stop() == OK


def test_version_and_program_name(place):
    shown = place.run("--version")
    assert shown.out.startswith(b"wherry ")
    assert BIN.name.encode() == b"wherry"


def test_five_lines_of_the_readme(place):
    """With every default: two users, the usual port, the question at first contact."""
    namespace = in_namespace("--net", "ip", "link", "set", "lo", "up")
    if not namespace:
        pytest.skip("the usual port may be taken, and only root may have a network of its own")
    users = {}
    for name in ("sender", "receiver"):
        users[name] = place.folder / name
        users[name].mkdir()
    env = {name: place.env(HOME=str(home)) for name, home in users.items()}

    line = place.run("keygen", env=env["sender"]).out.decode().splitlines()[1]
    assert line.startswith("ssh-ed25519 AAAA")
    fingerprint = place.run("keygen", env=env["receiver"]).out.decode().split()[0]
    place.run("authorize", line, env=env["receiver"])
    receiver = Process([*namespace, "sh", "-c", 'ip link set lo up && exec "$0" receive', BIN], env["receiver"],
                       cwd=users["receiver"])
    place.closing.callback(receiver.kill)
    receiver.expect(r"listening on tcp://.*:9417", "out")

    model = place.file("skull.stl", content(1_000_000))
    sender = Terminal(["nsenter", "-t", str(receiver.pid), "-n", BIN, "send", model, "--message", "here it is", "--to",
                       "tcp://127.0.0.1"], env["sender"])
    place.closing.callback(sender.kill)
    assert fingerprint.encode() in sender.expect(r"yes/no")
    sender.type("yes\n")
    assert sender.wait() == OK, sender.output
    receiver.expect("here it is", "out")
    assert receiver.stop() == OK
    assert sha256(users["receiver"] / "transferred_files/skull.stl") == sha256(model)


def test_what_is_refused_without_end_is_summed_up(place):
    for number in range(120):
        place.file(f"many/{number}", b"%d" % number)
    folder = place.folder / "source/many"
    place.authorize()
    receiver, address = place.plain_receiver("--filesystem.existing", "refuse")
    place.plain_send(address, "--accept-new-peer", folder)
    for path in folder.iterdir():
        path.write_bytes(b"another")
    place.plain_send(address, folder, code=SOME)
    assert receiver.stop() == OK
    told = receiver.err.decode()
    assert told.count("not received: file many/") == 50, told
    assert "not received: 70 more items from " in told, told
