# SPDX-License-Identifier: BSD-2-Clause
"""What must be reached, and whether it was. The one place where these figures stand."""
from dataclasses import dataclass

from content import GIB, MIB, size_text


@dataclass
class Verdict:
    """`measured` is None where something was left out; then `why` says what."""
    work: str
    against: str
    wanted: str
    measured: object = None
    shown: str = ""
    reached: object = None
    why: str = ""

    def as_json(self):
        return {"work": self.work, "against": self.against, "wanted": self.wanted, "measured": self.measured,
                "reached": self.reached, "why": self.why}


@dataclass
class Ratio:
    """The median of one contestant against that of another, in the same table: how many times as fast it is."""
    work: str
    table: str
    against: str
    at_least: float
    name: str = "wherry"

    def wanted(self):
        return f"at least {self.at_least:g} times"

    def judge(self, tables):
        table = tables.get(self.table)
        point = table.points[-1] if table and table.points else None
        one, other = (point.row(name) if point else None for name in (self.name, self.against))
        verdict = Verdict(self.work, self.against, self.wanted())
        if not one or not other:
            verdict.why = left_out(table, self.table, self.against)
            return verdict
        # Of what is better when it is less, the ratio is the other way round.
        better = one.median / other.median if table.more_is_better else other.median / one.median
        verdict.measured, verdict.reached, verdict.shown = better, better >= self.at_least, f"{better:.2f} times"
        return verdict


@dataclass
class Slowdown(Ratio):
    """The same, as how many times as long it takes: `at_least` is what it has to stay under."""

    def wanted(self):
        return f"under {self.at_least:g} times"

    def judge(self, tables):
        verdict = super().judge(tables)
        if verdict.measured:
            worse = 1 / verdict.measured
            verdict.measured, verdict.reached, verdict.shown = worse, worse < self.at_least, f"{worse:.2f} times"
        return verdict


@dataclass
class AlongTable:
    """The last point of a table against its first: many senders against one."""
    work: str
    table: str
    against: str
    at_least: float
    name: str = "wherry"

    def judge(self, tables):
        table = tables.get(self.table)
        verdict = Verdict(self.work, self.against, f"at least {self.at_least:g} of the rate")
        rows = [point.row(self.name) for point in table.points] if table else []
        if len(rows) < 2 or not all(rows):
            verdict.why = left_out(table, self.table, self.name)
            return verdict
        share = rows[-1].median / rows[0].median
        verdict.measured, verdict.reached, verdict.shown = share, share >= self.at_least, f"{share:.2f}"
        return verdict


@dataclass
class FlatMemory:
    """No size of file makes it take more than so much, and the largest not much more than the smallest."""
    work: str
    table: str
    name: str
    at_most: int
    growth_at_most: int
    up_to: int  # the file that it has to hold for

    def judge(self, tables):
        table = tables.get(self.table)
        verdict = Verdict(f"{self.work}: {self.name}", "itself on the smallest file",
                          f"under {self.at_most // MIB} MiB, and at most {self.growth_at_most // MIB} MiB more")
        rows = [row for row in (point.row(self.name) for point in table.points) if row] if table else []
        if len(rows) < 2:
            verdict.why = left_out(table, self.table, self.name)
            return verdict
        most = max(row.median for row in rows)
        growth = most - rows[0].median
        verdict.measured = most
        verdict.shown = f"{most:.1f} MiB, {growth:+.1f} MiB"
        verdict.reached = most * MIB < self.at_most and growth * MIB <= self.growth_at_most
        largest = table.points[-1].x
        if verdict.reached and largest < self.up_to:
            verdict.reached = None
            verdict.why = f"up to {size_text(largest)} it is reached, and {size_text(self.up_to)} were not measured"
        return verdict


def left_out(table, name, who):
    """Why there is no figure."""
    if table is None:
        return f"the workload {name} was not run"
    return next((why for other, why in table.left_out if other == who), f"there is no figure of {who}")


TARGETS = [
    Ratio("one file of 1 GiB, encrypted", "file", "scp", 2.7),
    Ratio("the same", "file", "bare encrypting loop", 0.9),
    Ratio("10,000 files of 4 KiB in 100 folders, durable", "small-files", "rsync over ssh", 2),
    Ratio("the same", "small-files", "tar over ssh", 2),
    Ratio("100,000 messages of 100 bytes, each answered", "messages", "ssh cat", 1),
    Slowdown("one message at a time, median", "one-message", "bare TCP echo", 3),
    Ratio("start to first byte stored: a file of 4 KiB", "start", "scp", 5),
    FlatMemory("resident memory, up to 10 GiB", "memory", "sender", 32 * MIB, 4 * MIB, 10 * GIB),
    FlatMemory("resident memory, up to 10 GiB", "memory", "receiver", 32 * MIB, 4 * MIB, 10 * GIB),
    AlongTable("1,000 senders at once, 1 MiB each, none failed", "senders", "the same bytes from one sender", 0.5),
    Ratio("receive-all of 256 MiB", "receive-all", "reads of 1,024 bytes, concatenated", 20, "receive_all"),
    Ratio("the same", "receive-all", "a buffer of the right size", 0.9, "receive_all"),
]


def judge(tables, run, is_quick, failed=()):
    """A verdict on every target of the workloads that were run; a quick run reaches none, nor misses it. What failed
    has not reached its own."""
    by_name = {table.name: table for table in tables}
    verdicts = [target.judge(by_name) for target in TARGETS if target.table in run]
    for verdict in verdicts if is_quick else ():
        verdict.reached = None
        verdict.why = verdict.why or "a quick run says nothing"
    for target, verdict in zip((target for target in TARGETS if target.table in run), verdicts):
        if target.table in failed:
            verdict.reached, verdict.shown, verdict.why = False, "failed", "the workload failed"
    return verdicts
