# SPDX-License-Identifier: BSD-2-Clause
"""examples/library, built against an installed wherry alone: a C++ program that sends, and one that receives."""
import shutil

from installed import SOURCE, Installed
from support import SANITIZED, Process


def test_program_of_a_few_lines_sends_and_another_receives(place):
    wherry = Installed(place)
    folder = place.folder / "library"
    shutil.copytree(SOURCE / "examples" / "library", folder)
    # The libraries of such a build want the sanitizers' own.
    build = wherry.build(folder, *(["-DCMAKE_EXE_LINKER_FLAGS=-fsanitize=address,undefined"] if SANITIZED else []))

    # The prefix is not the one that wherry was configured for.
    plugins = {"WHERRY_PLUGIN_PATH": str(next(wherry.prefix.rglob("transport-tcp.so")).parent)}

    def start(program, home, *arguments):
        env = wherry.env(WHERRY_HOME=str(place.folder / home), **plugins)
        process = Process([*wherry.alone, build / program, *arguments], env, cwd=place.folder)
        place.closing.callback(process.kill)
        return process

    inbox = start("inbox", "bob", "tcp://127.0.0.1:0")
    address = inbox.expect(r"listening on (tcp://127\.0\.0\.1:\d+)", "out").group(1).decode()
    (place.folder / "lines.txt").write_text("one\ntwo\n")
    (place.folder / "empty").write_text("")

    # Whom nobody has let in is told the key that it is about.
    refused = start("deliver", "alice", address, "hello")
    key = refused.expect(r"must know this key: (ssh-ed25519 \S+ deliver)", "out").group(1).decode()
    assert refused.wait() == 2
    assert b"does not accept the key SHA256:" in refused.err

    # The program and the library have the same folder of keys.
    wherry.run(wherry.bin, "authorize", "--home", place.folder / "bob", key)
    sent = start("deliver", "alice", address, "hello \x1b[31m", "lines.txt", "missing", "empty")
    assert sent.wait() == 1
    assert b"message : delivered [] read\n" in sent.out
    assert b"file lines.txt: delivered [counted] 2 lines\n" in sent.out
    assert b"file missing: 'missing' cannot be read: No such file" in sent.out
    assert b"file empty: there is nothing in it [] \n" in sent.out
    inbox.expect(r"deliver: hello \\x1B\[31m\n", "out")

    # The library speaks with the program, too.
    wherry.run(wherry.bin, "keygen", "--home", place.folder / "carol")
    wherry.run(wherry.bin, "authorize", "--home", place.folder / "bob", place.folder / "carol" / "identity.pub")
    said = wherry.run(wherry.bin, "send", "--home", place.folder / "carol", "--accept-new-peer", "--to", address,
                      place.folder / "lines.txt")
    assert "[counted]: 2 lines" in said
    assert inbox.stop() == 0
    assert inbox.err == b""
