# SPDX-License-Identifier: BSD-2-Clause
"""Options: where they come from, which wins, and what is said of those that are wrong."""
import glob
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from support import BIN, OK, PLUGINS, USAGE, Process, content, in_namespace


def listening_port(place, *options, **env):
    receiver = place.start("receive", "--home", place.home("receiver"), "--json", "--filesystem.directory",
                           place.received, *options, env=place.env(**env))
    event = receiver.wait_until(
        lambda: [e for e in receiver.events if e["event"] == "listening"], "the listening event")[0]
    assert receiver.stop() == OK
    return int(event["address"].rsplit(":", 1)[1])


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_command_line_wins_over_environment_over_config_file(place):
    by_line, by_file, by_environment = free_ports(3)
    config = place.file("wherry.ini", b"[tcp]\nport = %d\n" % by_file)
    assert listening_port(place, "127.0.0.1", "--config", config) == by_file
    assert listening_port(place, "127.0.0.1", "--config", config, WHERRY_TCP_PORT=str(by_environment)) == by_environment
    assert listening_port(place, "127.0.0.1", "--config", config, f"--tcp.port={by_line}",
                          WHERRY_TCP_PORT=str(by_environment)) == by_line


def test_home_from_the_environment(place):
    home = place.folder / "elsewhere"
    place.run("keygen", env=place.env(WHERRY_HOME=str(home)))
    assert (home / "identity").exists()
    place.run("keygen", env=place.env(XDG_CONFIG_HOME=str(place.folder / "xdg")))
    assert (place.folder / "xdg/wherry/identity").exists()
    place.run("keygen", env=place.env())
    assert (place.folder / ".config/wherry/identity").exists()


@pytest.mark.parametrize("wrong, right", [("--filesystem.directroy=x", "--filesystem.directory"),
                                          ("--tcp.prot=1", "--tcp.port"), ("--max-conections=3", "--max-connections")])
def test_unknown_option_with_a_suggestion(place, wrong, right):
    refused = place.run("receive", "--home", place.home("receiver"), wrong, code=USAGE)
    assert wrong.split("=")[0].encode() in refused.err and right.encode() in refused.err


@pytest.mark.parametrize("option, words", [
    ("--tcp.port=70000", [b"tcp.port", b"65535"]), ("--tcp.port=http", [b"tcp.port"]),
    ("--tcp.connect-timeout=soon", [b"tcp.connect-timeout", b"s"]),
    ("--filesystem.existing=maybe", [b"filesystem.existing", b"rename", b"overwrite"]),
    ("--filesystem.quota=-1", [b"filesystem.quota"]), ("--filesystem.sync=perhaps", [b"filesystem.sync", b"true"]),
    ("--max-connections=0", [b"max-connections"]), ("--handshake-timeout=never", [b"handshake-timeout"])])
def test_bad_values_say_what_would_be_right(place, option, words):
    refused = place.run("receive", "--home", place.home("receiver"), option, "127.0.0.1:0", code=USAGE)
    for word in words:
        assert word in refused.err, refused


def test_mistakes_in_the_config_file_name_it(place):
    config = place.file("wherry.ini", b"[tcp]\nprot = 1\n")
    refused = place.run("receive", "--home", place.home("receiver"), "--config", config, code=USAGE)
    assert b"prot" in refused.err and b"wherry.ini" in refused.err
    refused = place.run("receive", "--home", place.home("receiver"), "--config", place.folder / "none.ini", code=None)
    assert refused.code != OK and b"none.ini" in refused.err


def test_help_has_the_options_of_each_plugin_under_its_heading(place):
    shown = place.run("receive", "--help").out.decode()
    at = [shown.find(option) for option in ("--tcp.port", "--hybrid.kem", "--filesystem.directory")]
    assert min(at) > 0, shown
    for option in ("tcp", "hybrid", "filesystem"):
        headings = [line for line in shown.splitlines() if line and not line.startswith(" ") and option in line]
        assert headings, f"no heading for {option}:\n{shown}"


def test_help_follows_the_choice_of_plugins(place):
    assert "--filesystem.directory" not in place.run("receive", "--sink", "null", "--help").out.decode()


