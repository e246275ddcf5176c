"""The suites in the order in which a failure says most: small things first. No suite that was asked for is without a result."""
import argparse
import json
import os
import subprocess
import time

from .results import Results, read_skips, skipped_cases

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
SUITES = ("unit", "property", "simulation", "check", "model", "bench", "fuzz", "scenarios", "differential", "e2e")
FAST_SUITES = ("unit", "property")
LONG_SUITES = (*SUITES, "sanitizers", "mutation")  # what has a build of its own, or takes an hour
MESON_SUITES = ("unit", "property", "simulation")
NEED_ROOT = ("bench", "scenarios", "differential", "e2e")


def build_dir():
    build = os.environ.get("BUILD", "build")
    return build if os.path.isabs(build) else os.path.join(ROOT, build)


def meson_suite(results, suite, long):
    """One result for each test program."""
    log = os.path.join(build_dir(), f"meson-logs/{suite}.json")
    if os.path.exists(log):
        os.unlink(log)
    before = results.count()
    environment = {**os.environ, "SLUICE_TEST_LONG": "1" if long else ""}
    done = subprocess.run(
        ["meson", "test", "-C", build_dir(), "--no-rebuild", "--suite", suite, "--logbase", suite,
         "--timeout-multiplier", "10" if long else "3"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    if not os.path.exists(log):
        said = done.stdout.strip().split("\n")[-1]
        if "No suitable tests" in done.stdout or "No tests defined" in done.stdout:
            said = f"no test of that suite in {build_dir()}: configured without it? Remove that folder and build again"
        results.take("FAIL", suite, said)
        return
    with open(log, encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            name = f"{suite}/{test['name'].split(' / ')[-1].replace(' ', '-')}"
            if test["result"] == "OK":
                results.take("ok", name)
                for case, why in skipped_cases(test):
                    results.take("skip", f"{name}/{case}", why)
            elif test["result"] == "SKIP":
                results.take("skip", name, "said so itself")
            else:
                results.take("FAIL", name, f"{test['result']}, code {test.get('returncode')}")
                print("    " + "\n    ".join((test.get("stdout") or test.get("stderr") or "").splitlines()[-25:]))
    if results.count() == before:
        results.take("FAIL", suite, f"meson ran no test: {done.stdout.strip().splitlines()[-1]}")


def judged(arguments):
    """Options, with the suites in `wanted`. Ends the program, as argparse does, at a word that it does not know."""
    parser = argparse.ArgumentParser(prog="tools/test")
    parser.add_argument("--long", action="store_true", help="long versions where there are some")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="unit and property tests only; no root")
    which.add_argument("--only", help=f"suites, with commas: {' '.join(LONG_SUITES)}")
    options = parser.parse_args(arguments)
    options.wanted = FAST_SUITES if options.fast else LONG_SUITES if options.long else SUITES
    if options.only is not None:
        options.wanted = tuple(options.only.split(","))
    if unknown := set(options.wanted) - set(LONG_SUITES):
        parser.error(f"unknown suite: {', '.join(sorted(unknown))}; there are {' '.join(LONG_SUITES)}")
    return options


def commands_of(suite, long):
    """[(seconds at most, command)] of a suite that is a program of its own."""
    hour, whole = 3600, ["--long"] if long else []
    if suite == "check":
        return [(hour, ["tools/dev/check", *whole])]
    if suite == "sanitizers":
        return [(4 * hour, ["tools/dev/sanitize", *whole])]
    if suite == "mutation":
        return [(4 * hour, ["tools/dev/mutate", *which]) for which in (["--planted"], ["--sample", "240", "--minutes", "60"])]
    runs = [((10 if long else 2) * hour if suite == "fuzz" else (4 if long else 1) * hour, [f"tests/{suite}/run.py", *whole])]
    if suite == "fuzz" and long:
        runs.append((hour, ["tests/fuzz/run.py", "--coverage", "parse"]))
        runs.append((2 * hour, ["tests/fuzz/run.py", "--planted", "--seconds", "300"]))
    return runs


def main(arguments):
    options = judged(arguments)
    results = Results(read_skips(os.path.join(ROOT, "tests/skips")))
    results.take("ok", "build", echo=False)
    for suite in options.wanted:
        start = time.monotonic()
        if suite in MESON_SUITES:
            meson_suite(results, suite, options.long)
        elif suite in NEED_ROOT and os.geteuid() != 0:
            results.take("FAIL", suite, "needs root; tools/test --fast does not")
        else:
            for seconds_max, (program, *words) in commands_of(suite, options.long):
                results.take_output_of(suite, [os.path.join(ROOT, program), *words], seconds_max)
        print(f"--- {suite}: {time.monotonic() - start:.0f} s", flush=True)
    if results.failed:
        print("failed: " + " ".join(results.failed))
    print(results.last_line())
    return 1 if results.failed else 0
