# SPDX-License-Identifier: BSD-2-Clause
"""The sink that runs a command for each delivery."""
import os
import signal
import subprocess

import pytest

from support import LINK, OK, REFUSED, SOME, USAGE, content, in_namespace, in_order, sha256, wait_for


def exec_receiver(place, command, *options, **others):
    """A receiver that runs `command`: words, or for a list ["shell text"] that text."""
    shell = ["--exec.shell", "--exec.command", command[0]] if isinstance(command, list) else ["--exec.command", command]
    spool = place.folder / "spool"
    spool.mkdir(exist_ok=True)
    return place.receiver("--sink", "exec", *shell, "--exec.spool", spool, *options, **others)


def test_output_is_the_response_and_the_exit_status_the_outcome(place):
    receiver = exec_receiver(place, "sha256sum")
    file = place.file("scan.stl", content(3_000_000))
    sent = place.send(receiver, file, "--message", "text", "-", input=b"piped")
    assert [result["outcome"] for result in in_order(sent)] == ["exit 0"] * 3
    assert in_order(sent)[0]["response"] == sha256(file) + "  -\n"
    assert receiver.delivered()[0]["outcome"] == "exit 0"
    receiver.stop_well()
    assert os.listdir(place.folder / "spool") == []


def test_what_a_person_sees(place):
    receiver = exec_receiver(place, ["wc -c; [ $WHERRY_KIND = file ] || { echo 'no table for it' >&2; exit 3; }"])
    shown = place.plain_send(receiver, "--accept-new-peer", place.file("scan.stl", b"12345"), "--message", "x", code=SOME)
    assert b"scan.stl (5 B) [exit 0]: 5" in shown.out, shown
    assert b"exit status 3: no table for it [exit 3]: 1" in shown.err, shown


def test_no_exit_status_is_taken_for_what_it_is_not(place):
    receiver = exec_receiver(place, ["exit $(cat)"])
    for status in (69, 126, 127):
        shown = place.plain_send(receiver, "--accept-new-peer", "--message", str(status), code=REFUSED)
        assert shown.err.rstrip().endswith(b"exit status %d [exit %d]" % (status, status)), shown


def test_crash_and_timeout_are_answers_and_the_connection_lives(place):
    receiver = exec_receiver(place, ["""
        case "$WHERRY_NAME" in
            crash) kill -SEGV $$;;
            slow) echo so far; sleep 600;;
            *) cat;;
        esac"""], "--exec.timeout", "2s")
    sent = place.send(receiver, place.file("crash", b"1"), place.file("slow", b"2"), place.file("good", b"3"), code=SOME)
    crash, slow, good = in_order(sent)
    assert (crash["outcome"], crash["status"], crash["remote"]) == ("signal SIGSEGV", "io", True)
    assert (slow["outcome"], slow["status"], slow["response"]) == ("timeout", "timed_out", "so far\n")
    assert good["ok"] and good["response"] == "3"
    assert len(receiver.told("connected")) == 1
    receiver.stop_well()


def test_names_are_data(place):
    receiver = exec_receiver(place, ["printf %s \"$WHERRY_NAME\""])
    for name in ("-rf", "a;touch pwned", "$(touch pwned)", "`touch pwned`", "line\nbreak", "'\"", "*", "{}"):
        sent = place.send(receiver, place.file(name, b"x"))
        assert sent.results[0]["response"] == name
    receiver.stop_well()
    words = exec_receiver(place, "printf %s|%s {} $WHERRY_NAME", "--exec.input", "file")
    sent = place.send(words, place.file("a;touch pwned.st l", b"x"))
    path, name = sent.results[0]["response"].split("|")
    assert name == "$WHERRY_NAME" and os.path.dirname(os.path.dirname(path)) == str(place.folder / "spool")
    words.stop_well()
    assert not list(place.folder.rglob("pwned"))


