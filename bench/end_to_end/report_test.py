#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench/report: `report_test.py BUILD` runs it briefly with the programs of that build. No figure is asserted."""
import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import contestants  # noqa: E402
import processes  # noqa: E402
import targets  # noqa: E402
import workloads  # noqa: E402
import writing  # noqa: E402
from content import GIB, MIB  # noqa: E402
from measuring import Point, Row, Table, in_turns  # noqa: E402

BUILD = None  # set from the command line

# Every table, with who has to be in it or among those that are named as left out.
EXPECTED = {
    "file": {kind.name for kind in workloads.ALL_FOR_A_FILE},
    "small-files": {"wherry", "rsync over ssh", "tar over ssh", "scp", "rclone"},
    "messages": {"wherry", "ssh cat"},
    "one-message": {"wherry", "bare TCP echo"},
    "start": {"wherry", "scp", "rsync over ssh", "rclone"},
    "memory": {"sender", "receiver"},
    "senders": {"wherry"},
    "receive-all": {"receive_all", "a buffer of the right size", "reads of 1,024 bytes, appended",
                    "reads of 1,024 bytes, concatenated"},
    "file-sizes": {"wherry", "bare encrypting loop", "socat with TLS", "scp", "rclone"},
    "record-sizes": {"wherry", "bare encrypting loop"},
}
PLOTTED = ("memory", "senders", "file-sizes", "record-sizes")


def table(name, more_is_better=True, **medians):
    rows = [Row(who.replace("_", " "), [value]) for who, value in medians.items()]
    return Table(name, name, "MB/s", [Point(None, rows)], more_is_better=more_is_better)


