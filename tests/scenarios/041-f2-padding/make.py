#!/usr/bin/python3
"""F2: bytes behind the IP packet belong to nothing, and go through untouched."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    for number, total in enumerate((80, 1500)):
        frame = bytes(s.ip("inside", family) / UDP(sport=s.sport + number, dport=4500) / Raw(b"data"))
        s.send("inside", frame.ljust(total, b"\xee"), f"v{family} UDP padded to {total}", rule="egress", flows=1)
    frame = bytes(s.ip("inside", family) / TCP(sport=s.sport, dport=80, flags="S", seq=1))
    s.send("inside", frame.ljust(100, b"\xee"), f"v{family} SYN with padding is no data", rule="egress", flows=1)
s.write()