def test_facts_about_the_delivery_and_its_sender(place):
    receiver = exec_receiver(place, ["env | grep ^WHERRY_ | sort"])
    file = place.file("folder/scan.stl", b"12345", mode=0o640)
    os.utime(file, ns=(10**18, 1_700_000_000_000_000_005))
    sent = place.send(receiver, file)
    facts = dict(line.split("=", 1) for line in sent.results[0]["response"].splitlines())
    peer = facts.pop("WHERRY_PEER_ADDRESS")
    assert peer.startswith("127.0.0.1:")
    line = (place.home("sender") / "identity.pub").read_text().split()
    assert facts.pop("WHERRY_PEER_FINGERPRINT") == receiver.told("connected")[0]["fingerprint"]
    assert facts == {"WHERRY_KIND": "file", "WHERRY_NAME": "scan.stl", "WHERRY_SIZE": "5", "WHERRY_MODE": "0640",
                     "WHERRY_MTIME": "1700000000.000000005", "WHERRY_FILE": "", "WHERRY_PEER_KEY": " ".join(line[:2]),
                     "WHERRY_PEER_COMMENT": line[2]}
    receiver.stop_well()


def test_environment_of_commands(place):
    def variables(*options):
        receiver = exec_receiver(place, "env", *options, wrapper=["env", "SECRET=s", "LC_TIME=C", "PGHOST=db"])
        sent = place.send(receiver, "-m", "x")
        receiver.stop_well()
        names = [line.split("=")[0] for line in sent.results[0]["response"].splitlines()]
        return {name for name in names if not name.startswith("WHERRY_")}

    usual = variables()
    assert {"PATH", "HOME", "LC_ALL", "LC_TIME"} <= usual
    assert all(name.startswith("LC_") for name in usual - {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL",
                                                           "TMPDIR", "TZ", "USER"})
    assert variables("--exec.environment", "PG* MODE=dry") == usual | {"PGHOST", "MODE"}


def test_delivery_as_a_finished_file(place):
    receiver = exec_receiver(place, "sh -c 'sha256sum < \"$1\"; stat -c %a \"$1\"; echo \"${1##*.}\"' sh {}",
                             "--exec.input", "file")
    file = place.file("scan.stl", content(2_000_000))
    sent = place.send(receiver, file)
    assert sent.results[0]["response"] == sha256(file) + "  -\n600\nstl\n"
    receiver.stop_well()
    assert os.listdir(place.folder / "spool") == []


def test_large_outputs_and_data_that_is_not_read(place):
    receiver = exec_receiver(place, ["case $WHERRY_NAME in loud) head -c 3000000 /dev/zero | tr '\\0' x;; esac; exit 0"],
                             "--exec.max-response", "1MiB")
    sent = place.send(receiver, place.file("loud", b""), place.file("large", content(5_000_000)))
    loud, large = in_order(sent)
    assert loud["outcome"] == "exit 0, response cut" and loud["response"] == "x" * (1 << 20)
    assert large["outcome"] == "exit 0" and large["response"] == ""
    receiver.stop_well()


def test_no_more_commands_at_once_than_may(place):
    marks = place.folder / "marks"
    marks.mkdir()
    receiver = exec_receiver(place, [f"cd '{marks}' && : > $$ && sleep 0.1 && ls | wc -l; rm $$"], "--exec.parallel", "2")
    sent = place.send(receiver, *[place.file(f"file{n}", b"x") for n in range(8)])
    seen = [int(result["response"]) for result in sent.results]
    assert len(seen) == 8 and max(seen) <= 2
    receiver.stop_well()


def test_command_runs_only_for_what_is_whole(place):
    mark = place.folder / "mark"
    receiver = exec_receiver(place, [f"wc -c >> '{mark}'"])
    sender = place.sender(receiver, "-", "--name", "half", stdin=subprocess.PIPE)
    sender.process.stdin.write(b"half of it\n")
    sender.process.stdin.flush()
    receiver.expect_event("progress")
    sender.kill()
    receiver.expect_event("disconnected")
    place.send(receiver, "--message", "whole")
    assert mark.read_text().split() == ["5"]
    receiver.stop_well()


def test_delivery_beyond_the_limit(place):
    receiver = exec_receiver(place, "wc -c", "--exec.max-size", "100kB")
    sent = place.send(receiver, place.file("large", content(200_000)), code=REFUSED)
    assert "97.7 KiB" in sent.results[0]["error"]
    sent = place.send(receiver, "-", code=REFUSED, input=content(200_000))
    assert "97.7 KiB" in sent.results[0]["error"]
    receiver.stop_well()