class QuickRun(unittest.TestCase):
    """All of it, once, with tiny sizes."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="wherry-report-test.")
        cls.folder = Path(cls.temporary.name) / "report"
        cls.done = subprocess.run([ROOT / "bench/report", "--quick", "--build", BUILD, "--output", cls.folder],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        cls.report = json.loads((cls.folder / "report.json").read_text()) if cls.done.returncode == 0 else {}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def setUp(self):
        self.assertEqual(self.done.returncode, 0, self.done.stdout)

    def test_everyone_is_measured_or_named_as_left_out(self):
        tables = {one["name"]: one for one in self.report["workloads"]}
        self.assertEqual(set(tables), set(EXPECTED))
        for name, wanted in EXPECTED.items():
            measured = {row["name"] for point in tables[name]["points"] for row in point["results"]}
            for one in tables[name]["left_out"]:
                self.assertTrue(one["why"], one)
            self.assertEqual(measured | {one["name"] for one in tables[name]["left_out"]}, wanted, name)
        of_all = [(one["workload"], one["name"]) for one in self.report["left_out"]]
        self.assertEqual(of_all, [(name, one["name"]) for name in EXPECTED for one in tables[name]["left_out"]])

    def test_what_comes_with_the_project_is_measured(self):
        tables = {one["name"]: one for one in self.report["workloads"]}
        for name in EXPECTED:
            ours = {"memory": "sender", "receive-all": "receive_all"}.get(name, "wherry")
            for point in tables[name]["points"]:
                row = next(row for row in point["results"] if row["name"] == ours)
                self.assertGreater(min(row["values"]), 0)
                self.assertLessEqual(row["lowest"], row["median"])
                self.assertLessEqual(row["median"], row["highest"])

    def test_every_target_is_told_and_none_is_judged(self):
        self.assertEqual(len(self.report["targets"]), len(targets.TARGETS))
        for one in self.report["targets"]:
            self.assertIsNone(one["reached"], one)

    def test_markdown_has_every_workload(self):
        text = (self.folder / "report.md").read_text()
        for one in self.report["workloads"]:
            self.assertIn(f"## {one['title']}", text)
            for missing in one["left_out"]:
                self.assertIn(f"{missing['name']} is left out: {missing['why']}", text)
        self.assertIn("A quick run", text)

    def test_plots_are_there(self):
        self.assertEqual(self.report["plots"], sorted(f"{name}.{kind}" for name in PLOTTED for kind in ("png", "svg")))
        for name in PLOTTED:
            self.assertTrue((self.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n"))
            drawing = xml.etree.ElementTree.parse(self.folder / f"{name}.svg")
            words = " ".join(drawing.getroot().itertext())
            self.assertIn("sender" if name == "memory" else "wherry", words)


class Targets(unittest.TestCase):
    def judge(self, *tables, is_quick=False):
        return targets.judge(tables, {one.name for one in tables}, is_quick)

    def test_a_ratio_is_reached_or_not(self):
        first, second = self.judge(table("file", wherry=270, scp=100, bare_encrypting_loop=301))
        self.assertTrue(first.reached)
        self.assertAlmostEqual(first.measured, 2.7)
        self.assertFalse(second.reached)
        self.assertIs(second.reached, False)
        text = writing.target_table([first, second])
        self.assertIn("| 2.70 times | reached |", text)
        self.assertIn("| 0.90 times | **not reached** |", text)

    def test_of_times_the_lesser_is_the_better(self):
        self.assertTrue(self.judge(table("start", more_is_better=False, wherry=20, scp=100))[0].reached)
        self.assertIs(self.judge(table("start", more_is_better=False, wherry=21, scp=100))[0].reached, False)

    def test_a_latency_has_to_stay_under_its_bound(self):
        fast = self.judge(table("one-message", more_is_better=False, wherry=29, bare_TCP_echo=10))[0]
        self.assertTrue(fast.reached)
        self.assertAlmostEqual(fast.measured, 2.9)
        self.assertIs(self.judge(table("one-message", more_is_better=False, wherry=30, bare_TCP_echo=10))[0].reached,
                      False)

    def test_who_is_left_out_is_told_with_the_reason(self):
        without = table("file", wherry=270, scp=100)
        without.left_out.append(["bare encrypting loop", "there is no OpenSSL"])
        verdict = self.judge(without)[1]
        self.assertIsNone(verdict.reached)
        self.assertIn("not measured: there is no OpenSSL", writing.target_table([verdict]))

    def test_memory_has_a_bound_and_is_flat(self):
        def memory(*mib, largest=10 * GIB):
            return Table("memory", "memory", "MiB", [Point(largest - len(mib) + 1 + i, [Row("sender", [each]), Row("receiver", [each])])
                                                     for i, each in enumerate(mib)], more_is_better=False)
        self.assertTrue(all(one.reached for one in self.judge(memory(18, 20, 22))))
        self.assertTrue(all(one.reached is False for one in self.judge(memory(18, 20, 23))))
        self.assertTrue(all(one.reached is False for one in self.judge(memory(31, 32))))
        short = self.judge(memory(18, 20, largest=GIB))[0]
        self.assertIsNone(short.reached)
        self.assertIn("10 GiB were not measured", short.why)

    def test_many_senders_are_measured_against_one(self):
        def senders(one, many):
            return Table("senders", "senders", "MB/s", [Point(1, [Row("wherry", [one])]),
                                                        Point(1000, [Row("wherry", [many])])])
        self.assertTrue(self.judge(senders(100, 50))[0].reached)
        self.assertIs(self.judge(senders(100, 49))[0].reached, False)

    def test_a_workload_that_failed_has_not_reached_its_target(self):
        verdict = targets.judge([], {"senders"}, False, {"senders": "3 of 1000 failed"})[0]
        self.assertIs(verdict.reached, False)
        self.assertIn("| failed | **not reached** |", writing.target_table([verdict]))

    def test_a_quick_run_judges_nothing(self):
        self.assertIsNone(self.judge(table("file", wherry=270, scp=100), is_quick=True)[0].reached)


class Turns(unittest.TestCase):
    class Fake:
        rounds_at_most = None

        def __init__(self, name):
            self.name = name

        def chain(self):
            return ""

    def test_who_begins_moves_on(self):
        order, left_out = [], []
        fakes = [self.Fake(name) for name in "abc"]
        in_turns(fakes, 3, lambda each: order.append(each.name) or 1.0, left_out)
        self.assertEqual("".join(order), "abcbcacab")

    def test_a_peer_that_fails_is_left_out_and_wherry_is_not(self):
        def fail(each):
            raise processes.Failure(f"{each.name} broke")
        left_out = []
        self.assertEqual(in_turns([self.Fake("peer")], 1, fail, left_out), [])
        self.assertEqual(left_out, [["peer", "it failed: peer broke"]])
        with self.assertRaises(processes.Failure):
            in_turns([self.Fake("wherry")], 1, fail, left_out)

    def test_a_program_that_is_not_installed_is_named(self):
        class Absent(contestants.Contestant):
            name, programs = "absent", ("no-such-program-here",)
        left_out = []
        self.assertEqual(workloads.join(None, (Absent,), left_out), [])
        self.assertEqual(left_out[0][0], "absent")
        self.assertIn("no-such-program-here", left_out[0][1])
        self.assertIn("scripts/packages bench", left_out[0][1])


class Delivered(unittest.TestCase):
    def test_files_and_folders_are_compared_whole(self):
        with tempfile.TemporaryDirectory() as name:
            one, other = Path(name, "one"), Path(name, "other")
            for path in (one, other):
                (path / "in").mkdir(parents=True)
                (path / "in/file").write_bytes(b"x" * MIB)
            self.assertTrue(contestants.same(one, other))
            (other / "in/file").write_bytes(b"x" * (MIB - 1) + b"y")
            self.assertFalse(contestants.same(one, other))
            (other / "in/file").write_bytes(b"x" * MIB)
            (other / "more").mkdir()
            self.assertFalse(contestants.same(one, other))
            self.assertFalse(contestants.same(one / "in/file", other / "absent"))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: report_test.py BUILD [unittest's own arguments]")
    BUILD = Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
