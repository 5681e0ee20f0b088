#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench/compare: `compare_test.py BUILD`; with made-up figures, and one brief run of that build's programs."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = None  # set from the command line


def output(reference="reference/copy", **benchmarks):
    """As Google Benchmark writes it: three repetitions of each, and a median that is not to be taken for a fourth."""
    def entry(name, nanoseconds, **more):
        return {"name": name, "run_type": "iteration", "cpu_time": nanoseconds, "real_time": 1e9, "time_unit": "ns",
                **more}
    all_of_them = {reference: (90.0, 100.0, 170.0), **benchmarks}
    entries = [entry(name, each) for name, times in all_of_them.items() for each in times]
    entries += [entry(f"{name}_median", 7.0, run_type="aggregate") for name in all_of_them]
    return {"benchmarks": entries}


class MadeUp(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="wherry-compare-test.")
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)
        self.baseline = self.folder / "baseline.json"
        done = self.compare(output(seal=(190, 200, 300), open=(10, 50, 60)), "--update")
        self.assertEqual(done.returncode, 0, done.stdout)

    def compare(self, now, *options, program="some_bench"):
        (self.folder / f"{program}.json").write_text(json.dumps(now))
        return subprocess.run([ROOT / "bench/compare", "--baseline", self.baseline, "--results",
                               self.folder / f"{program}.json", *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_baseline_has_ratios_of_medians_and_names_the_machine(self):
        baseline = json.loads(self.baseline.read_text())
        self.assertEqual(baseline["programs"]["some_bench"],
                         {"reference": "reference/copy", "ratios": {"open": 0.5, "seal": 2.0}})
        self.assertTrue(baseline["machine"])

    def test_the_same_passes(self):
        done = self.compare(output(seal=(200, 200, 200), open=(50, 50, 50)))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("2 compared, 0 lost", done.stdout)

    def test_a_machine_that_is_slower_in_all_passes(self):
        now = output(seal=(2000, 2000, 2000), open=(500, 500, 500))
        for one in now["benchmarks"]:
            if one["name"] == "reference/copy":
                one["cpu_time"] = 1000.0
        self.assertEqual(self.compare(now).returncode, 0)

    def test_a_loss_above_15_percent_is_found(self):
        done = self.compare(output(seal=(240, 240, 240), open=(50, 50, 50)))  # 2.0 became 2.4: 83 % of the speed
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("some_bench: seal has lost 17 % of its speed", done.stdout)
        self.assertNotIn("open has lost", done.stdout)

    def test_a_loss_below_15_percent_passes(self):
        done = self.compare(output(seal=(230, 230, 230), open=(50, 50, 50)))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.compare(output(seal=(230, 230, 230), open=(50, 50, 50)), "--loss", "10").returncode, 1)

    def test_a_gain_passes(self):
        self.assertEqual(self.compare(output(seal=(20, 20, 20), open=(5, 5, 5))).returncode, 0)

    def test_a_benchmark_that_is_missing_is_told(self):
        done = self.compare(output(seal=(200, 200, 200)))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("some_bench: open is in the baseline, and was not measured", done.stdout)

    def test_a_new_benchmark_is_told_and_passes(self):
        done = self.compare(output(seal=(200, 200, 200), open=(50, 50, 50), wipe=(1, 1, 1)))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("some_bench: wipe is not in the baseline yet", done.stdout)

    def test_a_program_that_the_baseline_does_not_know_compares_nothing(self):
        done = self.compare(output(seal=(200, 200, 200)), program="other_bench")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("other_bench: not in the baseline", done.stdout)

    def test_the_wall_clock_counts_where_the_benchmark_says_so(self):
        now = output(**{"read/real_time": (1, 1, 1)})  # its wall time is a second
        self.assertEqual(self.compare(now, "--update", program="reading").returncode, 0)
        ratios = json.loads(self.baseline.read_text())["programs"]["reading"]["ratios"]
        self.assertEqual(ratios, {"read/real_time": 1e7})

    def test_another_reference_kernel_is_refused(self):
        done = self.compare(output(reference="reference/seal", seal=(200, 200, 200)))
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("make a new baseline", done.stdout)

    def test_without_a_reference_kernel_nothing_is_compared(self):
        done = self.compare({"benchmarks": []})
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("has 0 benchmarks 'reference/...'", done.stdout)

    def test_without_a_baseline_it_says_how_to_make_one(self):
        self.baseline.unlink()
        done = self.compare(output(seal=(200, 200, 200)))
        self.assertEqual(done.returncode, 2)
        self.assertIn("make one with --update", done.stdout)


class Run(unittest.TestCase):
    """Whether it runs: how the figures come out is not asserted."""

    def test_a_program_is_measured_and_compared(self):
        with tempfile.TemporaryDirectory() as name:
            words = [ROOT / "bench/compare", "--build", BUILD, "--baseline", Path(name, "baseline.json"), "--only",
                     "frame_bench", "--repetitions", "1", "--seconds", "0.001", "--looks", "2"]
            done = subprocess.run([*words, "--update"], stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0)
            done = subprocess.run([*words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.assertIn(done.returncode, (0, 1))
            self.assertRegex(done.stdout, r"\d+ compared, \d+ lost")

    def test_the_stored_baseline_is_of_these_programs(self):
        baseline = json.loads((ROOT / "bench/micro/baseline.json").read_text())
        self.assertEqual(set(baseline["programs"]),
                         {"cipher_bench", "frame_bench", "compression_bench", "receive_all_bench"})
        for program, known in baseline["programs"].items():
            listed = subprocess.run([BUILD / "bench" / program, "--benchmark_list_tests=true"], stdout=subprocess.PIPE,
                                    text=True, check=True).stdout.split()
            self.assertIn(known["reference"], listed)
            optional = {name for name in known["ratios"] if "openssl" in name}
            self.assertLessEqual(set(known["ratios"]) - optional, set(listed), f"{program}: bench/compare --update")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: compare_test.py BUILD [unittest's own arguments]")
    BUILD = Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