def test_full_disk_is_an_answer(place):
    spool = place.folder / "spool"
    spool.mkdir()
    namespace = in_namespace("--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", spool)
    if not namespace:
        pytest.skip("only root may mount a small disk")
    wrapper = [*namespace, "sh", "-c", f"mount -t tmpfs -o size=1m tmpfs '{spool}' && exec \"$@\"", "sh"]
    receiver = exec_receiver(place, "wc -c", wrapper=wrapper)
    announced = place.send(receiver, place.file("large", content(3_000_000)), code=REFUSED)
    assert announced.results[0]["status"] == "exhausted" and "free" in announced.results[0]["error"]
    piped = place.send(receiver, "-", code=REFUSED, input=content(3_000_000))
    assert piped.results[0]["status"] == "exhausted" and "No space left" in piped.results[0]["error"]
    assert str(spool) not in piped.results[0]["error"]  # none of the sender's business
    assert place.send(receiver, place.file("small", content(500_000))).results[0]["response"] == "500000\n"
    receiver.stop_well()


def is_alive(pid):
    """Neither gone nor waiting for somebody to ask how it ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_receiver_that_is_told_twice_to_end_ends_its_commands(place):
    pid_file = place.folder / "pid"
    receiver = exec_receiver(place, [f"echo $$ > '{pid_file}.new'; mv '{pid_file}.new' '{pid_file}'; sleep 600"],
                             "--exec.timeout", "0")
    sender = place.sender(receiver, "--message", "x")
    wait_for(pid_file.exists, "the command's number")
    pid = int(pid_file.read_text())
    receiver.signal(signal.SIGTERM)
    receiver.expect("stopping|once more")
    receiver.signal(signal.SIGTERM)
    assert receiver.wait() == OK
    assert not is_alive(pid)
    sender.ended(None)
    assert sender.code in (LINK, REFUSED)


@pytest.mark.parametrize("style", ["stdin", "file"])
def test_killed_receiver_leaves_nothing(place, style):
    """Not for longer than until the next one starts, where the command wants a file."""
    pid_file = place.folder / "pid"
    receiver = exec_receiver(place, [f"echo $$ > '{pid_file}.new'; mv '{pid_file}.new' '{pid_file}'; exec sleep 600"],
                             "--exec.input", style)
    sender = place.sender(receiver, "-", "--name", "coming", stdin=subprocess.PIPE)
    sender.process.stdin.write(content(200_000))
    sender.process.stdin.flush()
    other = place.sender(receiver, place.file("whole", b"patient"))
    wait_for(pid_file.exists, "the command's number")
    receiver.expect_event("progress")
    receiver.kill()
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    sender.kill()
    other.kill()
    if style == "file":
        exec_receiver(place, "cat", "--exec.input", "file").stop_well()
    assert os.listdir(place.folder / "spool") == []


def test_command_runs_beside_another_sink(place):
    receiver = place.receiver("--messages-sink", "exec", "--exec.command", "tr a-z A-Z", "--files-sink", "filesystem")
    sent = place.send(receiver, "--message", "louder", place.file("file", b"kept"))
    message = in_order(sent)[0]
    assert message["response"] == "LOUDER" and message["outcome"] == "exit 0"
    assert place.arrived() == [b"file"]
    receiver.stop_well()


@pytest.mark.parametrize("options, words", [
    ([], [b"exec.command", b"required"]),
    (["--exec.command", "no-such-program"], [b"exec.command", b"no-such-program", b"PATH"]),
    (["--exec.command", "echo 'open"], [b"exec.command", b"not closed"]),
    (["--exec.command", "cat", "--exec.directory", "/nonexistent"], [b"exec.directory", b"/nonexistent"]),
    (["--exec.command", "cat", "--exec.spool", "/nonexistent"], [b"exec.spool", b"/nonexistent"]),
    (["--exec.command", "cat", "--exec.max-response", "2MiB"], [b"exec.max-response"]),
])
def test_mistakes_are_told_at_the_start(place, options, words):
    refused = place.run("receive", "--home", place.home("receiver"), "--sink", "exec", *options, "127.0.0.1:0",
                        code=USAGE)
    for word in words:
        assert word in refused.err, refused
