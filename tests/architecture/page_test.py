#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""docs/architecture.md is right where a script can tell: files exist, functions are in them, pictures are drawn anew."""
import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
page = (TREE / "docs/architecture.md").read_text()
wrong = []

for link in re.findall(r"\]\(([^)#]+)\)", page):
    if not (TREE / "docs" / link).exists():
        wrong.append(f"a link leads nowhere: {link}")

# `folder/file.cpp`: `function`, `function`; a file without a folder is in that of the file before.
checked = 0
for row in (line for line in page.splitlines() if line.startswith("| ") and "`" in line):
    file = folder = None
    for word in re.findall(r"`([^`]+)`", row.split("|", 2)[2]):
        if re.fullmatch(r"[\w/.-]+\.(cpp|hpp|py)", word):
            file = TREE / word if "/" in word else folder / word
            folder = file.parent
            if not file.is_file():
                wrong.append(f"there is no {word}")
                file = None
        elif file:
            checked += 1
            name = word.split("::")[-1]
            if not re.search(rf"\b{re.escape(name)}\b", file.read_text()):
                wrong.append(f"{file.relative_to(TREE)} has no {word}")
if checked < 20:
    wrong.append(f"only {checked} functions were looked for")

if subprocess.run([sys.executable, TREE / "docs/pictures/draw.py", "--check"]).returncode != 0:
    wrong.append("a picture is not what its text says")
for line in wrong:
    print(line)
sys.exit(bool(wrong))
