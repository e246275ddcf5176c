#!/usr/bin/python3
"""tools/bench compare: what it calls beyond noise, worked out by hand."""
import io
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../../tools/dev"))

from bench import compare  # noqa: E402
from bench.main import number  # noqa: E402


def line(ratio, spread=0.1, bench="classify", **more):
    return {
        "bench": bench, "variant": "vector", "params": {"rules": 10}, "mpps": 5.0, "cycles": 400, "peer": "rte_acl",
        "peer_mpps": 4.0, "ratio": ratio, "runs": 5, "spread": 0.3, "ratio_spread": spread, **more,
    }  # fmt: skip


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.files = 0

    def write(self, *lines, environment=None):
        self.files += 1
        path = os.path.join(self.folder.name, f"{self.files}.json")
        with open(path, "w", encoding="utf-8") as file:
            for content in ({"environment": environment or {"commit": "abc"}}, *lines):
                file.write(json.dumps(content) + "\n")
        return path

    def compare(self, a, b):
        out = io.StringIO()
        code = compare.compare(a, b, out)
        return code, out.getvalue()

    def test_within_both_spreads_is_the_same(self):
        # 0.1 and 0.1: noise is a tenth, half of it from each side.
        code, said = self.compare(self.write(line(1.0)), self.write(line(0.91)))
        self.assertEqual(code, 0)
        self.assertIn("x 0.910 (noise 0.100): same", said)

    def test_a_ratio_that_fell_beyond_both_is_worse(self):
        code, said = self.compare(self.write(line(1.0)), self.write(line(0.89)))
        self.assertEqual(code, 1)
        self.assertIn("worse, beyond noise", said)
        self.assertIn("1 worse beyond noise", said)

    def test_a_ratio_that_rose_is_better_and_no_failure(self):
        code, said = self.compare(self.write(line(1.0)), self.write(line(1.2)))
        self.assertEqual(code, 0)
        self.assertIn("better, beyond noise", said)

    def test_noise_is_never_less_than_two_in_a_hundred(self):
        a = self.write(line(1.0, spread=0.0))
        self.assertEqual(self.compare(a, self.write(line(0.985, spread=0.0)))[0], 0)
        self.assertEqual(self.compare(a, self.write(line(0.975, spread=0.0)))[0], 1)

    def test_other_parameters_are_another_result(self):
        code, said = self.compare(self.write(line(1.0)), self.write(line(0.1, params={"rules": 11})))
        self.assertEqual(code, 0)
        self.assertIn("only in A", said)
        self.assertIn("only in B", said)

    def test_what_has_no_ratio_or_is_a_correctness_lane_is_not_judged(self):
        for a, b in ((line(None), line(1.0)), (line(1.0, lane="correctness"), line(0.1, lane="correctness"))):
            code, said = self.compare(self.write(a), self.write(b))
            self.assertEqual(code, 0)
            self.assertIn("not judged", said)

    def test_another_machine_is_named(self):
        one, other = {"commit": "a", "cpu_model": "X"}, {"commit": "b", "cpu_model": "Y"}
        _code, said = self.compare(self.write(line(1.0), environment=one), self.write(line(1.0), environment=other))
        self.assertIn("differs: cpu_model: X / Y", said)

    def test_a_file_that_is_none_is_an_error(self):
        good = self.write(line(1.0))
        broken = os.path.join(self.folder.name, "broken")
        with open(broken, "w", encoding="utf-8") as file:
            file.write(json.dumps(line(1.0)) + "\n")
        sys.stderr, kept = io.StringIO(), sys.stderr
        try:
            for path in (broken, os.path.join(self.folder.name, "absent")):
                self.assertEqual(self.compare(good, path)[0], 2)
        finally:
            sys.stderr = kept


class Numbers(unittest.TestCase):
    def test_suffixes(self):
        self.assertEqual([number(text) for text in ("7", "64k", "10M")], [7, 64_000, 10_000_000])
        for wrong in ("0", "-1", "k", "1.5M", ""):
            with self.assertRaises(Exception):
                number(wrong)


if __name__ == "__main__":
    unittest.main()
