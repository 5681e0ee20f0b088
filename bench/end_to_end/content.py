# SPDX-License-Identifier: BSD-2-Clause
"""What is sent, and whether it arrived."""
import argparse
import os
import re

UNITS = {None: 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
KIB, MIB, GIB = 2**10, 2**20, 2**30


def bytes_of(text):
    """The number of bytes of "1GiB"; for argparse."""
    match = re.fullmatch(r"(\d+)\s*([KMG]i?B)?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write it like 1GiB or 500MB")
    if match[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"'{text}' has an unknown unit")
    return int(match[1]) * UNITS[match[2]]


def size_text(size):
    """1073741824 as "1 GiB"."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= UNITS[unit] and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]} {unit}"
    return f"{size} B"


def make_file(path, size):
    """Bytes that do not compress."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as out:
        while size > 0:
            size -= out.write(block[:size])
    return path


def make_tree(path, files, folders, size):
    """A folder with so many files of one size in so many folders, no two the same."""
    for i in range(folders):
        (path / f"folder-{i:03}").mkdir(parents=True)
    for i in range(files):
        (path / f"folder-{i % folders:03}" / f"file-{i:05}").write_bytes(os.urandom(size))
    return path


def same_file(one, other):
    with open(one, "rb") as a, open(other, "rb") as b:
        while True:
            x, y = a.read(1 << 20), b.read(1 << 20)
            if x != y:
                return False
            if not x:
                return True


def same(one, other):
    """True for two files, or two folders, with the same in them."""
    if not one.is_dir():
        return other.is_file() and same_file(one, other)
    if not other.is_dir():
        return False
    mine, theirs = ({path.relative_to(top) for path in top.rglob("*")} for top in (one, other))
    if mine != theirs:
        return False
    return all((one / name).is_dir() == (other / name).is_dir() and
               ((one / name).is_dir() or same_file(one / name, other / name)) for name in mine)
