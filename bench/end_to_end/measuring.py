# SPDX-License-Identifier: BSD-2-Clause
"""Rounds in turns, and what comes of them."""
import statistics
from dataclasses import dataclass, field

from processes import Failure


@dataclass
class Row:
    """What one contestant did, round by round."""
    name: str
    values: list
    chain: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    def as_json(self):
        return {"name": self.name, "chain": self.chain, "median": significant(self.median),
                "lowest": significant(min(self.values)), "highest": significant(max(self.values)),
                "values": [significant(value) for value in self.values]}


@dataclass
class Point:
    """All contestants at one size (or number) of the thing that a table goes along; x is None where there is only one."""
    x: object
    rows: list = field(default_factory=list)

    def row(self, name):
        return next((row for row in self.rows if row.name == name), None)


@dataclass
class Table:
    """The figures of one workload."""
    name: str
    title: str
    unit: str
    points: list
    rounds: int = 0
    more_is_better: bool = True
    x_label: str = ""
    x_is_bytes: bool = False
    notes: list = field(default_factory=list)
    left_out: list = field(default_factory=list)  # [name, why]

    def names(self):
        """Of all contestants, in the order in which they appear."""
        return list(dict.fromkeys(row.name for point in self.points for row in point.rows))

    def point(self, x=None):
        return next((point for point in self.points if point.x == x), None)

    def spans_magnitudes(self):
        medians = [row.median for point in self.points for row in point.rows]
        return max(medians) > 100 * min(medians)

    def as_json(self):
        return {"name": self.name, "title": self.title, "unit": self.unit, "more_is_better": self.more_is_better,
                "x_label": self.x_label, "notes": self.notes,
                "left_out": [{"name": name, "why": why} for name, why in self.left_out],
                "points": [{"x": point.x, "results": [row.as_json() for row in point.rows]} for point in self.points]}


def significant(value):
    """Five digits: what is behind them is noise."""
    return float(f"{value:.5g}")


def first_sentence(failure):
    return " ".join(str(failure).split())[:300]


def in_turns(contestants, rounds, measure, left_out):
    """Calls measure(contestant) in turns, so that a machine that changes its pace does so for all; who begins moves on
    by one each round. A peer that fails is left out, with the reason; wherry must not. Returns a row for each."""
    taken = {each: [] for each in contestants}
    for number in range(rounds):
        shift = number % len(contestants)
        for each in [*contestants[shift:], *contestants[:shift]]:
            if each not in taken or number >= (each.rounds_at_most or rounds):
                continue
            try:
                taken[each].append(measure(each))
            except Failure as failure:
                if each.name.startswith("wherry"):
                    raise
                left_out.append([each.name, f"it failed: {first_sentence(failure)}"])
                del taken[each]
    return [Row(each.name, values, each.chain()) for each, values in taken.items()]


def delivered(contestant, source):
    """Sends once; returns the seconds. What arrived is compared with what was sent, and taken away."""
    contestant.clear(source)
    seconds = contestant.send(source)
    if not contestant.has_delivered(source):
        raise Failure(f"{contestant.name} delivered something else than was sent")
    contestant.clear(source)
    return seconds
