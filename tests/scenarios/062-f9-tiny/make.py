#!/usr/bin/python3
"""F9: a first fragment without the whole transport header (RFC 1858), a second that overwrites it (RFC 3128)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Raw, Scenario  # noqa: E402
from rig.fragments import piece  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    whole = s.ip("inside", family) / TCP(sport=s.sport + family, dport=443, flags="S", options=[("MSS", 1400)]) / Raw(bytes(100))
    s.send("inside", piece(whole, 0, 8, ident=1), f"v{family} 8 bytes of TCP", drop="frag_tiny")
    s.send("inside", piece(whole, 8, ident=1), f"v{family} the rest", drop="frag_tiny")
    s.send("inside", piece(whole, 0, 16, ident=2), f"v{family} 16 bytes of TCP", drop="frag_tiny")
    s.hold("inside", piece(whole, 0, 64, ident=3), f"v{family} a right first fragment")
    s.end_held("inside", piece(whole, 8, 16, ident=3), f"v{family} offset 1", drop="frag_tiny")
    s.hold("inside", piece(whole, 64, ident=4), f"v{family} a later one alone")
    s.end_held("inside", piece(whole, 0, 8, ident=4), f"v{family} and its tiny first", drop="frag_tiny")
    s.hold("inside", piece(whole, 0, 24, ident=5), f"v{family} exactly the header")
    s.end_held("inside", piece(whole, 24, ident=5), f"v{family} the rest", rule="egress", flows=1)
s.write()
