#!/usr/bin/python3
"""F13: an atomic fragment passes at once (RFC 6946), beside a pending datagram of the same identification."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.inet6 import IPv6ExtHdrFragment  # noqa: E402

from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.fragments import piece  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
whole = s.ip("inside", 6) / UDP(sport=s.sport, dport=4500) / Raw(bytes(200))
atomic = s.ip("inside", 6) / IPv6ExtHdrFragment(offset=0, m=0, id=7) / UDP(sport=s.sport + 1, dport=4500) / Raw(bytes(9))
s.hold("inside", piece(whole, 0, 64, ident=7), "first")
s.send("inside", atomic, "atomic, the same identification", rule="egress", flows=1)
s.end_held("inside", piece(whole, 64, ident=7), "last", rule="egress", flows=1)
s.write()
