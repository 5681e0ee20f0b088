# SPDX-License-Identifier: BSD-2-Clause
"""What `cmake --install` gives, as somebody uses it who has nothing but that."""
import json
import os
import re
import shutil

import pytest

import support
from packaged import (BUILD, HAS_BLUETOOTH, HIDING, LIBDIR, PLUGINS, SOURCES, deliver_to, files_below, install, run,
                      traces_of_sources, without_sources)


def prefix_of(place):
    """An installed tree that is not where it was installed."""
    prefix = place.folder / "prefix"
    install(place.folder / "elsewhere/once")
    (place.folder / "elsewhere/once").rename(prefix)
    return prefix


def install_component(prefix, component):
    run("cmake", "--install", BUILD, "--prefix", prefix, "--component", component)


def make_script(file, marker):
    """A program that leaves a file behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    file.chmod(0o755)


def listed(place, program, *options):
    support.use_program(program)
    event = place.run("plugins", "--json", *options).told("plugins")[0]
    return {row["name"]: row for row in event["plugins"]}


def test_plugins_and_a_program_by_cmake(place):
    prefix = prefix_of(place)
    program = prefix / "bin/wherry"
    work = shutil.copytree(PLUGINS, place.folder / "work")
    build = work / "build"
    env = place.env()
    without_sources("cmake", "-S", work, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", cwd=work, env=env)
    without_sources("cmake", "--build", build, cwd=work, env=env)
    assert traces_of_sources(build) == []
    # They export their descriptor, and nothing else.
    for file in ("sink-tally.so", "sink-weigh.so"):
        symbols = run("nm", "-D", "--defined-only", build / file).split("\n")
        assert [line.split()[-1] for line in symbols if line] == ["wherry_plugin_v1"]

    # The tests that they came with run the installed suite.
    tests = run("ctest", "--test-dir", build, "--output-on-failure", env=env)
    assert "100% tests passed, 0 tests failed out of 2" in tests

    run("cmake", "--install", build, "--prefix", prefix)
    plugins = listed(place, program)
    for name in ("tally", "weigh"):
        assert plugins[name]["loaded"] and plugins[name]["path"] == str(prefix / f"lib/wherry/sink-{name}.so")
    assert deliver_to(place, program, "--sink", "tally", "--tally.unit", "grams") == [
        "tallied 70000 grams", "tallied 4 grams"]
    assert deliver_to(place, program, "--sink", "weigh") == ["weighed 70000 bytes", "weighed 4 bytes"]

    known = place.homes["sender"] / "known_hosts"
    said = run(build / "lister", prefix / "lib/wherry", known)
    assert "tally loaded\n" in said and "refused" not in said
    assert f"installed: {prefix}/lib/wherry/sink-tally.so\n" in said
    assert f"installed: {prefix / LIBDIR}/wherry/transport-tcp.so\n" in said
    assert said.endswith("2 receivers\n")

    # Moved again, with what was installed into it: all find each other where they are now.
    (prefix / "bin/lister").write_bytes((build / "lister").read_bytes())
    (prefix / "bin/lister").chmod(0o755)
    moved = prefix.rename(place.folder / "moved")
    assert listed(place, moved / "bin/wherry")["tally"]["path"] == str(moved / "lib/wherry/sink-tally.so")
    assert deliver_to(place, moved / "bin/wherry", "--sink", "tally") == ["tallied 70000 bytes", "tallied 4 bytes"]
    said = run(moved / "bin/lister", moved / "lib/wherry", known)
    assert f"installed: {moved}/lib/wherry/sink-tally.so\n" in said
    assert f"installed: {moved / LIBDIR}/wherry/transport-tcp.so\n" in said
    assert f"{prefix}/" not in said


def test_plugin_of_a_project_without_cxx(place):
    prefix = prefix_of(place)
    shutil.copytree(PLUGINS, place.folder / "plugins")
    work = shutil.copytree(PLUGINS.parent / "plain-c", place.folder / "plain-c")
    without_sources("cmake", "-S", work, "-B", work / "build", f"-DCMAKE_PREFIX_PATH={prefix}", cwd=work,
                    env=place.env())
    without_sources("cmake", "--build", work / "build", cwd=work, env=place.env())
    assert listed(place, prefix / "bin/wherry", "--plugin-dir", work / "build")["weigh"]["loaded"]


def test_bad_names_of_plugins_are_told(place):
    prefix = prefix_of(place)
    work = place.folder / "work"
    work.mkdir()
    for name in ("tally", "sink-Tally", "sink-" + "x" * 33):
        (work / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES C)\nfind_package(wherry REQUIRED)\n"
            f"wherry_add_plugin({name} x.c)\n")
        said = run("cmake", "-S", work, "-B", work / "build", f"-DCMAKE_PREFIX_PATH={prefix}", env=place.env(), code=1)
        assert "wherry_add_plugin: " in said and name.removeprefix("sink-") in said
        shutil.rmtree(work / "build")


def test_plugins_and_a_program_by_pkg_config(place):
    prefix = prefix_of(place)
    program = prefix / "bin/wherry"
    work = shutil.copytree(PLUGINS, place.folder / "work")
    env = place.env(PKG_CONFIG_PATH=str(prefix / LIBDIR / "pkgconfig"))

    def flags(package, *options):
        return without_sources("pkg-config", *options, package, cwd=work, env=env).split()

    cflags, libs = flags("wherry-plugin", "--cflags"), flags("wherry-plugin", "--libs")
    without_sources("c++", "-std=c++20", "-shared", "-fPIC", *cflags, "-o", "sink-tally.so", "tally.cpp", *libs,
                    cwd=work, env=env)
    without_sources("cc", "-shared", "-fPIC", *cflags, "-o", "sink-weigh.so", "weigh.c", *libs, cwd=work, env=env)
    for option in ([], ["--static"]):
        without_sources("c++", "-std=c++20", *flags("wherry", "--cflags"), "-o", "lister", "lister.cpp",
                        *flags("wherry", "--libs", *option), cwd=work, env=env)
    assert run("nm", "-D", "--defined-only", work / "sink-tally.so").split()[1:] == ["D", "wherry_plugin_v1"]

    where = flags("wherry-plugin", "--variable=plugindir")[0]
    assert os.path.samefile(where, prefix / LIBDIR / "wherry")
    assert os.path.samefile(flags("wherry-plugin", "--variable=program")[0], program)
    for name in ("tally", "weigh"):
        run("install", "-m", "644", work / f"sink-{name}.so", where)
    assert deliver_to(place, program, "--sink", "tally") == ["tallied 70000 bytes", "tallied 4 bytes"]
    assert deliver_to(place, program, "--sink", "weigh") == ["weighed 70000 bytes", "weighed 4 bytes"]
    said = run(work / "lister", where, work / "none")
    assert "weigh loaded\n" in said
    assert f"installed: {prefix / LIBDIR}/wherry/sink-weigh.so\n" in said


def test_quickstart_builds_all_that_is_installed():
    """It does not build everything, and the README goes on with `cmake --install`."""
    script = (SOURCES / "scripts/quickstart").read_text()
    targets = re.search(r"^run cmake --build \S+ \S+ --target (.*)$", script, re.MULTILINE)[1].split()
    assert "plugins" in targets
    # All that goes into the targets, and what they stand for themselves.
    made = set(run("ninja", "-C", BUILD, "-t", "inputs", *targets).split("\n"))
    made.update(line.strip() for line in run("ninja", "-C", BUILD, "-t", "query", *targets).split("\n"))
    installed = set()
    for file in BUILD.rglob("cmake_install.cmake"):
        for part in file.read_text().split("if(CMAKE_INSTALL_COMPONENT STREQUAL ")[1:]:
            if "OR NOT CMAKE_INSTALL_COMPONENT)" in part.split("\n")[0]:
                files = re.findall(r'"(/[^"]*)"', part.split("\nendif()")[0])
                installed.update(os.path.relpath(path, BUILD) for path in files
                                 if path.startswith(f"{BUILD}/"))
    # What configuring makes is there, and the target of the documents makes all of them.
    built = {path for path in installed if path.split("/")[0] != "package" and "/Export/" not in path}
    built = {"packaging/documents" if path.startswith("documents/") else path for path in built}
    assert {"bin/wherry", "libexec/wherry-dev", "packaging/documents", "library/libwherry-library.a"} <= built
    assert built - made == set()


def test_destdir_gives_the_same_tree(place):
    prefix = prefix_of(place)
    staged = place.folder / "staged"
    run("cmake", "--install", BUILD, "--prefix", "/opt/wherry", env=place.env(DESTDIR=str(staged)))
    assert files_below(staged / "opt/wherry") == files_below(prefix)
    assert {path.parts[:2] for path in files_below(staged)} == {("opt", "wherry")}
    # What was staged works from where it is.
    plugins = listed(place, staged / "opt/wherry/bin/wherry")
    assert plugins["tcp"]["path"] == str(staged / "opt/wherry" / LIBDIR / "wherry/transport-tcp.so")


def test_nothing_installed_knows_the_sources_or_can_be_written_by_others(place):
    os.umask(0o002)
    prefix = prefix_of(place)
    assert traces_of_sources(prefix) == []
    for path in prefix.rglob("*"):
        assert path.stat().st_mode & 0o022 == 0, path
    assert HIDING or not support.AM_ROOT, "the superuser can hide the sources"


def test_program_alone_says_what_authors_of_plugins_have_to_install(place):
    prefix, work, marker = (place.folder / name for name in ("prefix", "work", "marker"))
    install_component(prefix, "runtime")
    program = prefix / "bin/wherry"
    work.mkdir()
    # A program of that name in PATH or in the working folder is not it.
    make_script(work / "wherry-dev", marker)
    make_script(work / "libexec/wherry-dev", marker)
    env = place.env(PATH=f"{work}:{os.environ['PATH']}")
    null = next(prefix.rglob("sink-null.so"))
    for command, *words in (["new-plugin", "sink", "mine"], ["check-plugin", null], ["check-plugin", null, "--quiet"]):
        said = run(program, command, *words, env=env, cwd=work, code=support.USAGE)
        assert said.count("\n") == 1 and said.startswith(
            f"wherry: error: {command} is part of wherry-dev, which is not installed ({prefix}/libexec/wherry-dev is "
            "missing); install the package wherry-dev, or "), said
    said = run(program, "--json", "check-plugin", null, env=env, cwd=work, code=support.USAGE)
    assert json.loads(said.splitlines()[-1])["status"] == "unsupported", said
    assert sorted(os.listdir(work)) == ["libexec", "wherry-dev"] and not marker.exists()
    # So it is with plugins of other packages.
    send = [program, "send", "--home", place.folder / "home", "--message", "x"]
    run(program, "keygen", "--home", place.folder / "home")
    for name, package, component, *words in (
            ("transport 'faulty'", "wherry-dev", "development", "--to", "faulty://127.0.0.1:9"),
            ("cipher 'none'", "wherry-dev", "development", "--to", "tcp://127.0.0.1:9", "--cipher", "none", "--insecure"),
            ("transport 'rfcomm'", "wherry-bluetooth", "bluetooth", "--to", "rfcomm://AA:BB:CC:DD:EE:FF")):
        if component != "bluetooth" or HAS_BLUETOOTH:
            said = run(*send, *words, env=env, cwd=work, code=support.USAGE)
            assert said.count("\n") == 1 and f"there is no {name}; install the package {package}, or the component " \
                f"'{component}' into the same prefix (looked in {prefix}/lib/wherry, " in said, said
    said = run(program, "receive", "--faulty.rate", "1KB", env=env, cwd=work, code=support.USAGE)
    assert "there is no such option; install the package wherry-dev, or " in said
    # The help is that of the whole.
    overview = run(program, "--help")
    assert "  new-plugin " in overview and "  check-plugin " in overview
    assert "--language" in run(program, "help", "new-plugin") and "--promise" in run(program, "check-plugin", "--help")
    assert b"--wherry-conformance-case" not in program.read_bytes()

    install_component(prefix, "development")
    run(program, "new-plugin", "sink", "mine", env=env, cwd=work)
    assert (work / "sink-mine/mine.cpp").exists()
    assert " 0 failed, " in run(program, "check-plugin", null, "--allow-unchecked", env=env, cwd=work)
    assert not marker.exists()


def test_commands_for_authors_of_plugins_move_with_the_tree(place):
    prefix_of(place).rename(place.folder / "moved")
    moved = place.folder / "moved"
    link = place.folder / "wherry"
    link.symlink_to(moved / "bin/wherry")
    null = moved / LIBDIR / "wherry/sink-null.so"
    env = place.env(PATH=f"{place.folder}:{os.environ['PATH']}")
    for program in (moved / "bin/wherry", link, "wherry"):
        assert " 0 failed, " in without_sources(program, "check-plugin", null, "--allow-unchecked", cwd=place.folder, env=env)
    # It finds the plugins that the program finds.
    said = without_sources(link, "--log-level", "warning", "new-plugin", "sink", "null", cwd=place.folder, env=env)
    assert f"there is a sink 'null' already, {null};" in said


def test_program_runs_no_wherry_dev_that_a_stranger_could_have_made(place):
    if not support.AM_ROOT:
        pytest.skip("only the superuser can give files away")
    prefix, marker = place.folder / "prefix", place.folder / "marker"
    install_component(prefix, "runtime")
    program, other = prefix / "bin/wherry", prefix / "libexec/wherry-dev"
    make_script(other, marker)
    place.folder.chmod(0o755)

    def told(code):
        return run(program, "new-plugin", "sink", "mine", env=place.env(), cwd=place.folder, code=code)

    for path in (other, other.parent):
        os.chown(path, 65534, 65534)
        assert f"{path} belongs to another user, who could change what is run; " in told(support.USAGE)
        os.chown(path, 0, 0)
    # Nor may a stranger say where it is.
    other.parent.rename(place.folder / "elsewhere")
    other.parent.symlink_to(place.folder / "elsewhere")
    os.chown(other.parent, 65534, 65534, follow_symlinks=False)
    assert f"{other.parent} belongs to another user" in told(support.USAGE)
    os.chown(other.parent, 0, 0, follow_symlinks=False)
    other.chmod(0o644)
    assert f"cannot run {other}: Permission denied" in told(support.LOCAL)
    assert not marker.exists()
    other.chmod(0o755)
    told(support.OK)
    assert marker.exists()
