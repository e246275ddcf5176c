#!/usr/bin/python3
"""The same seed gives the same run, bit for bit, in another process too:   replay_test.py SIMULATION

Each seed runs twice, once in a fresh environment with another address space layout and a longer environment; all that
could be observed must have the same digest. Different seeds must have different ones, or the digest says nothing.
"""
import os
import random
import subprocess
import sys

SEEDS = 25


def digest(program, seed, environment):
    command = [program, "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return done.stdout.strip().split("\n")[-1]


def main(program):
    first = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={first}")
    seen = set()
    for seed in range(first, first + SEEDS):
        once = digest(program, seed, {})
        again = digest(program, seed, {**os.environ, "PADDING": "x" * random.randrange(5000)})
        if once != again:
            print(f"FAIL seed {seed}: {once}, and then {again}")
            return 1
        seen.add(once)
    if len(seen) != SEEDS:
        print(f"FAIL {SEEDS} seeds gave {len(seen)} digests only")
        return 1
    print(f"{SEEDS} seeds, each twice: same digests")
    return 0


sys.exit(main(sys.argv[1]))
