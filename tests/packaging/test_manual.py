# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages: well-formed, and as complete as the program's own help."""
import re

from packaged import SOURCES, install, run


def test_pages_are_well_formed_and_complete(place):
    prefix = place.folder / "prefix"
    install(prefix)
    program = prefix / "bin/wherry"
    commands = re.findall(r"^  ([a-z][a-z-]*)  ", run(program, "--help"), re.MULTILINE)
    assert "send" in commands and "receive" in commands
    pages = {path.name: path for path in prefix.glob("share/man/man*/*")}
    assert sorted(pages) == sorted(["wherry.1", "wherry-plugins.7", *(f"wherry-{name}.1" for name in commands)])
    for path in pages.values():
        assert run("mandoc", "-T", "lint", "-W", "warning", path) == ""
        for width in ("40", "60", "80", "100"):
            shown = run("man", "--warnings", "-E", "UTF-8", "-l", path, env=place.env(MANWIDTH=width))
            assert shown.count("warning:") == 0, shown

    def typed(name):
        """A page's text without its marks."""
        return re.sub(r"\\f[BIR]", "", pages[name].read_text().replace("\\-", "-"))

    everywhere = typed("wherry.1") + typed("wherry-plugins.7")
    for name in commands:
        pages_of_it = typed(f"wherry-{name}.1") + everywhere
        options = re.findall(r"^  (?:-., )?(--[a-z.0-9-]+)", run(program, "help", name), re.MULTILINE)
        assert "--help" in options
        for option in options:
            assert re.search(rf"^(-., )?{re.escape(option)}\b", pages_of_it, re.MULTILINE), (name, option)
    assert f'"{run(program, "--version").strip()}"' in pages["wherry.1"].read_text()
    # The reference has the same exit codes.
    table = (SOURCES / "docs/command-line.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    status = pages["wherry.1"].read_text().split(".SH EXIT STATUS")[1].split(".SH ")[0]
    codes = re.findall(r"^\.B ([0-9]+)$", status, re.MULTILINE)
    assert codes == re.findall(r"^\| ([0-9]+) \|", table, re.MULTILINE) and "130" in codes
