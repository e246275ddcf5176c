#!/usr/bin/python3
"""T2: flag combinations without a flow; only what a TCP opens with makes state."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for number, flags in enumerate(("", "F", "FPU", "SF", "SR", "SFA", "FSRPAU", "R", "RA", "SA", "SP", "SU", "SEC")):
    for family in (4, 6):
        segment = s.ip("inside", family) / TCP(sport=s.sport + number, dport=80, flags=flags, seq=9, ack=3)
        what = f"v{family} {flags or 'no flags'}"
        if flags in ("SP", "SU", "SEC"):
            s.send("inside", segment, what, rule="egress", flows=1)
        else:
            legal_later = flags in ("R", "RA", "SA")
            s.send("inside", segment, what, drop="tcp_no_flow" if legal_later else "tcp_bad_flags")
s.write()
