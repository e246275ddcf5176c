#!/usr/bin/python3
"""openapi.yaml through a linter that others wrote (redocly): no error and no warning. Skipped where npm was not reached."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
LINTER = ROOT / "tools/dev/npm/node_modules/@redocly/cli/bin/cli.js"
SKIPPED = 77

if not LINTER.exists() or shutil.which("node") is None:
    print("skipped: no linter; cure: tools/dev/npm/install")
    sys.exit(SKIPPED)
done = subprocess.run(
    ["node", LINTER, "lint", "--config=controlplane/api/redocly.yaml", "--format=json", "controlplane/api/openapi.yaml"],
    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
)  # fmt: skip
if not done.stdout.startswith("{"):
    sys.exit(f"FAIL the linter did not start: {done.stderr}")
for problem in json.loads(done.stdout)["problems"]:
    place = problem["location"][0]
    print(f"FAIL {place.get('pointer')}: {problem['message']} ({problem['ruleId']})")
if done.returncode != 0:
    print(done.stderr, file=sys.stderr)
sys.exit(done.returncode)
