# SPDX-License-Identifier: BSD-2-Clause
"""Plots of tables, through gnuplot, as PNG and SVG."""
import subprocess

from processes import Failure, installed

COLOURS = ["#0b5fa5", "#d1495b", "#3c8d5a", "#e09f3e", "#7a5195", "#6b6b6b"]
TABLES = ("memory", "senders", "file-sizes", "record-sizes")  # that are drawn
TERMINALS = {
    "svg": "svg size 800,480 font 'sans-serif,14' background '#ffffff'",
    "png": "pngcairo size 1000,600 font 'sans-serif,12' background '#ffffff'",
}


def lacks():
    return "" if installed("gnuplot") else "there is no gnuplot here (scripts/packages bench installs it)"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def block(number, table, name):
    """A data block: x, median, lowest, highest."""
    lines = [f"{point.x} {row.median:.6g} {min(row.values):.6g} {max(row.values):.6g}"
             for point in table.points if (row := point.row(name))]
    return f"$data{number} << END\n" + "\n".join(lines) + "\nEND\n"


def script(table, machine):
    """Everything but the terminal and the name of the file."""
    names = table.names()
    xs = [point.x for point in table.points]
    script = [block(number, table, name) for number, name in enumerate(names)]
    script += [
        f"set title {quoted(table.title)} offset 0,0.6 noenhanced",
        f"set label 1 {quoted(machine)} at graph 0.5,1.02 center noenhanced font ',10' textcolor rgb '#555555'",
        "set grid ytics linecolor rgb '#dddddd' linetype 1",
        "set border 3 linecolor rgb '#555555'",
        "set tics nomirror out",
        "set key outside right top reverse Left samplen 2",
        "set logscale x 2",
        f"set xrange [{min(xs) / 1.3}:{max(xs) * 1.3}]",
        f"set xlabel {quoted(table.x_label)}",
        f"set ylabel {quoted(table.unit)}",
        # Small files differ from large ones by so much that only a ratio can be seen.
        "set logscale y" if table.spans_magnitudes() else "set yrange [0:*]",
        "set format y '%g'",
    ]
    ticks = ", ".join(f"{quoted(tick(x) if table.x_is_bytes else f'{x:,}')} {x}" for x in xs)
    script.append(f"set xtics ({ticks}) rotate by -35")
    curves = []
    for number, name in enumerate(names):
        style = f"lc rgb '{COLOURS[number % len(COLOURS)]}' lw {3 if name == 'wherry' else 2} pt 7 ps 0.7"
        curves.append(f"$data{number} using 1:3:4 with filledcurves fc rgb '{COLOURS[number % len(COLOURS)]}' "
                      "fs transparent solid 0.12 noborder notitle")
        curves.append(f"$data{number} using 1:2 with linespoints {style} title {quoted(name)} noenhanced")
    script.append("plot " + ", \\\n     ".join(curves))
    return "\n".join(script) + "\n"


def tick(size):
    for unit, letter in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {letter}"
    return f"{size} B"


def draw(table, machine, folder):
    """Writes NAME.svg and NAME.png into `folder`; returns their names."""
    names = []
    for ending, terminal in TERMINALS.items():
        path = folder / f"{table.name}.{ending}"
        text = f"set terminal {terminal}\nset output {quoted(str(path))}\n{script(table, machine)}set output\n"
        done = subprocess.run(["gnuplot", "-"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60)
        if done.returncode != 0 or not path.exists() or path.stat().st_size == 0:
            raise Failure(f"gnuplot did not draw {path}:\n{done.stdout.decode(errors='replace')}")
        names.append(path.name)
    return names
