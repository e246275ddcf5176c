#!/usr/bin/python3
"""F11: DF with MF passes; lengths that are no multiple of 8, and what stands behind the last fragment, do not."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.fragments import piece  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    whole = s.ip("inside", family) / UDP(sport=s.sport + family, dport=4500) / Raw(bytes(200))
    flags = "DF" if family == 4 else ""
    s.hold("inside", piece(whole, 0, 64, ident=1, flags=flags), f"v{family} {flags} first")
    s.end_held("inside", piece(whole, 64, ident=1, flags=flags), f"v{family} {flags} last", rule="egress", flows=1)
    s.hold("inside", piece(whole, 0, 64, ident=2), f"v{family} first")
    odd = piece(whole, 64, ident=2, more=True, data=bytes(13))
    s.end_held("inside", odd, f"v{family} 13 bytes, and more to come", drop="frag_malformed")
    s.hold("inside", piece(whole, 128, ident=3), f"v{family} last")
    behind = piece(whole, 208, ident=3, more=True, data=bytes(64))
    s.end_held("inside", behind, f"v{family} behind the last", drop="frag_malformed")
    s.send("inside", piece(whole, 0, 64, ident=3), f"v{family} what comes later", drop="frag_malformed")
s.write()
