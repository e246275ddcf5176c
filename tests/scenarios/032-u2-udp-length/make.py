#!/usr/bin/python3
"""U2: UDP length 7, longer than the packet, and an empty datagram."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    short = s.ip("inside", family) / UDP(sport=s.sport, dport=4500, len=7) / Raw(b"data")
    s.send("inside", short, f"v{family} length 7", drop="udp_malformed")
    long = s.ip("inside", family) / UDP(sport=s.sport, dport=4500, len=900) / Raw(b"data")
    s.send("inside", long, f"v{family} length 900 in a short packet", drop="udp_malformed")
    empty = s.ip("inside", family) / UDP(sport=s.sport, dport=4500)
    s.send("inside", empty, f"v{family} no payload", rule="egress", flows=1)
s.write()
