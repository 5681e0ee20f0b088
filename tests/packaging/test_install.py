"""What `cmake --install` gives, as somebody uses it who has nothing but that."""
import os
import shutil

import support
from packaged import (BUILD, HIDING, LIBDIR, PLUGINS, deliver_to, files_below, install, run, traces_of_sources,
                      without_sources)


def prefix_of(place):
    prefix = place.folder / "prefix"
    install(prefix)
    return prefix


def listed(place, program, *options):
    support.BIN = program
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

    # The tests that they came with run the installed program's own suite.
    if "check-plugin" in run(program, "--help"):
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
    assert said.endswith("2 receivers\n")


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
    without_sources("c++", "-std=c++20", *flags("wherry", "--cflags"), "-o", "lister", "lister.cpp",
                    *flags("wherry", "--libs"), cwd=work, env=env)
    assert run("nm", "-D", "--defined-only", work / "sink-tally.so").split()[1:] == ["D", "wherry_plugin_v1"]

    where = flags("wherry-plugin", "--variable=plugindir")[0]
    assert os.path.samefile(where, prefix / LIBDIR / "wherry")
    assert os.path.samefile(flags("wherry-plugin", "--variable=program")[0], program)
    for name in ("tally", "weigh"):
        run("install", "-m", "644", work / f"sink-{name}.so", where)
    assert deliver_to(place, program, "--sink", "tally") == ["tallied 70000 bytes", "tallied 4 bytes"]
    assert deliver_to(place, program, "--sink", "weigh") == ["weighed 70000 bytes", "weighed 4 bytes"]
    assert "weigh loaded\n" in run(work / "lister", where, work / "none")


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
