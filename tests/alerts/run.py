"""The alert rules that ship (docs/prometheus/alerts.yaml): promtool reads them and plays tests/alerts through them; each has a
test, and each series that they ask for is one that the control plane exports. Runs alone: tests/alerts/run.py"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "docs/prometheus/alerts.yaml"
TESTS = ROOT / "tests/alerts/alerts_rules_test.yaml"


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


class Alerts(unittest.TestCase):
    def promtool(self, *words, folder=None):
        done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_reads_and_plays_them(self):
        self.promtool("check", "rules", str(RULES))
        with tempfile.TemporaryDirectory() as folder:
            for path in (RULES, TESTS):
                shutil.copy(path, folder)
            self.promtool("test", "rules", TESTS.name, folder=folder)

    def test_every_alert_is_seen_firing_and_says_what_is_wrong(self):
        played = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
        fired = {test["alertname"] for case in played for test in case.get("alert_rule_test", []) if test["exp_alerts"]}
        self.assertEqual(fired, {rule["alert"] for rule in rules()})
        for rule in rules():
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
            self.assertTrue(rule["annotations"]["summary"])

    def test_every_series_is_exported(self):
        exported = set()
        for path in (ROOT / "controlplane").rglob("*.cpp"):
            exported |= set(re.findall(r'"(sluice_[a-z0-9_]+)"', path.read_text(encoding="utf-8")))
        for rule in rules():
            for series in re.findall(r"sluice_[a-z0-9_]+", rule["expr"]):
                self.assertIn(series, exported, rule["alert"])

    def test_operators_find_each_in_the_manual(self):
        manual = (ROOT / "docs/OPERATING.md").read_text(encoding="utf-8")
        for rule in rules():
            self.assertIn("`" + rule["alert"] + "`", manual)


if __name__ == "__main__":
    sys.exit(0 if unittest.main(verbosity=1, exit=False).result.wasSuccessful() else 1)
