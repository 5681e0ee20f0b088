# SPDX-License-Identifier: BSD-2-Clause
"""wherry new-plugin: what it writes builds against an installed wherry, passes check-plugin and receives."""
import os
import subprocess

import pytest

from installed import Installed
from support import BIN, LOCAL, USAGE, content


@pytest.fixture
def wherry(place):
    return Installed(place)


def try_out(place, wherry, name, language, extension):
    said = wherry.run(wherry.bin, "new-plugin", "sink", name, "--language", language)
    folder = place.folder / f"sink-{name}"
    assert sorted(os.listdir(folder)) == sorted(["CMakeLists.txt", name + extension, "test_delivery"])
    assert f"sink-{name}/{name}{extension}" in said and "wherry check-plugin" in said

    plugins = wherry.build(folder)
    # Its own tests: conformance, and a delivery.
    assert "100% tests passed" in wherry.run("ctest", "--test-dir", plugins, "--output-on-failure")

    stored = place.folder / "stored"
    receiver = wherry.receiver(plugins, name, f"--{name}.directory", stored)
    data = {f"f{size}": content(size) for size in (0, 1, 5000, 3_000_000)}
    sent = place.send(receiver, *[place.file(file, bytes_) for file, bytes_ in data.items()], "--message", "hello")
    for result in sent.results:
        said, file = result["response"].split(" as ")
        assert said == "stored" and (stored / file).read_bytes() == data.get(result["name"], b"hello")
    assert len(list(stored.iterdir())) == len(data) + 1  # no litter
    receiver.stop_well()
    return folder


def test_new_sink_in_cpp_builds_and_receives(place, wherry):
    folder = try_out(place, wherry, "inbox", "c++", ".cpp")
    assert len((folder / "inbox.cpp").read_text().splitlines()) < 40


def test_new_sink_in_c_builds_and_receives(place, wherry):
    try_out(place, wherry, "in-box-2", "c", ".c")


@pytest.mark.parametrize("kind", ["transport", "cipher"])
def test_new_transport_or_cipher_builds_and_carries_a_message(place, wherry, kind):
    said = wherry.run(wherry.bin, "new-plugin", kind, "mine-2")
    folder = place.folder / f"{kind}-mine-2"
    assert sorted(os.listdir(folder)) == ["CMakeLists.txt", "mine-2.cpp", "test_delivery"]
    assert f"wherry check-plugin {kind}-mine-2/build/{kind}-mine-2.so" in said
    # Its own tests: conformance, and a message from a sender to a receiver.
    tested = wherry.run("ctest", "--test-dir", wherry.build(folder), "--output-on-failure")
    assert "100% tests passed, 0 tests failed out of 2" in tested
    if kind == "cipher":  # nobody uses it by mistake
        refused = wherry.run(wherry.bin, "receive", "--plugin-dir", folder / "build", "--cipher", "mine-2", "127.0.0.1:0",
                             code=USAGE)
        assert "protects nothing" in refused and "--insecure" in refused
        assert "NO PROTECTION" in wherry.run(wherry.bin, "plugins", "mine-2", "--plugin-dir", folder / "build")


def test_new_plugin_overwrites_nothing(place):
    mine = place.folder / "sink-mine"
    mine.mkdir()
    (mine / "mine.cpp").write_text("months of work")
    refused = place.run("new-plugin", "sink", "mine", code=USAGE)
    assert b"mine.cpp exists, and nothing is overwritten" in refused.err
    assert os.listdir(mine) == ["mine.cpp"] and (mine / "mine.cpp").read_text() == "months of work"
    # Beside what else is there it may write.
    place.run("new-plugin", "sink", "other", "--directory", mine)
    assert len(os.listdir(mine)) == 4

    place.run("new-plugin", "sink", "x", "--directory", "no/such", code=LOCAL)
    (place.folder / "dangling").symlink_to(place.folder / "elsewhere")
    place.run("new-plugin", "sink", "x", "--directory", "dangling", code=LOCAL)
    assert not (place.folder / "elsewhere").exists()


def test_new_plugin_says_what_it_cannot_write(place):
    for name in ("../up", "Upper", "-dash", "", "a" * 33, "with space", "a/b", "a;b", "\u00fc"):
        refused = place.run("new-plugin", "--", "sink", name, code=USAGE)
        assert b"is no name of a sink" in refused.err
    assert b"is no name of a cipher" in place.run("new-plugin", "cipher", "Upper", code=USAGE).err
    for kind in ("transport", "cipher"):
        refused = place.run("new-plugin", kind, "x", "--language", "c", code=USAGE)
        assert f"no template of a {kind} in C; leave --language out".encode() in refused.err
    assert b"is no kind of plugin" in place.run("new-plugin", "snik", "x", code=USAGE).err
    assert b"a kind and a name" in place.run("new-plugin", "sink", code=USAGE).err
    assert b"language" in place.run("new-plugin", "sink", "x", "--language", "cobol", code=USAGE).err
    assert not [name for name in os.listdir(place.folder) if name.startswith(("transport", "cipher", "sink"))]


def test_new_plugin_folder_can_be_written_by_nobody_else(place):
    """Whatever the umask: nothing would be loaded from there."""
    subprocess.run(["sh", "-c", 'umask 002 && "$0" new-plugin sink x', BIN], env=place.env(), cwd=place.folder, check=True,
                   capture_output=True)
    assert (place.folder / "sink-x").stat().st_mode & 0o7777 == 0o755
