#!/usr/bin/python3
"""Builds the libFuzzer targets (clang, ASan, UBSan) and runs them, as many at once as there are cores.

    tests/fuzz/run.py [TARGET...] [--seconds 30]      so long each, from the corpora; nothing in the tree changes
    tests/fuzz/run.py [TARGET...] --long              an hour each, in fork mode: a crash of the process is no end
    tests/fuzz/run.py [TARGET...] --merge             grows the corpora for --seconds, then keeps what still adds coverage
    tests/fuzz/run.py --replay FILE                   one input; its target is the name of FILE's folder, or TARGET
    tests/fuzz/run.py --coverage parse                lines reached by the corpus, by file (llvm-cov)
    tests/fuzz/run.py --planted [REGEX]               bugs of planted.yaml, one by one in a copy: the target must find each

Prints `ok fuzz/TARGET: figures` or `FAIL fuzz/TARGET: why` with the input's path; exit code 1 if any failed.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import planted

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(HERE, "corpus")
# The folder of tools/dev/sanitize, too: the libraries are compiled once for both.
BUILD = os.environ.get("FUZZ_BUILD", os.path.join(ROOT, "build-asan"))
# tools/dev/build splits at spaces: a list in Meson's own words needs none.
COVERAGE_OPTIONS = "-Dcpp_args=['-fprofile-instr-generate','-fcoverage-mapping'] -Dcpp_link_args=-fprofile-instr-generate"

# Per target: longest input, dictionary, largest single allocation in MiB, more seeds (folders of the tree).
TARGETS = {
    "parse": (2048, None, 8, []),
    "worker": (4096, None, 16, []),
    "flow_recovery": (1024, None, 8, []),
    "flow_states": (1024, None, 8, []),
    "fragments": (4096, None, 8, []),
    "validator": (4096, None, 64, []),
    "last_good": (4096, None, 64, []),
    "tables_socket": (4096, None, 64, []),
    "tables_client": (4096, None, 16, []),
    "record_segment": (1024, None, 16, []),
    "telemetry": (2048, None, 16, []),
    "jwt": (4096, "jwt.dict", 16, []),
    "http": (8192, "http.dict", 16, []),
    "policy_yaml": (8192, "policy.dict", 64, ["policies/examples/demo-edge", "policies/examples/dmz"]),
    "policy_json": (8192, "policy.dict", 64, []),
    "config": (4096, "config.dict", 16, []),
    "event_stream": (1024, None, 8, []),
}
RSS_LIMIT_MB = 1024
INPUT_SECONDS_MAX = 30  # wall time: an input takes milliseconds, a machine that is busy with others makes it more
CORPUS_BYTES_MAX = 128 * 1024  # of one target; kept inputs are sorted by size, so the largest go first
# What --coverage judges: sources by target, and the least share of lines that the corpus reaches.
COVERED = {"parse": (["dataplane/pipeline/parse", "dataplane/pipeline/checksum", "dataplane/pipeline/answer"], 95.0)}

_STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)|^#(\d+): cov:", re.MULTILINE)
_WRITTEN = re.compile(r"Test unit written to (\S+)")
_WHY = re.compile(r"^(must hold: .*|parse: .*|bodies differ .*|SUMMARY: .*|.*runtime error: .*|==\d+==ERROR: .*)$", re.MULTILINE)


def environment(**more):
    # The quarantine's default of 256 MiB would be most of the limit.
    asan = "quarantine_size_mb=32:allocator_may_return_null=0:detect_leaks=1"
    return {**os.environ, "ASAN_OPTIONS": asan, "UBSAN_OPTIONS": "print_stacktrace=1", **more}


def build(names, folder=BUILD, options=""):
    """True, or prints why not."""
    done = subprocess.run(
        [os.path.join(ROOT, "tools/dev/build"), *(f"tests/fuzz/{name}_fuzz" for name in names)],
        env={**os.environ, "FLAVOUR": "asan", "BUILD": folder, "MESON_OPTIONS": options},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print("FAIL fuzz/build: the targets do not build")
        errors = [line for line in done.stdout.splitlines() if re.search(r"error:|ERROR|FAILED", line)]
        print("    " + "\n    ".join((errors or done.stdout.splitlines()[-15:])[:15]))
    return done.returncode == 0


def program(name, folder=BUILD):
    return os.path.join(folder, "tests/fuzz", f"{name}_fuzz")


def flags(name, findings):
    longest, words, allocation_mb, _seeds = TARGETS[name]
    return [
        f"-max_len={longest}",
        f"-malloc_limit_mb={allocation_mb}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        *([f"-dict={os.path.join(HERE, words)}"] if words else []),
    ]


def corpora(name):
    """The target's own folder first. A run without inputs would say little and look good."""
    own = os.path.join(CORPUS, name)
    if not os.path.isdir(own) or not os.listdir(own):
        raise FileNotFoundError(f"no input in tests/fuzz/corpus/{name}; add one (any byte), then --merge")
    return [own, *(os.path.join(ROOT, seeds) for seeds in TARGETS[name][3])]


def findings_of(name):
    folder = os.path.join(BUILD, "findings", name)
    os.makedirs(folder, exist_ok=True)
    return folder


def size_of(folder):
    files = [os.path.join(folder, name) for name in os.listdir(folder)]
    return len(files), sum(os.path.getsize(file) for file in files)


