# SPDX-License-Identifier: BSD-2-Clause
"""docs/writing-plugins.md is followed word for word: its commands are run in their order, by a new user who has an
installed wherry and nothing of the source tree, and what they say is compared with what the page shows.

tests/e2e/tutorial-in-chroot does so on a bare Debian, which it makes."""
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from installed import BUILD, SOURCE, Installed
from support import LIMIT, Process

PAGE = SOURCE / "docs" / "writing-plugins.md"


class Step:
    """A command of the page, or a Ctrl-C, and what is shown below it."""

    def __init__(self, terminal, line, command):
        self.terminal, self.line, self.command = terminal, line, command
        self.shown = []

    def __repr__(self):
        return f"line {self.line} of {PAGE.name}: {self.command.splitlines()[0]}"


def steps_of(page):
    """The blocks ```console, or ```console terminal=NAME: `$ ` begins a command, a here-document belongs to it."""
    steps, terminal, end_of_document = [], None, None
    for number, line in enumerate(page.splitlines(), 1):
        if end_of_document:
            steps[-1].command += "\n" + line
            if line == end_of_document:
                end_of_document = None
        elif terminal is None:
            if begin := re.fullmatch(r"```console(?: terminal=(\w+))?", line):
                terminal = begin[1] or "main"
        elif line == "```":
            terminal = None
        elif line.startswith("$ ") or line == "^C":
            steps.append(Step(terminal, number, line.removeprefix("$ ")))
            if document := re.search(r"<<'(\w+)'$", line):
                end_of_document = document[1]
        else:
            steps[-1].shown.append(line)
    assert terminal is None and end_of_document is None
    return steps


# What differs from one run to the next: for the rest, the page has to show what is said.
VARYING = [
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:KEY"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"SHA256:KEY \S+$", "SHA256:KEY USER@HOST"),
    (r"stored as [A-Za-z0-9]{6}$", "stored as NAME"),
    # Cases are added.
    (r": \d+ passed, 0 failed, 0 unchecked, \d+ skipped$", ": SOME passed, 0 failed, 0 unchecked, SOME skipped"),
    (r"in \d+\.\d\d s \(\d[\d.]* [KMG]?i?B/s\)", "in TIME (RATE)"),
]


def settled(line):
    for pattern, name in VARYING:
        line = re.sub(pattern, name, line)
    return line.rstrip()


def pattern_of(shown):
    """The page's lines as an expression, in which "..." stands for any lines."""
    return "".join(r"(?:.*\n)*?" if line == "..." else re.escape(settled(line)) + r"\n" for line in shown)


def is_as_shown(shown, said):
    return re.fullmatch(pattern_of(shown), "".join(settled(line) + "\n" for line in said.splitlines())) is not None


class Reader:
    """Somebody who types what the page says, in several terminals. Beneath `root`, if that is not "/"."""

    def __init__(self, place, alone, env, home, root="/"):
        self.place, self.alone = place, alone
        self.env, self.folder, self.umask = dict(env), home, 0o077
        self.state = f"{home}/.state"
        self.state_from_here = Path(root, self.state.lstrip("/"))
        self.running = {}  # terminal: its process

    def follow(self, step):
        if step.command == "^C":
            self.interrupt(step)
        elif step.terminal == "main":
            self.run(step)
        else:
            self.start(step)

    def script(self, command):
        return [*self.alone, "bash", "-c", f"umask {self.umask:o}; cd '{self.folder}' || exit\n{command}"]

    def run(self, step):
        # What a command does to its shell holds for the next one.
        keep = f"status=$?; pwd >'{self.state}'; umask >>'{self.state}'; env -0 >>'{self.state}'; exit $status"
        done = subprocess.run(self.script(f"{step.command}\n{keep}"), env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3 * LIMIT)
        said = done.stdout.decode(errors="backslashreplace")
        assert done.returncode == 0, f"{step}: ended with {done.returncode}:\n{said}"
        if step.shown:
            assert is_as_shown(step.shown, said), f"{step}: the page does not show what it says:\n{said}"
        folder, mask, variables = self.state_from_here.read_text().split("\n", 2)
        self.folder, self.umask = folder, int(mask, 8)
        self.env = dict(variable.split("=", 1) for variable in variables.split("\0") if "=" in variable)

    def start(self, step):
        process = Process(self.script(f"exec 2>&1\nexec {step.command}"), self.env)
        self.place.closing.callback(process.kill)
        self.running[step.terminal] = process
        process.seen = 0
        process.wait_until(lambda: is_as_shown(step.shown, process.out.decode()), f"{step}: what the page shows")
        process.seen = len(process.out)

    def interrupt(self, step):
        process = self.running.pop(step.terminal)
        before = len(process.out)
        process.signal(signal.SIGINT)
        assert process.wait() == 0, process
        # What it said while others ran stands above the ^C on a terminal.
        said = process.out[before:].decode()
        assert is_as_shown(step.shown, said), f"{step}: the page does not show what it says:\n{said}"


@pytest.fixture
def reader(place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The page uses the default port, which others may use here.
    settings = {"WHERRY_TCP_PORT": str(port)}
    root = os.environ.get("WHERRY_TUTORIAL_ROOT")
    if root:
        home = Path(root, "home/reader")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        subprocess.run(["cmake", "--install", BUILD, "--prefix", home / "wherry"], check=True, capture_output=True)
        alone = ["unshare", "--mount", "--", "sh", "-c", 'mount -t proc none "$0/proc" && exec chroot "$0" "$@"', root]
        env = {"HOME": "/home/reader", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **settings}
        return Reader(place, alone, env, "/home/reader", root)
    home = place.folder / "reader"
    home.mkdir()
    wherry = Installed(place)
    # Where the page's `cmake --install` puts it; the page's export puts it into PATH.
    wherry.prefix.rename(home / "wherry")
    env = wherry.env(HOME=str(home), **settings)
    env["PATH"] = env["PATH"].split(":", 1)[1]
    return Reader(place, wherry.alone, env, str(home))


def test_every_command_of_the_page_does_what_it_shows(place, reader):
    steps = steps_of(PAGE.read_text())
    assert len(steps) > 20 and sum(len(step.shown) for step in steps) > 40
    for step in steps:
        reader.follow(step)
    assert not reader.running


def test_comparison_with_the_page_can_fail():
    assert is_as_shown(["a", "...", "d"], "a\nb\nc\nd\n") and is_as_shown(["...", "d"], "d\n")
    assert not is_as_shown(["a", "...", "d"], "a\nb\nc\n")
    assert not is_as_shown(["a"], "a\nb\n") and not is_as_shown(["a.c"], "abc\n")
    key = "SHA256:" + 43 * "x"
    assert is_as_shown([f"listening on tcp://127.0.0.1:9417, {key}"], f"listening on tcp://127.0.0.1:1, {key[:-1]}y\n")
    assert not is_as_shown(["sent message (11 B): stored as k3Fd9a"], "sent message (12 B): stored as k3Fd9a\n")
