#!/usr/bin/python3
"""F17: IPv6 payload length 0, beyond the frame, and jumbograms."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
udp = UDP(sport=s.sport, dport=4500)
s.send("inside", s.ip("inside", 6, plen=0) / udp, "payload length 0", drop="ip_malformed")
s.send("inside", s.ip("inside", 6, plen=500) / udp, "payload length beyond the frame", drop="ip_malformed")
jumbo = bytes([17, 0, 0xC2, 4]) + (70000).to_bytes(4, "big")
s.send("inside", s.ip("inside", 6, nh=0, plen=0) / Raw(jumbo + bytes(8)), "jumbogram", drop="ip_malformed")
s.write()
