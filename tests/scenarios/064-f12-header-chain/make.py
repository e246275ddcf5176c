#!/usr/bin/python3
"""F12: an IPv6 header chain that goes on in the second fragment (RFC 7112)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, PadN  # noqa: E402

from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.fragments import piece  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])  # 16 bytes
whole = s.ip("inside", 6) / options / UDP(sport=s.sport, dport=4500) / Raw(bytes(100))
s.send("inside", piece(whole, 0, 8, ident=1), "cut inside the options", drop="frag_chain")
s.send("inside", piece(whole, 8, ident=1), "the rest", drop="frag_chain")
s.hold("inside", piece(whole, 16, ident=2), "transport header and the rest")
s.end_held("inside", piece(whole, 0, 16, ident=2), "options alone in the first", drop="frag_chain")
s.hold("inside", piece(whole, 0, 24, ident=3), "options and UDP header")
s.end_held("inside", piece(whole, 24, ident=3), "the rest", rule="egress", flows=1)
s.write()
