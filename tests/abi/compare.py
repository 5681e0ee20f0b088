#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each plugin.h only appends to the one before it: `tests/abi/compare.py HEADER HEADER...`, the oldest first.

abidiff compares the structures. It cannot be told to allow an append and nothing else, so it gets the newer header
without what was appended: each structure that may grow has only the members that the older one has. Prints each change
that is no append, and then fails.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# The host refuses a shorter one, so that a longer one would refuse every plugin there is.
FIXED = {"wherry_plugin", "wherry_option"}

STRUCTURE = re.compile(r"typedef struct (\w+) \{([^{}]*)\} \1;")
ENUM = re.compile(r"\benum \{([^{}]*)\};")
DEFINE = re.compile(r"^#define (WHERRY_\w+)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
# Of "void (*name)(void* other)", "char name[SIZE]" and "int64_t name, other".
MEMBER_NAME = re.compile(r"(?<=\(\*)\w+|\w+(?=\[|,|$)")


class NoAppend(Exception):
    pass


class Header:
    """What a plugin.h declares."""

    def __init__(self, path):
        self.name = path.name
        self.text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.DOTALL)
        self.members = {name: [" ".join(member.split()) for member in body.split(";")[:-1]]
                        for name, body in STRUCTURE.findall(self.text)}
        enums = ENUM.findall(self.text)
        for word, found in (("struct", self.members), ("enum", enums)):
            if len(re.findall(rf"\b{word}\b", self.text)) != len(found):
                sys.exit(f"{path} has a {word} in a form that tests/abi/compare.py cannot read")
        self.constants = dict(DEFINE.findall(self.text))
        for row in (row for body in enums for row in map(str.strip, body.split(",")) if row):
            name, _, value = row.partition(" = ")
            self.constants[name] = value
        self.minor = self.constants.pop("WHERRY_ABI_MINOR", None)

    def may_grow(self, name):
        """Whether the size at its beginning tells a plugin and a host how much of it the other knows."""
        return name not in FIXED and self.members[name][0] == "uint32_t struct_size"

    def without_appends_to(self, older):
        """C that declares the same but for what was appended, and that compiles if the appends leave no doubt."""

        def shortened(found):
            name, body = found.groups()
            if name not in older.members or not older.may_grow(name):
                return found[0]
            kept, appended = older.members[name], self.members[name][len(older.members[name]):]
            if appended:
                first = MEMBER_NAME.search(appended[0])[0]
                checks.append(f"typedef struct {{{body}}} whole_{name};\n"
                              f"_Static_assert(offsetof(whole_{name}, {first}) >= sizeof({name}), \"{first} is where "
                              f"{name} had padding: nobody can tell from the size whether it is there\");")
            return f"typedef struct {name} {{{';'.join(body.split(';')[:len(kept)])};}} {name};"

        checks = []
        return "\n".join([STRUCTURE.sub(shortened, self.text), *checks])


def build(made, text, structures):
    """A shared object that tells abidiff of these structures."""
    source = made.with_suffix(".c")
    source.write_text("\n".join([text, *(f"{name}* pointer_to_{name};" for name in structures), ""]))
    compiler = os.environ.get("CC", "cc")
    ran = subprocess.run([compiler, "-g", "-shared", "-fPIC", "-o", made, source], stderr=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        raise NoAppend(f"it does not compile:\n{ran.stderr}")
    return made


def require_append(older, newer):
    for name in older.members:
        if name not in newer.members:
            raise NoAppend(f"{name} is gone")
    for name, value in older.constants.items():
        if newer.constants.get(name) != value:
            raise NoAppend(f"{name} was {value}, and is {newer.constants.get(name, 'gone')}")
    with tempfile.TemporaryDirectory() as folder:
        before = build(Path(folder, "before.so"), older.text, older.members)
        after = build(Path(folder, "after.so"), newer.without_appends_to(older), older.members)
        # A member that only has another name counts, too.
        ran = subprocess.run(["abidiff", "--harmless", "--no-show-locs", before, after], stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        raise NoAppend(f"abidiff ends with {ran.returncode}, and says:\n{ran.stdout}")
    if newer.minor is not None:  # at first there was none
        before, after = (int((header.minor or "0").rstrip("u")) for header in (older, newer))
        wanted = before + (newer.members != older.members or newer.constants != older.constants)
        if after != wanted:
            raise NoAppend(f"WHERRY_ABI_MINOR is {after} instead of {wanted}: it is one more than in the header before if "
                           "something was appended; tests/abi/README.md says which headers are stored")


def main():
    headers = [Header(Path(name)) for name in sys.argv[1:]]
    if len(headers) < 2:
        sys.exit("usage: tests/abi/compare.py HEADER HEADER..., the oldest first")
    failed = False
    for older, newer in zip(headers, headers[1:]):
        try:
            require_append(older, newer)
        except NoAppend as found:
            failed = True
            print(f"from {older.name} to {newer.name}: {found}")
    if failed:
        sys.exit("plugin.h may only be appended to: core/doc/plugin-abi.md, \"How it may grow\", says what that means")


if __name__ == "__main__":
    main()
