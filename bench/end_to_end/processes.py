# SPDX-License-Identifier: BSD-2-Clause
"""Commands that are timed, and servers that live as long as a run. None of them outlives the script."""
import contextlib
import shutil
import socket
import subprocess
import time

STARTING = 30  # seconds that a server gets to start, or to end
RUNNING = 600  # seconds that one transfer gets
BOUND = ("setpriv", "--pdeathsig", "KILL", "--")  # ends with the script that started it


class Failure(Exception):
    """Something did not do what it was to do; the text says what, for people."""


def installed(program):
    """Where a program is, also one for administrators; None if it is not there."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")


def start(command, log, cwd=None):
    """A server. What it says goes to the file `log`."""
    with open(log, "wb") as output:
        return subprocess.Popen([*BOUND, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, cwd=cwd)


def stop(process):
    process.terminate()
    try:
        process.wait(STARTING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(process, log, found):
    """Waits until found(what the server said so far) is true, and returns that."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        value = found(log.read_text(errors="replace"))
        if value:
            return value
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise Failure(f"{process.args[len(BOUND)]} did not start:\n{log.read_text(errors='replace')}")


def ended(process, log):
    """Waits until a server has ended by itself, and well."""
    try:
        code = process.wait(RUNNING)
    except subprocess.TimeoutExpired:
        stop(process)
        raise Failure(f"{process.args[len(BOUND)]} did not end") from None
    if code != 0:
        raise Failure(f"{process.args[len(BOUND)]} failed ({code}):\n{log.read_text(errors='replace')}")


def timed(command, source=None, target=None, cwd=None):
    """Runs a command to its end and returns the seconds it took, and what it printed. `source` and `target` are files
    for its standard input and output."""
    with contextlib.ExitStack() as closing:
        stdin = closing.enter_context(open(source, "rb")) if source else subprocess.DEVNULL
        stdout = closing.enter_context(open(target, "wb")) if target else subprocess.PIPE
        begin = time.monotonic()
        try:
            done = subprocess.run([*BOUND, *map(str, command)], stdin=stdin, stdout=stdout, cwd=cwd,
                                  stderr=subprocess.PIPE if target else subprocess.STDOUT, timeout=RUNNING)
        except subprocess.TimeoutExpired:
            raise Failure(f"{short(command)} did not end within {RUNNING} s") from None
        seconds = time.monotonic() - begin
    said = ((done.stderr if target else done.stdout) or b"").decode(errors="replace")
    if done.returncode != 0:
        raise Failure(f"{short(command)} failed ({done.returncode}):\n{said}")
    return seconds, said


def short(command):
    """A command as a person wants to see it, without a thousand arguments."""
    words = [str(word) for word in command]
    return " ".join(words if len(words) <= 30 else [*words[:12], "..."])


def free_port():
    """A port of loopback that was free just now. Another may take it first, so whoever uses it tries again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def start_at_free_port(closing, log, command, listens):
    """Starts the server command(port), until listens(what it says) is true; ports may be lost to others, so it tries
    five. Returns it with its port, and stops it when `closing` does."""
    for attempt in range(5):
        port = free_port()
        server = start(command(port), log)
        closing.callback(stop, server)
        try:
            until(server, log, listens)
            return server, port
        except Failure:
            if attempt == 4:
                raise
    raise AssertionError


def first_line(command, cwd=None):
    """The first line that a command prints; "unknown" if there is none."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=10, cwd=cwd)
        if done.returncode == 0 and done.stdout:
            return done.stdout.decode(errors="replace").strip().splitlines()[0]
    return "unknown"
