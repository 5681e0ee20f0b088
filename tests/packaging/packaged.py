# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the installed tree share: a build to install from, and no way from there back to the sources."""
import os
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCES / "tests/e2e"))

import support  # noqa: E402

BUILD = Path(os.environ.get("WHERRY_BUILD", SOURCES / "build/release")).resolve()
# Where the build puts libraries below a prefix.
LIBDIR = os.environ.get("WHERRY_LIBDIR", "lib")
HAS_BLUETOOTH = (BUILD / "lib/wherry/transport-rfcomm.so").exists()
PLUGINS = Path(__file__).parent / "plugins"


def run(*command, env=None, cwd=None, code=0):
    """Runs a command to its end, and returns what it said."""
    done = subprocess.run([os.fspath(part) for part in command], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=4 * support.LIMIT)
    text = done.stdout.decode(errors="backslashreplace")
    assert done.returncode == code, f"{command} ended with {done.returncode}:\n{text}"
    return text


def _hiding():
    """The beginning of a command that runs the rest where sources and build are empty folders; nothing where that is not
    allowed."""
    script = 'mount -t tmpfs none "$1" && { [ ! -d "$2" ] || mount -t tmpfs none "$2"; } && shift 2 && exec "$@"'
    for namespace in (["unshare", "--mount", "--"], ["unshare", "--mount", "--map-root-user", "--"]):
        command = [*namespace, "sh", "-c", script, "sh", str(SOURCES), str(BUILD)]
        if subprocess.run([*command, "true"], capture_output=True, cwd="/").returncode == 0:
            return command
    return []


HIDING = _hiding()


def without_sources(*command, cwd, **others):
    """As run(), with nothing of the source tree in reach."""
    if HIDING:  # else what follows would prove nothing
        assert run(*HIDING, "ls", "-A", SOURCES, cwd="/") == ""
    return run(*HIDING, *command, cwd=cwd, **others)


def install(prefix, **others):
    return run("cmake", "--install", BUILD, "--prefix", prefix, **others)


def files_below(folder):
    return sorted(path.relative_to(folder) for path in Path(folder).rglob("*") if not path.is_dir())


def traces_of_sources(folder):
    """The files below a folder that name the source tree or the build."""
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if os.fsencode(SOURCES) in data or os.fsencode(BUILD) in data:
                found.append(path)
    return found


def deliver_to(place, program, *sink_options):
    """Sends a file and a message through the installed program to a sink, and returns the responses."""
    support.use_program(program)
    receiver = place.receiver(*sink_options)
    sender = place.send(receiver, place.file("skull.stl", b"s" * 70_000), "--message", "here")
    receiver.stop_well()
    assert [result["status"] for result in sender.results] == ["ok", "ok"]
    return [result["response"] for result in sender.results]
