# SPDX-License-Identifier: BSD-2-Clause
"""scripts/packages, on systems that this one is not: what it asks of the system is answered by programs of the test."""
import os
import pty
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/packages"
TIME_LIMIT = 60

FAKES = {
    # Installed is what the file names, one a line; to be had is what apt knows, and only that.
    "dpkg-query": 'grep -qx -e "${4}" "$SYSTEM/installed" && printf installed',
    "apt-cache": 'if grep -qx -e "$2" "$SYSTEM/known"; then has=1.0-1; else has="(none)"; fi\n'
                 'printf "%s:\\n  Installed: (none)\\n  Candidate: %s\\n" "$2" "$has"',
    "apt-get": 'echo "apt-get $*" >>"$SYSTEM/done"',
    "sudo": "exit 1",  # this user is no administrator
    "id": "echo 1000",
}


class System:
    def __init__(self, folder, known, installed):
        self.folder = folder
        (folder / "known").write_text("\n".join(known) + "\n")
        (folder / "installed").write_text("\n".join(installed) + "\n")
        (folder / "bin").mkdir()
        for name, body in FAKES.items():
            file = folder / "bin" / name
            file.write_text("#!/bin/sh\n" + body + "\n")
            file.chmod(0o755)

    @property
    def environment(self):
        return {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "SYSTEM": str(self.folder)}

    def run(self, *words):
        return subprocess.run([SCRIPT, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIME_LIMIT)

    def listed(self, group):
        ended = self.run("--list", group)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()


@pytest.fixture
def system(tmp_path):
    return lambda known=(), installed=(): System(tmp_path, known, installed)


@pytest.mark.parametrize("known, installed, wanted", [
    # Debian 13 has both, and what somebody installed before does not count.
    (["libbotan-2-dev", "libbotan-3-dev"], ["libbotan-2-dev"], "libbotan-3-dev"),
    (["libbotan-2-dev"], [], "libbotan-2-dev"),  # Debian 12
    ([], ["libbotan-3-dev"], "libbotan-3-dev"),  # of nowhere, but installed
])
def test_the_newest_botan_to_be_had_is_taken(system, known, installed, wanted):
    assert [name for name in system(known, installed).listed("build") if "botan" in name] == [wanted]


def test_apt_without_any_botan_is_told(system):
    ended = system().run("--list", "build")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == ("scripts/packages: apt knows of no Botan, libbotan-3-dev or libbotan-2-dev; as root, do: "
                            "apt-get update\n")


def test_what_only_formats_is_left_out_where_it_cannot_be_had(system):
    there = system(["clang-format-14"])
    assert "clang-format-14" in there.listed("ci")
    (there.folder / "known").write_text("")
    assert [name for name in there.listed("ci") if "format" in name] == []


def test_a_user_is_told_what_an_administrator_has_to_do(system):
    user = system(installed=["gzip", "file"])
    ended = user.run("package", "demo")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "apt-get update && apt-get install -y --no-install-recommends debhelper devscripts dpkg-dev lintian python3")
    assert not (user.folder / "done").exists()
    with (user.folder / "installed").open("a") as file:
        file.write("debhelper\ndevscripts\ndpkg-dev\nlintian\npython3\n")
    ended = user.run("package", "demo")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_user_at_a_terminal_goes_on_when_they_are_there(system):
    user = system()
    ours, theirs = pty.openpty()
    with subprocess.Popen([SCRIPT, "demo"], env=user.environment, stdin=theirs, stderr=subprocess.PIPE,
                          text=True) as running:
        os.close(theirs)
        said = running.stderr.readline() + running.stderr.readline()
        assert said.endswith("install -y --no-install-recommends python3\n")
        (user.folder / "installed").write_text("python3\n")
        os.write(ours, b"\n")
        assert running.wait(TIME_LIMIT) == 0
    os.close(ours)