def test_help_and_usage(place):
    assert b"send" in place.run("--help").out
    assert b"receive" in place.run("help", code=None).out + place.run(code=None).out + place.run(code=None).err
    place.run(code=USAGE)
    refused = place.run("recieve", code=USAGE)
    assert b"receive" in refused.err
    for command in ("keygen", "authorize", "keys", "receive", "send", "devices", "pair", "plugins"):
        assert command.encode() in place.run(command, "--help").out


@pytest.mark.parametrize("arguments", [
    ["send", "--to", "tcp://127.0.0.1:1"], ["send", "--message", "x"], ["send", "--to", "carrier-pigeon://x", "-"],
    ["send", "--to", "tcp://127.0.0.1:notaport", "--message", "x"], ["authorize"], ["keygen", "--type", "dsa"],
    ["receive", "one", "two"], ["plugins", "no-such-plugin"]])
def test_wrong_usage(place, arguments):
    home = [] if arguments[0] == "plugins" else ["--home", place.home("sender")]
    refused = place.run(*arguments, *home, code=USAGE)
    assert refused.err and not refused.out


def test_missing_identity_says_how_to_make_one(place):
    for arguments in (["receive", "127.0.0.1:0"], ["send", "--to", "tcp://127.0.0.1:1", "--message", "x"]):
        refused = place.run(*arguments, "--home", place.folder / "nobody", code=None)
        assert refused.code != OK, refused
        assert b"wherry keygen" in refused.err


# ---- plugins ----


def listed(place, *arguments, **env):
    """What `plugins --json` says, by kind and name."""
    (told,) = place.run("plugins", "--json", *arguments, env=place.env(**env)).told("plugins")
    return {(plugin["kind"], plugin["name"]): plugin for plugin in told["plugins"]}


def test_plugins_are_listed(place):
    found = listed(place)
    for kind, name in (("transport", "tcp"), ("cipher", "hybrid"), ("cipher", "none"), ("sink", "filesystem"),
                       ("sink", "null")):
        assert os.path.samefile(found[kind, name]["path"], PLUGINS / f"{kind}-{name}.so")
        assert found[kind, name]["loaded"] is True
    shown = place.run("plugins").out.decode().splitlines()
    assert shown[0].split() == ["KIND", "NAME", "VERSION", "WHAT", "IT", "DOES"]
    assert shown[-1] == f"found in {PLUGINS}; wherry plugins NAME shows the options of one"
    rows = [line.split()[:2] for line in shown[1:-1]]
    assert {tuple(row) for row in rows} == set(found)
    # Instruments are last.
    assert rows[0] == ["transport", "rfcomm"] or rows[0] == ["transport", "tcp"]
    assert rows[-4:] == [["transport", "faulty"], ["cipher", "none"], ["sink", "faulty"], ["sink", "null"]]
    # The columns of all rows begin at the same places.
    assert len({line.index(line.split()[2]) for line in shown[1:-1]}) == 1


def test_options_of_a_plugin_are_shown(place):
    shown = place.run("plugins", "tcp").out.decode()
    assert "--tcp.port" in shown and "9417" in shown
    options = {option["name"]: option for option in listed(place, "tcp")["transport", "tcp"]["options"]}
    assert options["port"]["default"] == "9417" and options["port"]["maximum"] == 65535


def plugin_folder(place, **files):
    """A folder of plugins of its own: NAME=bytes, or NAME=None for a copy of the real one."""
    folder = place.folder / "plugins"
    folder.mkdir(mode=0o755)
    for name, data in files.items():
        path = folder / (name.replace("_", "-") + ".so")
        if data is None:
            shutil.copy(PLUGINS / path.name, path)
        else:
            path.write_bytes(data)
        path.chmod(0o755)
    return folder


def test_plugin_folder_comes_first(place):
    folder = plugin_folder(place, sink_null=None)
    for arguments, env in ((["--plugin-dir", folder], {}), ([], {"WHERRY_PLUGIN_PATH": str(folder)})):
        found = listed(place, *arguments, **env)
        assert found["sink", "null"]["path"] == str(folder / "sink-null.so")
        assert ("sink", "filesystem") in found  # from the other folders


