"""The suites in the order in which a failure says most: small things first."""
import argparse
import json
import os
import subprocess
import time

from .results import Results, read_skips

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
SUITES = ("unit", "property", "simulation", "check", "model", "bench", "fuzz", "scenarios", "differential", "e2e")
LONG_SUITES = (*SUITES, "sanitizers", "mutation")  # what has a build of its own, or takes an hour


def build_dir():
    build = os.environ.get("BUILD", "build")
    return build if os.path.isabs(build) else os.path.join(ROOT, build)


def meson_suite(results, suite, long):
    """One result for each test program."""
    log = os.path.join(build_dir(), f"meson-logs/{suite}.json")
    if os.path.exists(log):
        os.unlink(log)
    environment = {**os.environ, "SLUICE_TEST_LONG": "1" if long else ""}
    done = subprocess.run(
        ["meson", "test", "-C", build_dir(), "--no-rebuild", "--suite", suite, "--logbase", suite,
         "--timeout-multiplier", "10" if long else "3"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    if not os.path.exists(log):
        if "No suitable tests" not in done.stdout and "No tests defined" not in done.stdout:
            results.take("FAIL", suite, done.stdout.strip().split("\n")[-1])
        return
    with open(log, encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            name = f"{suite}/{test['name'].split(' / ')[-1].replace(' ', '-')}"
            if test["result"] == "OK":
                results.take("ok", name)
            elif test["result"] == "SKIP":
                results.take("skip", name, "said so itself")
            else:
                results.take("FAIL", name, f"{test['result']}, code {test.get('returncode')}")
                print("    " + "\n    ".join((test.get("stdout") or test.get("stderr") or "").splitlines()[-25:]))


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/test")
    parser.add_argument("--fast", action="store_true", help="unit and property tests only; no root")
    parser.add_argument("--long", action="store_true", help="long versions where there are some")
    parser.add_argument("--only", help=f"suites, with commas: {' '.join(LONG_SUITES)}")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",") if options.only else ("unit", "property") if options.fast else SUITES
    if options.long and not options.only and not options.fast:
        wanted = LONG_SUITES
    if unknown := set(wanted) - set(LONG_SUITES):
        parser.error(f"unknown suite: {', '.join(sorted(unknown))}")
    results = Results(read_skips(os.path.join(ROOT, "tests/skips")))
    results.take("ok", "build", echo=False)
    long = ["--long"] if options.long else []
    hours = 4 * 3600 if options.long else 3600
    for suite in wanted:
        start = time.monotonic()
        if suite in ("unit", "property", "simulation"):
            meson_suite(results, suite, options.long)
        elif suite == "check":
            results.take_output_of("check", [os.path.join(ROOT, "tools/dev/check"), *long], hours)
        elif suite == "mutation":
            for which in (["--planted"], ["--minutes", "60"]):
                results.take_output_of(suite, [os.path.join(ROOT, "tools/dev/mutate"), *which], hours)
        elif suite == "fuzz":
            results.take_output_of("fuzz", [os.path.join(ROOT, "tests/fuzz/run.py"), *long], 2 * hours)
        elif suite == "model":
            results.take_output_of("model", [os.path.join(ROOT, "tests/model/run.py"), *long], hours)
        elif suite == "sanitizers":
            results.take_output_of("sanitizers", [os.path.join(ROOT, "tools/dev/sanitize"), *long], hours)
        elif os.geteuid() != 0:
            results.take("FAIL", suite, "needs root; tools/test --fast does not")
        else:
            run = os.path.join(ROOT, "tests", suite, "run.py")
            results.take_output_of(suite, ["/usr/bin/python3", run, *long], hours)
        print(f"--- {suite}: {time.monotonic() - start:.0f} s", flush=True)
    if results.failed:
        print("failed: " + " ".join(results.failed))
    print(results.last_line())
    return 1 if results.failed else 0
