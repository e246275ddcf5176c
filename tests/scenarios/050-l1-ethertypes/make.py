#!/usr/bin/python3
"""L1: runts, 802.3 length fields and unknown ethertypes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Ether, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
macs = {"src": "02:00:00:00:00:80", "dst": "02:00:00:00:00:07"}
whole = bytes(s.ip("inside", 4) / UDP(sport=s.sport, dport=4500) / Raw(b"data"))
s.send("inside", whole[:14], "14 bytes: Ethernet header alone", drop="l2_deny")
s.send("inside", whole[:30], "30 bytes: half an IPv4 header", drop="l2_deny")
llc = Ether(**macs, type=46) / Raw(b"\x42\x42\x03" + bytes(43))
s.send("inside", llc, "802.3 length field", drop="l2_deny", rule="builtin:other")
s.send("inside", Ether(**macs, type=0xAAAA) / Raw(bytes(46)), "ethertype 0xAAAA", drop="l2_deny", rule="builtin:other")
s.send("inside", whole, "46 bytes that are a whole packet", rule="egress", flows=1)
s.write()
