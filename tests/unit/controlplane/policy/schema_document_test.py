"""policies/schema/policy.schema.json as an editor uses it: it is a schema, it takes every policy that we ship, test with and
show in docs/POLICY.md, and it refuses what is none. schema_test.cpp holds the file against the reader's table.

What a text says is the reader's to judge (a port 65536, an address with host bits, a zone that is not there): the schema
knows shapes, choices and numbers."""
import copy
import json
import pathlib
import re
import unittest

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[4]
SCHEMA = json.loads((ROOT / "policies/schema/policy.schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/POLICY.md").read_text(encoding="utf-8")

POLICY = """
sluice: 1
name: edge
default: {action: deny}
zones: {internet: {ports: [outside]}, servers: {ports: [inside]}}
sets: {shop: {nets: [198.51.100.80]}, blocked: {members: api}}
schedules: {night: {tz: UTC, from: "22:00", to: "06:00"}}
timeouts: {udp_stream: 90s}
syn_proxy: {mss: 1460, sack: "on"}
rules: [{id: web-in, from: internet, to: shop, service: tcp/443, action: allow, limits: {states: 100}}]
tests: [{from: 198.51.100.7@internet, to: "198.51.100.80@servers:443/tcp", expect: allow, repeat: 10/s}]
"""

# Where, and what is wrong there; ... takes the key away.
WRONG = {
    "an unknown key": (["zone"], {}),
    "an unknown key of a rule": (["rules", 0, "sni"], "shop.example"),
    "a version that is not there": (["sluice"], 2),
    "a version as a text": (["sluice"], "1"),
    "a name with a space": (["name"], "my edge"),
    "no name": (["name"], ...),
    "no zones": (["zones"], ...),
    "an empty map of zones": (["zones"], {}),
    "a zone without ports": (["zones", "internet"], {}),
    "a zone of no port": (["zones", "internet", "ports"], []),
    "a zone with a name in capitals": (["zones", "Internet"], {"ports": ["dmz"]}),
    "no default": (["default"], ...),
    "a default that passes": (["default", "action"], "pass"),
    "an action that is not there": (["rules", 0, "action"], "drop"),
    "a rule without an action": (["rules", 0, "action"], ...),
    "a rule without an id": (["rules", 0, "id"], ...),
    "rules as a map": (["rules"], {"web-in": {"from": "internet"}}),
    "a rule as a text": (["rules", 0], "allow all"),
    "a from that is a number": (["rules", 0, "from"], 80),
    "a from that is an empty list": (["rules", 0, "from"], []),
    "a from with a wrong key": (["rules", 0, "from"], {"zone": "internet", "net": "10.0.0.0/8"}),
    "a service that is a number": (["rules", 0, "service"], 443),
    "a layer that is not there": (["rules", 0, "layer"], 90),
    "a limit of nothing": (["rules", 0, "limits", "states"], 0),
    "a limit beyond all": (["rules", 0, "limits", "new_per_second"], 10_000_001),
    "a limit as a text": (["rules", 0, "limits", "states"], "100"),
    "a log that is not there": (["rules", 0, "log"], "all"),
    "a set with members from elsewhere": (["sets", "blocked", "members"], "feed"),
    "a time without a unit": (["timeouts", "udp_stream"], 90),
    "a time of day that is none": (["schedules", "night", "from"], "25:00"),
    "a timeout of what has none": (["timeouts", "sctp"], "1m"),
    "an mss beyond any frame": (["syn_proxy", "mss"], 65536),
    "a sack that YAML 1.1 takes for a boolean": (["syn_proxy", "sack"], True),
    "a test that expects to pass": (["tests", 0, "expect"], "pass"),
    "a test without a destination": (["tests", 0, "to"], ...),
    "a rate without its unit": (["tests", 0, "repeat"], "10"),
}


class Reader(yaml.SafeLoader):
    """Dates are texts, as in YAML 1.2, JSON and our own reader; on and off are booleans, as in YAML 1.1: who reads a policy with
    that finds no such word bare in what we show."""

    yaml_implicit_resolvers = {
        first: [resolver for resolver in resolvers if resolver[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(text):
    return yaml.load(text, Reader)  # noqa: S506  a SafeLoader


def changed(policy, path, value):
    """`policy` with another value at `path`."""
    policy = copy.deepcopy(policy)
    place = policy
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return policy


class SchemaDocument(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.judge = jsonschema.Draft202012Validator(SCHEMA)

    def assert_valid(self, what, schema=None):
        judge = self.judge if schema is None else self.judge.evolve(schema=schema)
        self.assertEqual([f"{error.json_path}: {error.message}" for error in judge.iter_errors(what)], [])

    def test_it_is_a_schema(self):
        self.assertEqual(SCHEMA["$schema"], jsonschema.Draft202012Validator.META_SCHEMA["$id"])
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_it_takes_every_policy_of_the_tree(self):
        seen = 0
        for folder in ("policies", "tests/e2e", "tests/differential", "tests/scenarios"):
            for path in sorted((ROOT / folder).rglob("*.yaml")):
                what = read(path.read_text(encoding="utf-8"))
                with self.subTest(path=path.relative_to(ROOT)):
                    if path.name == "policy.yaml":
                        self.assert_valid(what)
                        seen += 1
                    elif path.name == "verdicts.yaml":
                        self.assert_valid(what, SCHEMA["properties"]["tests"])
        self.assertGreater(seen, 50)

    def test_it_takes_what_the_page_shows(self):
        """A block that is a part of a policy stands in one that has the rest of what must be there."""
        rest = {key: value for key, value in read(POLICY).items() if key in SCHEMA["required"]}
        blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.S | re.M)
        self.assertGreater(len(blocks), 8)
        whole = 0
        for text in blocks:
            with self.subTest(block=text):
                what = read(text)
                whole += set(SCHEMA["required"]) <= set(what)
                self.assert_valid({**rest, **what})
        self.assertGreater(whole, 0)

    def test_it_refuses_what_is_no_policy(self):
        policy = read(POLICY)
        self.assert_valid(policy)
        for why, (path, value) in WRONG.items():
            with self.subTest(why):
                errors = list(self.judge.iter_errors(changed(policy, path, value)))
                self.assertTrue(errors, "it is taken")
                for error in errors:
                    self.assertEqual(list(error.absolute_path), path[: len(error.absolute_path)], error.message)
        for what in (None, [], "deny", 1):
            self.assertFalse(self.judge.is_valid(what), what)


if __name__ == "__main__":
    unittest.main(verbosity=1)
