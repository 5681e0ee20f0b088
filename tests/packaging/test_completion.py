# SPDX-License-Identifier: BSD-2-Clause
"""Completions, as each shell makes them of what is typed."""
import os
import re

import pytest

import support
from packaged import HAS_BLUETOOTH, install, run


@pytest.fixture
def prefix(place):
    """An installed tree whose program is the `wherry` of PATH, and a folder with files to complete."""
    folder = place.folder / "prefix"
    install(folder)
    support.use_program(folder / "bin/wherry")
    work = place.folder / "work"
    (work / "samples").mkdir(parents=True)
    (work / "skull.stl").write_bytes(b"")
    (work / "skin and bone.stl").write_bytes(b"")
    home = place.folder / ".config/wherry"
    place.run("keygen", "--home", home)
    key = (home / "identity.pub").read_text().split()
    (home / "known_hosts").write_text(f"tcp://lab.example:9417 {key[0]} {key[1]}\n")
    (home / "known_hosts").chmod(0o600)
    return folder


def environment(place, prefix):
    return place.env(PATH=f"{prefix / 'bin'}:{os.environ['PATH']}", WORK=str(place.folder / "work"))


def test_bash(place, prefix):
    script = prefix / "share/bash-completion/completions/wherry"
    run("bash", "-n", script)

    def completed(line):
        """What the function gives for a line, split into words as bash does it."""
        words = [part for part in re.split(r"([=:]+)|\s+", line) if part]
        if line.endswith(" "):
            words.append("")
        code = (f"source {script}; complete -p wherry >/dev/null || exit 9; cd \"$WORK\"; "
                'COMP_LINE=$1 COMP_POINT=${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wherry; '
                'printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "--norc", "-c", code, "bash", line, *words, env=environment(place, prefix)).split("\n")[:-1]

    assert completed("wherry se") == ["send"]
    assert completed("wherry help rec") == ["receive"]
    assert completed("wherry send --compr") == ["--compress"]
    assert completed("wherry send --compress ") == ["auto", "zstd", "none"]
    assert completed("wherry send --compress=z") == ["zstd"]
    bluetooth = ["rfcomm://"] if HAS_BLUETOOTH else []  # it may be left out
    assert completed("wherry send --to ") == ["tcp://lab.example:9417", "faulty://", *bluetooth, "tcp://"]
    assert completed("wherry send --to tcp://l") == ["//lab.example:9417"]
    assert completed("wherry send --to=tcp://lab.example:") == ["9417"]
    assert "filesystem" in completed("wherry receive --sink ")
    assert completed("wherry receive --sink nul") == ["null"]
    assert completed("wherry receive --filesystem.ex") == ["--filesystem.existing"]
    assert completed("wherry receive --filesystem.existing ov") == ["overwrite"]
    assert completed("wherry new-plugin ") == ["transport", "cipher", "sink"]
    assert completed("wherry --home sa") == ["samples"]
    assert completed("wherry send --message se") == [""]
    assert completed("wherry nonsense ") == [""]

    # And in a shell that somebody types into.
    terminal = support.Terminal(["bash", "--norc", "--noprofile", "-i"],
                                {**environment(place, prefix), "PS1": "ready$ "})
    place.closing.callback(terminal.kill)
    terminal.expect(r"ready\$ ")
    terminal.type(f"source {script}; cd \"$WORK\"; clear\n")
    terminal.expect(r"ready\$ $")
    terminal.type("wherry sen\t--comp\tzs\tsku\t")
    terminal.expect(r"wherry send --compress zstd skull\.stl ")
    terminal.type("skin\t")
    terminal.expect(r"skin\\ and\\ bone\.stl ")
    terminal.type("--to=tc\tla\t")
    terminal.expect("--to=tc\x07?p://lab\\.example:9417 ")
    terminal.type("\x15exit\n")
    terminal.wait()


def test_zsh(place, prefix):
    script = prefix / "share/zsh/site-functions/_wherry"
    run("zsh", "-n", script)
    terminal = support.Terminal(["zsh", "-f", "-i"], {**environment(place, prefix), "PS1": "ready$ "})
    place.closing.callback(terminal.kill)
    terminal.expect(r"ready\$ ")
    terminal.type(f"zle_highlight=(none); fpath=({script.parent} $fpath); autoload -U compinit; compinit -u -D; "
                  "cd $WORK; print all set\n")
    terminal.expect(r"\nall set")

    def complete(typed, expected):
        begin = len(terminal.output)
        terminal.type(typed)
        terminal.expect_after(begin, expected.replace(" ", r"[\x08 ]+"))
        begin = len(terminal.output)
        terminal.type("\x15print next-$((41 + 1))\n")
        terminal.expect_after(begin, "next-42\r?\n")

    # What was typed is echoed, what is behind it is completed.
    complete("wherry sen\tX", r"d X")
    complete("wherry send --compress=zs\tX", r"td X")
    complete("wherry send sku\tX", r"ll\.stl X")
    complete("wherry help rec\tX", r"eive X")
    complete("wherry receive --filesystem.existing ov\tX", r"erwrite X")
    complete("wherry send --to tcp://la\tX", r"b\.example:9417 X")
    complete("wherry --home=sa\tX", r"mples/X")
    complete("wherry \t", r"Lists the plugins that are found")
    terminal.type("exit\n")
    terminal.wait()


def test_fish(place, prefix):
    script = prefix / "share/fish/vendor_completions.d/wherry.fish"
    run("fish", "-n", script)

    def completed(line):
        said = run("fish", "--no-config", "-c", 'cd $WORK; source $argv[1]; complete -C "$argv[2]"', script, line,
                   env=environment(place, prefix))
        return [entry.split("\t")[0] for entry in said.split("\n") if entry]

    assert completed("wherry se") == ["send"]
    assert completed("wherry help rec") == ["receive"]
    assert completed("wherry send --compr") == ["--compress"]
    assert sorted(completed("wherry send --compress ")) == ["auto", "none", "zstd"]
    assert completed("wherry send --compress=z") == ["--compress=zstd"]
    assert completed("wherry send --to tcp://l") == ["tcp://lab.example:9417"]
    assert "filesystem" in completed("wherry receive --sink ")
    assert completed("wherry receive --filesystem.existing ov") == ["overwrite"]
    assert completed("wherry send sku") == ["skull.stl"]
    assert completed("wherry --home sa") == ["samples/"]
    assert completed("wherry --home=sa") == ["--home=samples/"]
    assert completed("wherry send --message se") == []
