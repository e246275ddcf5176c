"""docs/API.md: it has an example of every operation of openapi.yaml, the examples run from top to bottom against the real server
as a reader would run them, and it lists every code of a problem, of an error and of a warning that the sources have. Needs curl
and jq."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import HANG_LIMIT_S, PAGE, PROBLEMS, ROOT, SPEC, Server, binary_from  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")
OPERATIONS = {operation["operationId"] for item in SPEC["paths"].values() for method, operation in item.items() if method != "parameters"}
# What the last lines of an example's output must have: an example that runs and shows nothing teaches nothing.
SHOWS = {"getIndex": r'"policy": "/v1/policy"', "getOpenApi": r"/v1/policy\n", "putPolicy": r"demo@[0-9a-f]{6}\ntrue\n", "confirmCommit": r"^2\n",
         "getPolicy": r"id: web-in[^$]*\n304\n", "patchPolicy": r"^3\n", "rollbackCommit": r"^\d+\n", "putFreeze": r"^true\n", "getFreeze": r"^year's end\n", "liftFreeze": r"^null\n", "getSets": r"^blocked\n", "putDraft": r"^web-change\tready\n", "getDrafts": r"^web-change\tready\n", "getDraft": r"id: web-in", "planDraft": r"^true\n", "applyDraft": r"^\d+\n", "shadowDraft": r"^web-change\n", "putShadow": r"^true\n", "getShadow": r"^1204\n46\nallow\tdeny\t2\tweb-in\tdefault\n", "stopShadow": r"^2\n", "deleteDraft": r"^in_force\n", "getChanges": r"^1\tpending\n", "getChange": r"^needed 1\n(.*\n)*.*id: web-in", "approveChange": r"^adopted\n", "rejectChange": r"^rejected\n", "withdrawChange": r"^withdrawn\n", "applyChange": r"^adopted\n",
         "addSetMembers": r"^2\n", "getSetMembers": r"^198\.51\.100\.7\n", "replaceSetMembers": r"^1\n", "removeSetMembers": r"^0\n", "getHistory": r"CHG-20418",
         "getAudit": r"policy\.put\tadopted", "verifyAudit": r"^true\n", "getTokens": r"ci-plan\tlive", "getToken": r"^live\n", "revokeToken": r"^revoked\n",
         "getStatus": r'"capacity": \d+', "getCommit": r"^pending_confirmation\n", "getRules": r"web-in\tallow\t\d+", "getFlows": r"\n50\n|\n5\n", "endFlows": r"^50\n", "explain": r'"verdict": "allow"', "getEvents": r"^retry: 1000\n",
         "getLivez": r'"live":\s*true', "getReadyz": r'"ready":\s*true', "getMetrics": r"sluice_flows 250", "getRuleMetrics": r"sluice_rule_hits_total"}

CODE, WORD = r'"([a-z]+(?:-[a-z]+)+)"', r'"([a-z]+(?:-[a-z]+)*)"'
# What the compiler refuses is a problem of its own, but for these.
COMPILER_ALONE = {"slot-missing": "a fault of ours: internal-error", "too-many-zones": "the reader has refused so many: too-many"}
# Where an entry of `errors` or `warnings` gets its code, by folder of controlplane/. Only the reader has codes of one word.
ENTRIES = {"policy": [r"\bpos,\s*" + WORD, r"\b(?:error|refusal)\([^;\"]*,\s*" + WORD, r"\bValueError\{\s*" + CODE, r"\brefuse\(\s*" + CODE + ",",
                      r"\bpush_back\(\{" + CODE],
           "api": [r"\bfail\([^;]*?,\s*" + CODE + ",", r"\bpush_back\(\{\.code = " + CODE],
           "lifecycle": [r"\bpush_back\(\{" + CODE]}


def sources(folder="."):
    for path in (ROOT / "controlplane" / folder).rglob("*.[ch]pp"):
        yield path.read_text(encoding="utf-8")


def examples():
    """(heading or nothing, text) of every block of shell."""
    heading = None
    for part in re.findall(r"^### (\w+)$|^```sh\n(.*?)^```$", PAGE, re.S | re.M):
        heading = part[0] or heading
        if part[1]:
            yield heading, part[1]


class Page(unittest.TestCase):
    def test_every_operation_has_an_example_and_no_other(self):
        self.assertEqual({heading for heading, _ in examples() if heading}, OPERATIONS)

    def test_every_example_runs_and_shows_what_it_is_for(self):
        with Server(BINARY) as server, tempfile.TemporaryDirectory() as folder:
            lines = ["set -euo pipefail"]
            for heading, text in examples():
                lines += ["echo '== %s'" % heading, text]
            script = "\n".join(lines)
            for ours, theirs in (("https://127.0.0.1:8443", "https://127.0.0.1:%d" % server.port), ("/var/lib/sluice/control", str(server.dir))):
                self.assertEqual(script.count(ours), 1)
                script = script.replace(ours, theirs)
            run = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=HANG_LIMIT_S * 4, check=False,
                                 env={"PATH": os.environ["PATH"]})
            self.assertEqual((run.returncode, re.sub(r"curl: \(28\).*\n", "", run.stderr)), (0, ""), run.stdout[-2000:])
            shown = dict.fromkeys(OPERATIONS, "")
            for part in run.stdout.split("== ")[1:]:
                heading, _, text = part.partition("\n")
                if heading in shown:
                    shown[heading] += text
            for heading, words in SHOWS.items():
                with self.subTest(operation=heading):
                    self.assertRegex(shown[heading], re.compile(words, re.M))

    def test_every_code_of_a_problem_is_listed(self):
        used = set()
        for text in sources():
            used |= {(int(status), found) for status, found in re.findall(r"\b([45]\d\d),\s*(?:\.code = )?" + CODE, text)}
            used |= {(400, found) for found in re.findall(r"\b(?:bad_request|bad_fields)\(" + CODE, text)}
        refused = {found for text in sources("compiler") for found in re.findall(r"(?:\brefuse\(|<TooMuchTime>\{\s*\{)\s*" + CODE + ",", text)}
        self.assertLessEqual(set(COMPILER_ALONE), refused)
        used |= {(422, found) for found in refused - set(COMPILER_ALONE)}
        self.assertGreater(len(used), 60)
        self.assertEqual(used, PROBLEMS)
        self.assertEqual(sorted({code for _, code in used}), SPEC["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])

    def test_every_code_of_an_error_or_a_warning_is_listed(self):
        used = {found for folder, places in ENTRIES.items() for text in sources(folder) for place in places for found in re.findall(place, text)}
        told = re.findall(r"^\| `([a-z-]+)` \| .+ \|$", PAGE, re.M)
        self.assertGreater(len(used), 70)
        self.assertEqual(sorted(used), told)


if __name__ == "__main__":
    unittest.main(verbosity=1)
