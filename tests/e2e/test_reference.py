# SPDX-License-Identifier: BSD-2-Clause
"""core/doc/plugin-abi.md has every function of plugin.h."""
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2]


def test_every_function_of_the_abi_is_in_its_reference():
    header = (SOURCE / "core/include/wherry/plugin.h").read_text()
    reference = (SOURCE / "core/doc/plugin-abi.md").read_text().split("\n## Reference", 1)[1]
    tables = dict(re.findall(r"typedef struct (wherry_\w+) \{(.*?)\n\} \1;", header, re.S))
    functions = {(table, name) for table, body in tables.items() for name in re.findall(r"\(\*(\w+)\)\(", body)}
    assert len(functions) > 40
    sections = {title: body for title, body in re.findall(r"### `(\w+)`[^\n]*\n(.*?)(?=\n### |\n## |\Z)", reference, re.S)}
    missing = sorted(f"{table}.{name}" for table, name in functions
                     if not re.search(rf"^\| `{name}`", sections.get(table, ""), re.M))
    assert missing == [], "core/doc/plugin-abi.md says nothing of these"
    gone = sorted(f"{table}.{name}" for table, body in sections.items() for name in re.findall(r"^\| `(\w+)`", body, re.M)
                  if (table, name) not in functions)
    assert gone == [], "core/doc/plugin-abi.md has functions that plugin.h lacks"
