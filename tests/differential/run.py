#!/usr/bin/python3
"""The same frames through Sluice and through Linux conntrack + nftables, verdict by verdict. As root:

    tests/differential/run.py                       100,000 frames, always the same; SEED=N or --seed N plays others
    tests/differential/run.py --long                10,000,000 of a new seed
    tests/differential/run.py --replay SEED[:CASE]  one run, or one case of it, again; differences are shrunk

Differences that are meant stand in intended.yaml, each with its reason. Any other is a failure: it is shrunk to the
smallest case that shows it, listed, and written as pcapng. Prints `ok NAME` or `FAIL NAME: why`.
"""
import argparse
import os
import random
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../scenarios"), os.path.join(HERE, "../../tools/dev")]

from lab.names import Lab, Trouble  # noqa: E402

from duel.arena import Arena  # noqa: E402
from duel.intended import Intended  # noqa: E402
from duel.tally import Tally  # noqa: E402

FRAMES, FRAMES_LONG = 100_000, 10_000_000
FRAMES_TO_NEED_ALL = 8_000_000  # but for the rare entries
# Mutations meet in so many ways that one run in some still shows a difference on purpose that no entry knows. Whoever
# changes something else shall not be held up by it: that is for --long, and for who works on the trackers.
USUAL_SEED = 1
SHOWN_MAX = 5  # differences that are shrunk and shown; one bug makes many


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, however many frames")
    parser.add_argument("--long", action="store_true", help=f"{FRAMES_LONG:,} frames")
    parser.add_argument("--replay", metavar="SEED[:CASE]")
    parser.add_argument("--shown", type=int, default=SHOWN_MAX, help=f"stop after so many differences, default {SHOWN_MAX}")
    parser.add_argument("--lab", default="td", help="another name where a second run goes on beside this one")
    out = os.path.join(tempfile.gettempdir(), "sluice-differential")
    parser.add_argument("--out", default=out, help=f"folder for pcapng files, default {out}")
    options = parser.parse_args()
    options.only_case = None
    if options.replay:
        seed, _colon, number = options.replay.partition(":")
        options.seed, options.only_case = int(seed), int(number) if number else None
    if options.seed is None:
        fresh = random.SystemRandom().getrandbits(32) if options.long else USUAL_SEED
        options.seed = int(os.environ.get("SEED") or fresh)
    options.frames = options.frames or (FRAMES_LONG if options.long else FRAMES)
    return options


def play(options, arena, tally):
    """All cases until enough frames went through, or time is up."""
    number = options.only_case or 0
    end = time.monotonic() + options.seconds
    while tally.frames < options.frames and time.monotonic() < end:
        tally.add(arena.play(options.seed, number))
        if options.only_case is not None or max(len(tally.unexplained), len(tally.bursts)) >= options.shown:
            return
        number += 1


def report_idle(arena, intended):
    """Of a long run: entries that it did not need, and that the cases which once needed them do not need either. Returns
    the number of failures."""
    for entry in intended.idle():
        seed, colon, number = entry.rare.partition(":")
        if colon and entry.hits == 0:
            arena.play(int(seed), int(number))
    if unknown := [entry.id for entry in intended.idle() if entry.rare == "unknown"]:
        print(f"    rare, and not needed: {', '.join(unknown)}")
    idle = [entry.id for entry in intended.idle() if entry.rare != "unknown"]
    if idle:
        print(f"FAIL differential/intended: never needed: {', '.join(idle)}")
    return 1 if idle else 0


def report(options, arena, tally, intended):
    """Returns the number of failures."""
    for line in tally.lines(intended):
        print(f"    {line}")
    failed = 0
    for number, complaint in tally.bursts[: options.shown]:
        failed += 1
        print(f"FAIL differential/bursts: {complaint}; --replay {options.seed}:{number}", flush=True)
        for line in arena.smallest_for_bursts(options.seed, number, options.out):
            print(f"    {line}", flush=True)
    for number, difference in tally.unexplained[: options.shown]:
        failed += 1
        print(f"FAIL differential/verdicts: {difference.text()}; --replay {options.seed}:{number}", flush=True)
        for line in arena.smallest(options.seed, number, difference, options.out):
            print(f"    {line}", flush=True)
    # A few cases say nothing about shares.
    for complaint in tally.too_little() if tally.frames >= FRAMES // 4 else ():
        failed += 1
        print(f"FAIL differential/shares: {complaint}", flush=True)
    # An entry that explains nothing any more would hide the next bug of its kind. Only a long run can say so.
    if tally.frames >= FRAMES_TO_NEED_ALL:
        failed += report_idle(arena, intended)
    elif idle := intended.idle():
        print(f"    not needed: {', '.join(entry.id for entry in idle)}")
    if not failed:
        print("ok differential/verdicts\nok differential/bursts\nok differential/shares\nok differential/intended", flush=True)
    return failed


def main():
    options = parse()
    print(f"    seed {options.seed}", flush=True)
    start = time.monotonic()
    failed = 0
    try:
        intended = Intended.read(os.path.join(HERE, "intended.yaml"))
        with Arena(Lab(options.lab), intended) as arena:
            tally = Tally()
            play(options, arena, tally)
            failed = report(options, arena, tally, intended)
    except Trouble as trouble:
        print(f"FAIL differential/rig: {trouble.cause} ({trouble.cure})", flush=True)
        failed += 1
    print(f"    {time.monotonic() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
