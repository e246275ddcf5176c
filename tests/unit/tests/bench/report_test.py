#!/usr/bin/python3
"""What tools/bench report makes of results: the table, the document, the baseline.  Run: python3 report_test.py"""
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "tools/dev"))
from bench import main, report  # noqa: E402
from lab.names import ROOT, Trouble  # noqa: E402

RESULT = {"bench": "a", "variant": "x", "params": {}, "mpps": 12.0, "net_mpps": 15.0, "cycles": 100, "peer": "p", "peer_mpps": 6.0,
          "ratio": 2.0, "runs": 5, "spread": 0.05, "ratio_spread": 0.02, "build_s": 3.0}  # fmt: skip
ENVIRONMENT = {"commit": "abc", "dirty": False, "date": "2026-11-26T12:00:00+0000", "cpu_model": "Some CPU @ 2 GHz", "cores": 2,
               "load_average": [0.1, 0, 0], "kernel": "6", "transparent_huge_pages": "always", "cpu_flags": []}  # fmt: skip


def one(row, result=None, variant=None, wrong=""):
    """The only line of a table with this row, and how many misses."""
    text, missed = report.table([report.Job("a --b", row, variant=variant)], {"a --b": ([result] if result else [], wrong)})
    return text.splitlines()[2], missed


class Table(unittest.TestCase):
    def test_a_figure_under_its_floor_is_marked(self):
        for floor, least, under in ((14, True, False), (16, True, True), (14, False, True), (16, False, False)):
            line, missed = one(report.Row("w", report.rate, floor, 20, least), RESULT)
            self.assertEqual(("misses the floor" in line, missed), (under, int(under)), line)
            self.assertIn("15.0 (12.0 with the source)", line)
            self.assertIn("| 2 % | `tools/bench a --b` |", line)

    def test_of_several_lines_the_variant_is_taken(self):
        other = {**RESULT, "variant": "y", "ratio": 0.5}
        job = report.Job("c", report.Row("w", report.ratio, 1), variant="y")
        text, missed = report.table([job], {"c": ([{"environment": {}}, RESULT, other], "")})
        self.assertIn("0.50 x p", text)
        self.assertEqual(missed, 1)

    def test_what_gave_no_figure_says_why(self):
        line, missed = one(report.Row("w", report.rate, 14), wrong="took longer than 240 s")
        self.assertIn("| took longer than 240 s |", line)
        self.assertEqual(missed, 0)

    def test_every_command_can_be_read(self):
        for job in report.JOBS:
            options = main.parse(job.command.split())
            self.assertNotIn(options.name, ("report", "compare", "end-to-end"), job.command)


class Document(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_only_what_is_between_the_marks_changes(self):
        path = self.folder / "P.md"
        path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
        report.update(path, "new")
        self.assertEqual(path.read_text(), f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n")
        path.write_text("no marks")
        with self.assertRaises(Trouble):
            report.update(path, "new")
        with open(report.DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual((text.count(report.BEGIN), text.count(report.END)), (1, 1))

    def test_a_busy_machine_is_told(self):
        self.assertNotIn("other work", report.conditions(ENVIRONMENT, 3))
        self.assertIn("other work was going on", report.conditions({**ENVIRONMENT, "load_average": [4.0, 0, 0]}, 3))

    def test_a_report_is_held_against_its_cpus_baseline(self):
        self.assertEqual(report.baseline_path(ENVIRONMENT), f"{ROOT}/tests/bench/baseline/some-cpu-2-ghz.jsonl")
        old, new = str(self.folder / "old.jsonl"), str(self.folder / "new.jsonl")
        report.write_lines(new, ENVIRONMENT, [{**RESULT, "ratio": 1.8}])
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(report.held_against(old, new), 0)
            self.assertIn("no baseline of this CPU", said.getvalue())
            report.write_lines(old, ENVIRONMENT, [RESULT])
            self.assertEqual(report.held_against(old, new), 1)
            self.assertIn("1 worse beyond noise", said.getvalue())
        with open(old, encoding="utf-8") as file:
            self.assertEqual([list(json.loads(line))[0] for line in file], ["environment", "bench"])


if __name__ == "__main__":
    unittest.main()