def execute(argv):
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), check=False
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def verdict(name, code, text):
    """The lines for a run, and whether it was good."""
    if code == 0:
        runs = [int(found[1] or found[2]) for found in _RUNS.finditer(text)]
        status = _STATUS.findall(text)
        edges, features, inputs = status[-1] if status else ("0", "0", "0")
        if not runs or runs[-1] == 0:
            return f"FAIL fuzz/{name}: ran no input", False
        return f"ok fuzz/{name}: {runs[-1]} runs, {edges} edges, {features} features, {inputs} inputs", True
    why = _WHY.search(text)
    line = f"FAIL fuzz/{name}: {why[1] if why else f'ended with code {code}'}"
    if written := _WRITTEN.findall(text):
        line += f"\n    input   {written[-1]}\n    replay  tests/fuzz/run.py --replay {written[-1]}"
    else:
        line += "\n    " + "\n    ".join(text.splitlines()[-15:])
    return line, False


def fuzz(name, seconds, fork, found=None):
    """One target. What it finds goes to `found`, or is forgotten."""
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as scratch:
        argv = [program(name), *flags(name, findings_of(name)), f"-max_total_time={seconds}"]
        argv += ["-fork=1"] if fork else []
        return verdict(name, *execute([*argv, found or scratch, *corpora(name)]))


def merge(name, seconds):
    """Grows the corpus and keeps the smallest set of inputs that reaches as much."""
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as scratch:
        grown, kept = os.path.join(scratch, "grown"), os.path.join(scratch, "kept")
        os.makedirs(grown)
        os.makedirs(kept)
        line, good = fuzz(name, seconds, False, grown)
        if not good:
            return line, False
        code, text = execute([program(name), *flags(name, findings_of(name)), "-merge=1", kept, *corpora(name), grown])
        if code:
            return verdict(name, code, text)
        inputs = sorted((os.path.getsize(os.path.join(kept, file)), file) for file in os.listdir(kept))
        left = CORPUS_BYTES_MAX
        own = os.path.join(CORPUS, name)
        shutil.rmtree(own)
        os.makedirs(own)
        for size, file in inputs:
            left -= size
            if left < 0:
                break
            shutil.copyfile(os.path.join(kept, file), os.path.join(own, file))
        count, size = size_of(own)
        return f"{line}; kept {count} inputs, {size / 1024:.0f} KiB", True


def replay(file, name):
    name = name or os.path.basename(os.path.dirname(os.path.realpath(file)))
    if name not in TARGETS:
        print(f"{file}: its folder names no target; say which: tests/fuzz/run.py TARGET --replay {file}")
        return 2
    if not build([name]):
        return 1
    return subprocess.run([program(name), *flags(name, findings_of(name)), file], env=environment(), check=False).returncode


def coverage(name):
    """Line coverage of the corpus alone, in a flavour of its own."""
    folder = BUILD + "-cov"
    if not build([name], folder, COVERAGE_OPTIONS):
        return 1
    raw, merged = os.path.join(folder, "fuzz.profraw"), os.path.join(folder, "fuzz.profdata")
    argv = [program(name, folder), "-runs=0", f"-rss_limit_mb={RSS_LIMIT_MB}", *corpora(name)]
    subprocess.run(argv, env=environment(LLVM_PROFILE_FILE=raw), stderr=subprocess.DEVNULL, check=True)
    subprocess.run(["llvm-profdata-14", "merge", "-sparse", raw, "-o", merged], check=True)
    prefixes, wanted = COVERED.get(name, (("dataplane/", "controlplane/", "tools/"), 0.0))
    report = subprocess.run(
        ["llvm-cov-14", "report", program(name, folder), f"-instr-profile={merged}"],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    lines = missed = 0
    for row in report.splitlines():
        words = row.split()
        if not words or not words[0].startswith(tuple(prefixes)) or not words[0].endswith(".cpp"):
            continue
        of, without = int(words[7]), int(words[8])
        lines, missed = lines + of, missed + without
        print(f"    {words[0]:<40} {of - without:5} of {of:5} lines  {100 * (of - without) / max(of, 1):6.2f} %")
    reached = 100 * (lines - missed) / max(lines, 1)
    if reached < wanted:
        print(f"FAIL fuzz/coverage-{name}: {reached:.2f} % of lines, wanted {wanted:.0f}")
        return 1
    print(f"ok fuzz/coverage-{name}: {reached:.2f} % of lines")
    return 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--replay")
    parser.add_argument("--coverage")
    parser.add_argument("--planted", nargs="?", const="", metavar="REGEX")
    options = parser.parse_args()
    if unknown := [name for name in [*options.targets, options.coverage] if name and name not in TARGETS]:
        parser.error(f"unknown target: {' '.join(unknown)}; there are {' '.join(TARGETS)}")
    if options.replay:
        return replay(options.replay, (options.targets or [None])[0])
    if options.coverage:
        return coverage(options.coverage)
    if options.planted is not None:
        return planted.find_all(ROOT, options.planted, options.seconds or 60, set(TARGETS))
    names = options.targets or list(TARGETS)
    if not build(names):
        return 1
    seconds = options.seconds or (3600 if options.long else 30)
    run = (lambda name: merge(name, seconds)) if options.merge else (lambda name: fuzz(name, seconds, options.long))

    def one(name):
        try:
            return run(name)
        except FileNotFoundError as problem:
            return f"FAIL fuzz/{name}: {problem}", False

    good = True
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for line, is_good in pool.map(one, names):
            print(line, flush=True)
            good = good and is_good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