@pytest.mark.parametrize("writable", ["folder", "file"])
def test_plugins_that_others_can_write_are_refused(place, writable):
    folder = plugin_folder(place, sink_null=None)
    (folder if writable == "folder" else folder / "sink-null.so").chmod(0o777)
    refused = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", folder, "--sink", "null",
                        "127.0.0.1:0", code=None)
    assert refused.code != OK, refused
    assert str(folder).encode() in refused.err and b"writ" in refused.err


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(100), content(5000)],
                         ids=["empty", "script", "broken-elf", "noise"])
def test_files_that_are_no_plugins_are_refused(place, data):
    folder = plugin_folder(place, sink_odd=data)
    refused = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", folder, "--sink", "odd",
                        "127.0.0.1:0", code=None)
    assert refused.code != OK
    assert b"sink-odd.so" in refused.err


def test_plugin_under_another_name_is_refused(place):
    folder = plugin_folder(place)
    shutil.copy(PLUGINS / "cipher-none.so", folder / "sink-odd.so")
    refused = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", folder, "--sink", "odd",
                        "127.0.0.1:0", code=None)
    assert refused.code != OK and b"sink-odd.so" in refused.err


def test_plugins_where_proc_is_not_mounted(place):
    namespace = in_namespace("--mount", "mount", "-t", "tmpfs", "tmpfs", "/proc")
    if not namespace:
        pytest.skip("only root may have mounts of its own")

    def run(code, *command):
        hidden = [*namespace, "sh", "-c", 'mount -t tmpfs tmpfs /proc && exec "$0" "$@"', *command]
        process = Process(hidden, place.env(), cwd=BIN.parent)
        place.closing.callback(process.kill)
        return process.ended(code)

    for program in (BIN, f"./{BIN.name}"):
        assert re.search(rb"^transport +tcp ", run(OK, program, "plugins").out, re.MULTILINE)
    # Started by a descriptor, which has no path then.
    started = "import os, sys; os.execve(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1:], os.environ)"
    for command in (["plugins", "absent"], ["receive", "--sink", "absent"]):
        said = run(USAGE, "python3", "-c", started, BIN, *command).err
        assert b"not beside the program, whose place is unknown: /proc/self/exe cannot be read" in said, said


def test_shared_object_that_is_no_plugin_is_refused_without_running_it(place):
    libraries = glob.glob("/lib/*/libm.so.6") + glob.glob("/usr/lib/*/libm.so.6") + glob.glob("/lib64/libm.so.6")
    if not libraries:
        pytest.skip("there is no libm.so.6 here")
    folder = plugin_folder(place)
    shutil.copy(libraries[0], folder / "sink-odd.so")
    (folder / "sink-odd.so").chmod(0o755)
    refused = place.run("receive", "--home", place.home("receiver"), "--plugin-dir", folder, "--sink", "odd",
                        "127.0.0.1:0", code=None)
    assert refused.code != OK and b"sink-odd.so" in refused.err


@pytest.mark.parametrize("name", ["../sink-null", "/tmp/x", "null.so", "NULL", "nul", ""])
def test_names_of_plugins_are_names(place, name):
    refused = place.run("receive", "--home", place.home("receiver"), "--sink", name, "127.0.0.1:0", code=USAGE)
    assert b"null" in refused.err or b"filesystem" in refused.err or b"name" in refused.err


def test_plugin_path_counts_before_the_configuration(place):
    plugin = BIN.parents[1] / "lib/wherry/sink-null.so"
    folders = {}
    for where in ("config", "environment"):
        folders[where] = place.folder / where
        folders[where].mkdir()
        shutil.copy(plugin, folders[where])
    config = place.folder / "config.ini"
    config.write_text(f"plugin-dir = {folders['config']}\n")
    env = dict(place.env(), WHERRY_PLUGIN_PATH=str(folders["environment"]))
    shown = subprocess.run([BIN, "plugins", "null", "--json", "--config", config], env=env, capture_output=True, check=True)
    found = [row["path"] for row in json.loads(shown.stdout.splitlines()[0])["plugins"] if row["name"] == "null"]
    assert found == [str(folders["environment"] / "sink-null.so")], shown
