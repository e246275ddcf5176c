#!/usr/bin/python3
"""End to end, in a lab of its own:   tests/e2e/run.py [--only PART_OF_NAME] [--keep] [--long]

Real hosts, real traffic, both processes. Prints `ok NAME` or `FAIL NAME: why`; figures are printed, never judged
beyond a hang limit. Behind each test every packet that came in must be accounted for (the conservation law).
"""
import argparse
import os
import sys
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../tools/dev")]

from lab import daemons, demo  # noqa: E402
from lab.names import Lab, Trouble  # noqa: E402

from suite import access, api_load, audit, changes, clock, disk, flows, fragments, gitops, huge_policies, laboratory, layers, lifecycle, live_flows, lock_out, many_flows, policies, pressure, records, restarts, schedules, scrapes, sets, shadow, show, slow_clients, stacks, swaps, syn_proxy, workers  # noqa: E402
from suite.bench import Bench, Skipped  # noqa: E402

MODULES = (show, policies, layers, huge_policies, lifecycle, changes, lock_out, gitops, live_flows, shadow, swaps, fragments, stacks, pressure, syn_proxy, workers, restarts, sets, flows, many_flows, records, clock, schedules, disk, audit, access, api_load, scrapes, slow_clients, laboratory)


def complaint_of(test, bench):
    """What the test says, or, if it is content, what the dataplane's own books say behind it."""
    try:
        test(bench)
        return bench.imbalance() or bench.api.breach()
    except Skipped:
        raise
    except Trouble as trouble:
        return f"{trouble.cause} ({trouble.cure})"
    except Exception as problem:  # noqa: BLE001  a test's failure must not end the others
        where = traceback.extract_tb(problem.__traceback__)
        ours = next((frame for frame in reversed(where) if f"{os.sep}suite{os.sep}" in frame.filename), where[-1])
        said = str(problem).replace("\n", " | ")[:800]
        return f"{os.path.basename(ours.filename)}:{ours.lineno}: {type(problem).__name__}: {said or ours.line}"


def repair(bench):
    """After a failure: both processes up again, so that the next test starts from solid ground."""
    if not demo.whole(bench.lab, demo.read_record(bench.lab)):
        return
    try:
        for name in ("dataplane", "controlplane"):
            daemons.ctl(bench.lab, "start", name)
            daemons.wait_ready(bench.lab, name)
    except Trouble as trouble:
        print(f"    repair: {trouble.cause}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true", help="leave the lab running afterwards")
    parser.add_argument("--long", action="store_true", help="many more kills, flows and rules")
    parser.add_argument("--lab", default="t", help="another name where a second run goes on beside this one")
    options = parser.parse_args()
    lab = Lab(options.lab)
    failed = 0
    bench = None
    try:
        demo.take_down(lab)
        demo.build_up(lab)
        bench = Bench(lab, options.long)
        demo.wait_connected(lab, bench.api)
        demo.apply_policy(lab)
        bench.start_echo()
        for module in MODULES:
            for test in module.TESTS:
                name = f"e2e/{module.__name__.split('.')[-1]}/{test.__name__}"
                if options.only not in name:
                    continue
                try:
                    complaint = complaint_of(test, bench)
                except Skipped as why:
                    print(f"skip {name}: {why}", flush=True)
                    continue
                print(f"FAIL {name}: {complaint}" if complaint else f"ok {name}", flush=True)
                if complaint:
                    failed += 1
                    print("    " + "\n    ".join(daemons.log_tail(lab, 6)), flush=True)
                    repair(bench)
    except Trouble as trouble:
        print(f"FAIL e2e/lab: {trouble.cause} ({trouble.cure})", flush=True)
        failed += 1
    finally:
        if not options.keep:
            demo.take_down(lab)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
