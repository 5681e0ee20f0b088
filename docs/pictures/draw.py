#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Draws the sequence pictures of docs/architecture.md: `docs/pictures/draw.py` writes NAME.svg for each NAME.txt here,
`docs/pictures/draw.py --check` fails if one would change.

A NAME.txt has one line for each column (`column NAME: text below it`), then one for each step, from the top down:
`FROM -> TO: text` (an arrow), `NAME: text` (what that column does), or `---: text` (a line across, with a caption).
"""
import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
WIDTH, STEP, TOP, MARGIN = 190, 34, 66, 20
STYLE = "font-family:sans-serif;font-size:12px"


def read(file):
    columns, steps = {}, []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        left, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or not text:
            sys.exit(f"{file.name}:{number}: a line is 'column NAME: text', 'FROM -> TO: text', 'NAME: text' or '---: text'")
        if left.startswith("column "):
            columns[left.removeprefix("column ").strip()] = text
            continue
        names = [name.strip() for name in left.split("->")]
        for name in names:
            if name not in columns and name != "---":
                sys.exit(f"{file.name}:{number}: there is no column '{name}'")
        steps.append((names, text))
    return columns, steps


def text_at(x, y, text, anchor="middle", style=STYLE, fill="#222"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="{style}" fill="{fill}">{escape(text)}</text>'


def draw(file):
    columns, steps = read(file)
    place = {name: MARGIN + WIDTH // 2 + WIDTH * i for i, name in enumerate(columns)}
    width, height = 2 * MARGIN + WIDTH * len(columns), TOP + STEP * (len(steps) + 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
           '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
           '<path d="M0,0 L9,4 L0,8 z" fill="#235"/></marker></defs>',
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for name, below in columns.items():
        x = place[name]
        out.append(f'<line x1="{x}" y1="{TOP - 14}" x2="{x}" y2="{height - 10}" stroke="#bbb"/>')
        out.append(text_at(x, 22, name, style=STYLE + ";font-weight:bold"))
        out.append(text_at(x, 40, below, fill="#666"))
    for number, (names, text) in enumerate(steps):
        y = TOP + STEP * (number + 1) - 8
        if names == ["---"]:
            out.append(f'<line x1="{MARGIN}" y1="{y}" x2="{width - MARGIN}" y2="{y}" stroke="#999" stroke-dasharray="4 4"/>')
            out.append(text_at(MARGIN, y - 6, text, "start", STYLE + ";font-style:italic", "#555"))
        elif len(names) == 1:
            x = place[names[0]]
            half = max(len(text) * 3.4 + 6, 20)
            out.append(f'<rect x="{x - half:.0f}" y="{y - 13}" width="{2 * half:.0f}" height="19" rx="4" fill="#eef3fb" stroke="#9ab"/>')
            out.append(text_at(x, y + 1, text))
        else:
            begin, end = place[names[0]], place[names[1]]
            out.append(f'<line x1="{begin}" y1="{y}" x2="{end}" y2="{y}" stroke="#235" marker-end="url(#head)"/>')
            out.append(text_at((begin + end) / 2, y - 6, text))
    return "\n".join(out + ["</svg>", ""])


def main():
    check, wrong = sys.argv[1:] == ["--check"], []
    files = sorted(FOLDER.glob("*.txt"))
    for file in files:
        picture, made = file.with_suffix(".svg"), draw(file)
        if not check:
            picture.write_text(made)
        elif not picture.is_file() or picture.read_text() != made:
            wrong.append(picture.name)
    for name in wrong:
        print(f"docs/pictures/{name} is not what its text says; run docs/pictures/draw.py")
    return 1 if wrong or not files else 0


sys.exit(main())
