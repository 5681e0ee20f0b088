# SPDX-License-Identifier: BSD-2-Clause
"""wherry as it is installed, in a prefix of its own, and plugins that are built against it."""
import os
import subprocess
from pathlib import Path

import pytest

import support

BUILD = support.BIN.parent.parent
SOURCE = Path(__file__).parents[2]


class Installed:
    """A fresh prefix. What is built and run with it does not see the source tree, nor the build in it, where this
    test may hide them; and what was built is searched for traces of them in any case."""

    def __init__(self, place):
        if support.SANITIZED:
            pytest.skip("nobody installs what was built with a sanitizer")
        self.place = place
        self.prefix = place.folder / "prefix"
        self.bin = self.prefix / "bin" / "wherry"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], check=True, capture_output=True)
        hidden = {SOURCE, *(path for path in [BUILD] if SOURCE not in path.parents)}
        hide = " && ".join(f"mount -t tmpfs none '{path}'" for path in hidden)
        self.alone = ["unshare", "--mount", "--", "sh", "-c", f'{hide} && exec "$@"', "alone"]
        if subprocess.run([*self.alone, "true"], capture_output=True).returncode != 0:
            self.alone = []

    def env(self, **extra):
        """As a new user has it: the program and the CMake package are found because PATH has the prefix."""
        env = self.place.env(**extra)
        # ccache would find what was compiled with the tree in sight.
        return {**env, "PATH": f"{self.prefix / 'bin'}:{env['PATH']}", "CCACHE_DISABLE": "1"}

    def run(self, *command, code=0, cwd=None):
        """Runs a command to its end, and returns all it said."""
        done = subprocess.run([*self.alone, *map(os.fspath, command)], env=self.env(), cwd=cwd or self.place.folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=3 * support.LIMIT)
        said = done.stdout.decode(errors="backslashreplace")
        assert done.returncode == code, f"{command} ended with {done.returncode} instead of {code}:\n{said}"
        return said

    def build(self, source, *options):
        """Builds a project of a plugin, warnings being errors, and returns the folder it is built in."""
        build = source / "build"
        self.run("cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror",
                 "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror", *options)
        self.run("cmake", "--build", build)
        for file in build.rglob("*"):
            if file.suffix in (".d", ".make", ".txt", ".so") and file.is_file():
                assert os.fsencode(SOURCE) not in file.read_bytes(), f"{file} knows of the source tree"
        return build

    def receiver(self, plugins, sink, *options):
        """A receiver with this sink."""
        self.place.authorize()
        command = [*self.alone, self.bin, "receive", "--home", self.place.home("receiver"), "--json", "--plugin-dir",
                   plugins, "--sink", sink, *options, "127.0.0.1:0"]
        process = support.Receiver(command, self.env(), None, cwd=self.place.folder)
        self.place.closing.callback(process.kill)
        return process


def answers(sent):
    """What the sink answered to each delivery of a sender that has ended, by name: outcome and response."""
    return {result["name"]: (result.get("outcome"), result.get("response")) for result in sent.results}
