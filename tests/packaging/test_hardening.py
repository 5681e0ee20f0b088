# SPDX-License-Identifier: BSD-2-Clause
"""What is installed is built so that a fault in it is hard to exploit."""
import platform

from packaged import install, run


def test_program_and_plugins_are_hardened(place):
    prefix = place.folder / "prefix"
    install(prefix)
    programs = [prefix / "bin/wherry", prefix / "libexec/wherry-dev"]
    plugins = sorted(prefix.rglob("*-*.so"))
    assert len(plugins) >= 4
    # It says of no program of Debian that its control flow is protected, because the C library's part of it is not. A
    # plugin may call no function that could be fortified.
    run("hardening-check", "--nocfprotection", *programs)
    run("hardening-check", "--nocfprotection", "--nofortify", *plugins)
    if platform.machine() == "x86_64":
        for file in [*programs, *plugins]:
            # The targets of indirect calls. Two are in every file.
            assert run("objdump", "-d", "--no-show-raw-insn", file).count("endbr64") > 10, file
