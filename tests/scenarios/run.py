#!/usr/bin/python3
"""All scenarios against both real processes:   tests/scenarios/run.py [--only PART_OF_NAME] [--keep]

One firewall for all of them; the policy is switched over REST. Prints `ok NAME` or `FAIL NAME: why`.
"""
import argparse
import filecmp
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../tools/dev")]

from lab import demo  # noqa: E402
from lab.api import Api  # noqa: E402
from lab.names import Lab, Trouble  # noqa: E402

from rig.counters import Reader  # noqa: E402
from rig.runner import Mismatch, Runner, Scenario  # noqa: E402
from rig.wire import Port  # noqa: E402

FILES = ("policy.yaml", "send.pcapng", "expect.pcapng", "expect.counters")


def folders(part):
    names = sorted(name for name in os.listdir(HERE) if os.path.exists(os.path.join(HERE, name, "make.py")))
    return [os.path.join(HERE, name) for name in names if part in name]


def stale(folder):
    """Do the files stand for what make.py says? Returns the name of one that does not."""
    with tempfile.TemporaryDirectory() as fresh:
        done = subprocess.run(
            ["/usr/bin/python3", os.path.join(folder, "make.py")],
            env={**os.environ, "SCENARIO_OUT": fresh, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            return f"make.py failed: {done.stdout.strip().splitlines()[-1]}"
        for name in FILES:
            if not os.path.exists(os.path.join(folder, name)):
                return f"{name} is missing: run make.py"
            if not filecmp.cmp(os.path.join(fresh, name), os.path.join(folder, name), shallow=False):
                return f"{name} is not what make.py writes"
    return None


def run_one(folder, api, runner, reader):
    """Returns a complaint or None."""
    if complaint := stale(folder):
        return complaint
    scenario = Scenario(folder)
    status, answer = api.put_policy(scenario.policy)
    if status != 200:
        return f"PUT /v1/policy answered {status}: {answer}"
    reader.learn_rules()
    try:
        runner.run(scenario)
    except Mismatch as mismatch:
        return str(mismatch)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true", help="leave the firewall running afterwards")
    parser.add_argument("--long", action="store_true", help="accepted for tools/test; there is no longer version")
    parser.add_argument("--lab", default="ts", help="another name where a second run goes on beside this one")
    options = parser.parse_args()
    lab = Lab(options.lab)
    failed = 0
    try:
        demo.take_down(lab)
        demo.build_up(lab, with_hosts=False)
        api = Api(lab)
        demo.wait_connected(lab, api)
        ports = [Port("outside", lab.ns_outside, "c0"), Port("inside", lab.ns_inside, "s0")]
        reader = Reader(lab)
        runner = Runner(ports, reader)
        for folder in folders(options.only):
            name = f"scenario/{os.path.basename(folder)}"
            complaint = run_one(folder, api, runner, reader)
            print(f"FAIL {name}: {complaint}" if complaint else f"ok {name}", flush=True)
            failed += complaint is not None
    except Trouble as trouble:
        print(f"FAIL scenario/rig: {trouble.cause} ({trouble.cure})", flush=True)
        failed += 1
    finally:
        if not options.keep:
            demo.take_down(lab)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
