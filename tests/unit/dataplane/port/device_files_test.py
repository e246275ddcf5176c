#!/usr/bin/python3
"""The start-up files of docs/devices/: the dataplane takes every one, docs/DEVICES.md names every one, and one that nobody
has run says so in its first line.  Run: SLUICE_DATAPLANE=build/sluice-dataplane python3 device_files_test.py"""
import os
import pathlib
import subprocess
import unittest

DOCS = pathlib.Path(__file__).resolve().parents[4] / "docs"
FILES = sorted((DOCS / "devices").glob("*.yaml"))


class StartUpFiles(unittest.TestCase):
    def test_each_is_a_configuration(self):
        self.assertGreaterEqual(len(FILES), 5)
        for path in FILES:
            done = subprocess.run(
                [os.environ["SLUICE_DATAPLANE"], "--check", "--config", path], capture_output=True, text=True, timeout=30, check=False
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("2 ports, 1 wires", done.stdout)

    def test_each_says_that_it_was_not_run(self):
        for path in FILES:
            self.assertTrue(path.read_text(encoding="utf-8").startswith("# Not run: "), path.name)

    def test_the_page_names_each(self):
        page = (DOCS / "DEVICES.md").read_text(encoding="utf-8")
        for path in FILES:
            (row,) = [line for line in page.splitlines() if f"(devices/{path.name})" in line]
            self.assertTrue(row.rstrip().endswith("| not run |"), row)


if __name__ == "__main__":
    unittest.main()
