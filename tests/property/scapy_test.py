#!/usr/bin/python3
"""Our parser against scapy's reading of the same bytes:   scapy_test.py PARSE_FRAMES

20,000 frames (SLUICE_TEST_LONG=1: a million) from SEED, which is printed. What we accept, scapy must read alike, field
by field; what we drop must deserve the reason that we name (scapy_reading.py), and what we accept must deserve none. A
difference is printed as the smallest frame that still shows it, in hex, with both readings.
"""
import collections
import ipaddress
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import scapy_frames  # noqa: E402
from scapy_reading import REASONS, Reading  # noqa: E402

COUNT = 1_000_000 if os.environ.get("SLUICE_TEST_LONG") else 20_000
BATCH = 2_000
PROTOS = ("6", "17", "1", "58", "132")  # told apart in the last line


class Parser:
    """Our side, a process that answers line by line."""

    def __init__(self, program):
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, frames):
        answers = []
        for frame in frames:
            self._process.stdin.write(frame.hex() + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit(f"FAIL the parser died, code {self._process.wait()}, of the frame {frame.hex()}")
            answers.append(dict(word.split("=", 1) for word in line.split()))
        return answers


def _same(field, ours, scapys):
    if field in ("src", "dst"):
        return ipaddress.ip_address(ours) == ipaddress.ip_address(scapys)
    return ours == str(scapys)


def difference(frame, ours):
    """None, or (kind, sentence). The kind stays the same while a frame is made smaller."""
    theirs = Reading(frame)
    if "drop" in ours:
        if ours["drop"] not in REASONS:
            return ours["drop"], f"we drop it as {ours['drop']}, for which there is no predicate"
        if not REASONS[ours["drop"]](theirs):
            return ours["drop"], f"we drop it as {ours['drop']}, and scapy sees no cause: {describe(theirs)}"
        return None
    for reason, deserved in REASONS.items():
        if deserved(theirs):
            return f"not {reason}", f"we accept it, and scapy sees cause for {reason}: {describe(theirs)}"
    for field, value in theirs.fields().items():
        if not _same(field, ours.get(field), value):
            return field, f"{field}: we read {ours.get(field)}, scapy {value}"
    return None


def describe(reading):
    return repr(reading.ip) if reading.ip is not None else f"ethertype {reading.ethertype}, VLANs {reading.vids}"


def smallest(parser, frame, kind):
    """Bytes cut out, then bytes made zero, as long as the same difference shows."""

    def still(candidate):
        found = difference(candidate, parser.read([candidate])[0])
        return found is not None and found[0] == kind

    size = max(1, len(frame) // 2)
    while size:
        at = 0
        while at < len(frame):
            shorter = frame[:at] + frame[at + size :]
            if still(shorter):
                frame = shorter
            else:
                at += size
        size //= 2
    for at in range(len(frame)):
        zeroed = frame[:at] + b"\0" + frame[at + 1 :]
        if frame[at] and still(zeroed):
            frame = zeroed
    return frame


def main(program):
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}", flush=True)
    rng = random.Random(seed)
    parser = Parser(program)
    met = collections.Counter()
    for _ in range(COUNT // BATCH):
        frames = [scapy_frames.frame(rng) for _ in range(BATCH)]
        for frame, ours in zip(frames, parser.read(frames)):
            proto = ours.get("proto", "")
            met[ours.get("drop") or f"{ours['class']} {proto if proto in PROTOS else 'others'}"] += 1
            found = difference(frame, ours)
            if found is None:
                continue
            small = smallest(parser, frame, found[0])
            answer = parser.read([small])[0]
            print(f"FAIL {found[1]}\n  frame     {frame.hex()}")
            print(f"  smallest  {small.hex()}\n  because   {difference(small, answer)[1]}")
            scapys = describe(Reading(small)) if "drop" in answer else Reading(small).fields()
            print(f"  we        {answer}\n  scapy     {scapys}")
            return 1
    print(f"{sum(met.values())} frames: " + ", ".join(f"{name} {count}" for name, count in met.most_common()))
    # A reason that no frame meets is not tested here.
    if missing := sorted(set(REASONS) - set(met)):
        print(f"FAIL no frame was dropped as {', '.join(missing)}")
        return 1
    return 0


sys.exit(main(sys.argv[1]))
