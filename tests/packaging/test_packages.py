# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages that cpack makes, and what debian/ says of them."""
import os
import re
import subprocess

from packaged import BUILD, HAS_BLUETOOTH, SOURCES, deliver_to, run, traces_of_sources


def check_upgrade(root, packages):
    """Each plugin that was in the package wherry 0.1.0 can be taken over by the package that has it now."""
    for folder in ("updates", "info"):
        (root / "var/lib/dpkg" / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    old = root.parent / "old"
    for path in packages.values():
        run("dpkg-deb", "-x", path, old)
    (old / "DEBIAN").mkdir()
    architecture = run("dpkg-deb", "-f", packages["wherry"], "Architecture").strip()
    (old / "DEBIAN/control").write_text(f"Package: wherry\nVersion: 0.1.0\nArchitecture: {architecture}\n"
                                        "Maintainer: nobody <nobody@wherry.example>\nDescription: old\n")
    run("dpkg-deb", "--root-owner-group", "-b", old, f"{old}.deb")

    def unpack(*files):
        run("dpkg", f"--root={root}", "--auto-deconfigure", "--force-not-root", "--force-depends", "--log=/dev/null",
            "--unpack", *files, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})

    unpack(f"{old}.deb")
    unpack(*sorted(packages.values()))  # wherry itself last, while the old one still has all
    for name, path in packages.items():
        files = re.findall(r" \.(/.*[^/])\n", run("dpkg-deb", "-c", path))
        owners = run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "-S", *files).split("\n")
        assert sorted(owners[:-1]) == sorted(f"{name}: {file}" for file in files)


def test_packages_are_whole_and_lintian_accepts_them(place):
    made = place.folder / "made"
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", made, cwd=BUILD)
    packages = {path.name.split("_")[0]: path for path in made.rglob("*.deb")}
    assert sorted(packages) == ["wherry", *(["wherry-bluetooth"] if HAS_BLUETOOTH else []), "wherry-dev"]
    said = subprocess.run(["lintian", "--allow-root", *packages.values()], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300).stdout.decode()
    assert re.findall(r"^E: .*$", said, re.MULTILINE) == [], said
    # Those come of a build whose prefix is not /usr (the preset "package" has it).
    known = ("maintscript-calls-ldconfig", "pkg-config-unavailable-for-cross-compilation")
    warnings = [line for line in re.findall(r"^W: .*$", said, re.MULTILINE) if not any(tag in line for tag in known)]
    assert warnings == [], said

    files = {name: run("dpkg-deb", "-c", path) for name, path in packages.items()}
    for expected in ("/usr/bin/wherry\n", "/transport-tcp.so\n", "/man1/wherry-send.1.gz\n",
                     "/usr/share/bash-completion/completions/wherry\n", "/usr/share/zsh/vendor-completions/_wherry\n",
                     "/usr/share/fish/vendor_completions.d/wherry.fish\n", "/usr/share/doc/wherry/copyright\n",
                     "/usr/share/doc/wherry/changelog.gz\n"):
        assert expected in files["wherry"], expected
    plugins = {name: set(re.findall(r"/wherry/([a-z-]+)\.so\n", text)) for name, text in files.items()}
    assert plugins["wherry-dev"] == {"transport-faulty", "sink-faulty", "cipher-none"}
    if HAS_BLUETOOTH:
        assert plugins["wherry-bluetooth"] == {"transport-rfcomm"}
        needs = {name: run("dpkg-deb", "-f", path, "Depends") for name, path in packages.items()}
        for library in ("libbluetooth", "libsdbus-c++"):
            assert [name for name, text in needs.items() if library in text] == ["wherry-bluetooth"]
        assert run("dpkg-deb", "-f", packages["wherry"], "Recommends") == "wherry-bluetooth\n"
    for expected in ("/usr/include/wherry/plugin.h\n", "/libwherry-core.a\n", "/libwherry-host.a\n",
                     "/usr/include/wherry/plugin_host.hpp\n", "/wherry-config.cmake\n", "/wherry-plugin.pc\n", "/usr/share/doc/wherry/protocol.md\n", "/usr/libexec/wherry-dev\n"):
        assert expected in files["wherry-dev"], expected
    for name in ("wherry", "wherry-dev"):
        assert "libbotan" in run("dpkg-deb", "-f", packages[name], "Depends"), name

    check_upgrade(place.folder / "upgraded", packages)

    # What is in it runs, from wherever it was unpacked to.
    unpacked = place.folder / "unpacked"
    program = unpacked / "usr/bin/wherry"
    run("dpkg-deb", "-x", packages["wherry"], unpacked)
    null = next(unpacked.rglob("sink-null.so"))
    assert "install the package wherry-dev" in run(program, "check-plugin", null, env=place.env(), code=2)
    run("dpkg-deb", "-x", packages["wherry-dev"], unpacked)
    assert " 0 failed, " in run(program, "check-plugin", null, "--allow-unchecked", env=place.env())
    assert traces_of_sources(unpacked) == []
    assert deliver_to(place, program, "--sink", "null") == [
        "counted 70000 bytes", "counted 4 bytes"]


def paragraphs_of(file):
    for paragraph in (SOURCES / file).read_text().split("\n\n"):
        fields = re.finditer(r"^([\w-]+):((?:.*\n?)(?: .*\n?)*)", paragraph, re.MULTILINE)
        yield {field[1]: field[2] for field in fields}


def test_debian_control_wants_what_the_script_of_packages_lists():
    source, *packages = paragraphs_of("debian/control")
    assert [package["Package"].strip() for package in packages] == ["wherry", "wherry-bluetooth", "wherry-dev"]
    wanted = {name: bool(mark) for names, mark in re.findall(r"^ ([^,<]+?)(?: \([^)]*\))?( <!nocheck>)?,$",
                                                           source["Build-Depends"], re.MULTILINE)
              for name in names.split(" | ")}
    listed = set(run(SOURCES / "scripts/packages", "--list", "build").split())
    # Those that every package is built with, and another name of one.
    listed = {name.replace("pkg-config", "pkgconf") for name in listed} - {"g++"}
    choices = {name for name in wanted if name.startswith("libbotan-")}
    assert listed & choices and choices <= {"libbotan-2-dev", "libbotan-3-dev"}
    assert {name for name, only_for_tests in wanted.items() if not only_for_tests} - choices - {"debhelper-compat"} == \
        listed - choices
    tests = set(run(SOURCES / "scripts/packages", "--list", "test").split())
    assert {name for name, only_for_tests in wanted.items() if only_for_tests} <= tests
