#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every arrow points down: `tests/architecture/arrows.py [TREE]`.

An arrow is an #include. Between floors it may only point where FLOORS says. Inside a floor the rooms (NAME.hpp and
NAME.cpp are one room) must have an order in which every arrow points down: no room may lead back to itself.
Prints each arrow that does not, and then fails.
"""
import re
import sys
from pathlib import Path

TREE = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()

# Each floor, and the folders below it that it may include from. What is not listed here may not include anything of
# another floor, and nobody may include from it. A name that ends in /* stands for each folder there.
FLOORS = {
    "core": [],
    "keys": ["core/include"],
    "host": ["core/include"],
    "compression": ["core/include"],
    "engine": ["core/include", "core/src", "compression/src"],
    "server": ["core/include", "engine/include", "engine/src"],
    "library": ["core/include", "engine/include", "server/include", "host/include", "keys/include"],
    "conformance": ["core/include", "host/include"],
    "plugins-common/*": ["core/include"],
    "plugins/*": ["core/include"],
    "apps/*": ["core/include", "engine/include", "server/include", "host/include", "keys/include", "library/include"],
}
# Beyond its floor's: a cipher proves identities by keys; a plugin that wraps another one is its host; some plugins
# share code that is no plugin; and so do programs.
FURTHER = {
    "apps/documents": ["apps/common"],
    "apps/wherry": ["apps/common"],
    "apps/wherry-dev": ["conformance/include"],
    "plugins/cipher-": ["keys/include"],
    "plugins/transport-": ["plugins-common/socket", "host/include"],
    "plugins/sink-": ["host/include"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def floors():
    """Each floor's folder, and the folders that it may include from."""
    for pattern, allowed in FLOORS.items():
        folders = sorted(TREE.glob(pattern))
        if not folders:
            sys.exit(f"there is no {pattern} in {TREE}")
        for folder in folders:
            if folder.is_dir():
                name = str(folder.relative_to(TREE))
                more = [each for prefix, several in FURTHER.items() if name.startswith(prefix) for each in several]
                yield name, allowed + more


def sources(folder):
    return sorted(path for path in (TREE / folder).rglob("*") if path.suffix in (".cpp", ".hpp", ".c", ".h"))


def resolve(name, source, floor, places):
    """The file that an #include names; None if it is of no floor, such as one that the build makes."""
    folders = [source.parent, TREE / floor / "include", TREE / floor / "src", TREE / floor]
    for folder in folders + [TREE / place for place in places]:
        if (folder / name).is_file():
            return (folder / name).resolve()
    return None


def room(path, floor):
    """NAME of NAME.hpp and NAME.cpp; two folders of sources may each have a NAME of their own."""
    inside = path.relative_to(TREE / floor).with_suffix("")
    return "/".join(part for part in inside.parts if part not in ("include", "src", "wherry"))


def way_back(arrows):
    """A way through rooms that ends where it began, or None."""
    done, way = set(), []

    def visit(name):
        if name in way:
            return way[way.index(name):] + [name]
        if name in done:
            return None
        way.append(name)
        for further in sorted(arrows.get(name, ())):
            found = visit(further)
            if found:
                return found
        way.pop()
        done.add(name)
        return None

    for name in sorted(arrows):
        found = visit(name)
        if found:
            return found
    return None


def main():
    everywhere = sorted({place for floor, allowed in floors() for place in [f"{floor}/include", f"{floor}/src", floor]})
    wrong, count = [], 0
    for floor, allowed in floors():
        inside = {}
        for source in sources(floor):
            for name in INCLUDE.findall(source.read_text()):
                target = resolve(name, source, floor, allowed + everywhere)
                if target is None:
                    continue
                count += 1
                here = str(source.relative_to(TREE))
                if target.is_relative_to(TREE / floor):
                    if room(target, floor) != room(source, floor):
                        inside.setdefault(room(source, floor), set()).add(room(target, floor))
                elif not any(target.is_relative_to(TREE / place) for place in allowed):
                    wrong.append(f"{here} includes {target.relative_to(TREE)}, which is not below it")
        while back := way_back(inside):
            wrong.append(f"in {floor} the rooms lead back to themselves: {' -> '.join(back)}")
            inside[back[-2]].discard(back[-1])
    for line in wrong:
        print(line)
    print(f"{count} arrows, {len(wrong)} wrong")
    return 1 if wrong or not count else 0


sys.exit(main())
