"""The Grafana dashboard that ships (docs/grafana/sluice.json): promtool reads each query, each series and each label of it is one
that the control plane exports, and panels do not lie on each other. Runs alone: tests/alerts/dashboard.py"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs/grafana/sluice.json"
# What Grafana puts in their place.
VARIABLES = {"$__rate_interval": "5m", "$instance": "fw1"}
OF_PROMETHEUS = {"instance", "le"}


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def queries():
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target


def without_variables(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def exported():
    """Names of series, and of labels, in the sources that make them."""
    series, labels = set(), set()
    for path in (ROOT / "controlplane").rglob("*.cpp"):
        text = path.read_text(encoding="utf-8")
        series |= set(re.findall(r'"(sluice_[a-z0-9_]+)"', text))
        labels |= set(re.findall(r'\{"([a-z_]+)", [^{}]*\}', text))
    return series, labels


class Dashboard(unittest.TestCase):
    def test_promtool_reads_every_query(self):
        rules = [{"record": "panel:%d" % number, "expr": without_variables(target["expr"])} for number, (_, target) in enumerate(queries())]
        self.assertGreater(len(rules), 20)
        self.assertNotIn("$", json.dumps(rules), "a variable that this test does not know")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_series_and_label_is_exported(self):
        series, labels = exported()
        for title, target in queries():
            for name in re.findall(r"sluice_[a-z0-9_]+", target["expr"]):
                self.assertIn(name.removesuffix("_bucket"), series, title)
            asked = re.findall(r"([a-z_]+)(?:=~|!=|=)\"", target["expr"]) + re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"])
            for group in re.findall(r"by \(([a-z_, ]+)\)", target["expr"]):
                asked += group.split(", ")
            for label in asked:
                self.assertIn(label, labels | OF_PROMETHEUS, title)

    def test_a_legend_names_labels_that_are_left(self):
        for title, target in queries():
            groups = re.findall(r"by \(([a-z_, ]+)\)", target["expr"])
            if not groups:
                continue
            for label in re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"]):
                self.assertIn(label, groups[0].split(", "), title)

    def test_every_counter_is_a_rate_and_no_gauge_is(self):
        for title, target in queries():
            for name, bracket in re.findall(r"(sluice_[a-z0-9_]+)\{[^}]*\}(\[?)", target["expr"]):
                counter = name.endswith("_total") or name.endswith("_bucket")
                self.assertEqual(counter, bracket == "[", title + ": " + name)

    def test_every_panel_follows_the_choice_of_the_firewall_and_says_what_it_shows(self):
        for panel in panels():
            self.assertTrue(panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["id"])
            self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            for target in panel["targets"]:
                self.assertEqual(target["expr"].count("sluice_"), target["expr"].count('instance=~"$instance"'), panel["title"])

    def test_panels_lie_beside_each_other(self):
        taken = {}
        for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]
        ids = [panel["id"] for panel in panels()]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    sys.exit(0 if unittest.main(verbosity=1, exit=False).result.wasSuccessful() else 1)
