#!/usr/bin/python3
"""F7: fragments that overlap, whichever way, end their datagram, and what comes later of it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.fragments import piece  # noqa: E402
from rig.policies import EDGE  # noqa: E402

# What is held, and the fragment that overlaps it: (first byte, end) each, of a datagram of 208 bytes.
ARRANGEMENTS = {
    "tail": ([(0, 48)], (40, 208)),
    "head": ([(40, 208)], (0, 48)),
    "inside": ([(0, 64)], (16, 24)),
    "around": ([(16, 24)], (0, 64)),
    "same start, longer": ([(0, 32)], (0, 48)),
    "same start, shorter": ([(0, 48)], (0, 32)),
    "same end, shorter": ([(48, 208)], (64, 208)),
    "same end, longer": ([(64, 208)], (48, 208)),
    "across two": ([(0, 24), (24, 48)], (8, 40)),
}

s = Scenario(__file__, EDGE)
for family in (4, 6):
    whole = s.ip("inside", family) / UDP(sport=s.sport, dport=4500) / Raw(bytes(range(200)))
    ident = 0
    for name, (held, late) in ARRANGEMENTS.items():
        ident += 1
        for edges in held:
            s.hold("inside", piece(whole, *edges, ident=ident), f"v{family} {name}: held")
        s.end_held("inside", piece(whole, *late, ident=ident), f"v{family} {name}: overlaps", drop="frag_overlap")
        s.send("inside", piece(whole, 96, 104, ident=ident), f"v{family} {name}: later", drop="frag_overlap")
    s.hold("inside", piece(whole, 0, 40, ident=50), f"v{family} teardrop: first")
    drop = piece(whole, 24, ident=50, more=False, data=b"drop")
    s.end_held("inside", drop, f"v{family} teardrop: last, inside the first", drop="frag_overlap")
    s.hold("inside", piece(whole, 0, 40, ident=51), f"v{family} same range")
    other = piece(whole, 0, 40, ident=51, data=bytes(40))
    s.end_held("inside", other, f"v{family} same range, other bytes", drop="frag_overlap")
    s.hold("inside", piece(whole, 104, ident=52), f"v{family} the last fragment")
    beyond = piece(whole, 200, ident=52, more=True, data=bytes(16))
    s.end_held("inside", beyond, f"v{family} over the end and beyond", drop="frag_overlap")
s.write()
