# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages that cpack makes."""
import re
import subprocess

from packaged import BUILD, deliver_to, run, traces_of_sources


def test_packages_are_whole_and_lintian_accepts_them(place):
    made = place.folder / "made"
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", made, cwd=BUILD)
    packages = {path.name.split("_")[0]: path for path in made.rglob("*.deb")}
    assert sorted(packages) == ["wherry", "wherry-dev"]
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
    for expected in ("/usr/include/wherry/plugin.h\n", "/libwherry-core.a\n", "/libwherry-host.a\n",
                     "/usr/include/wherry/plugin_host.hpp\n", "/wherry-config.cmake\n", "/wherry-plugin.pc\n", "/usr/share/doc/wherry/protocol.md\n", "/usr/libexec/wherry-dev\n"):
        assert expected in files["wherry-dev"], expected
    for path in packages.values():
        assert re.search(r"^ Depends: .*libbotan", run("dpkg-deb", "-I", path), re.MULTILINE), path

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
