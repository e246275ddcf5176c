#!/usr/bin/python3
"""F15: routing headers and hop-by-hop headers where they must not be."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

HOP, ROUTING, DESTINATION, UDP_PROTO = 0, 43, 60, 17
PADN = bytes([1, 4, 0, 0, 0, 0])
ROUTER_ALERT = bytes([5, 2, 0, 0, 1, 0])


def extension(next_header, options):
    return bytes([next_header, (len(options) + 2) // 8 - 1]) + options


s = Scenario(__file__, EDGE)
udp = bytes((s.ip("inside", 6) / UDP(sport=s.sport, dport=4500)))[54:]
address = bytes.fromhex("20010db8000200000000000000000001")
for what, first, chain in (
    ("RH0", ROUTING, extension(UDP_PROTO, bytes([0, 1, 0, 0, 0, 0]) + address)),
    ("RH2 with a segment left", ROUTING, extension(UDP_PROTO, bytes([2, 1, 0, 0, 0, 0]) + address)),
    ("hop-by-hop behind another header", DESTINATION, extension(HOP, PADN) + extension(UDP_PROTO, PADN)),
    ("hop-by-hop twice", HOP, extension(HOP, PADN) + extension(UDP_PROTO, PADN)),
):
    s.send("inside", s.ip("inside", 6, nh=first) / Raw(chain + udp), what, drop="v6_ext_deny")
alert = s.ip("inside", 6, nh=HOP) / Raw(extension(UDP_PROTO, ROUTER_ALERT) + udp)
s.send("inside", alert, "hop-by-hop with router alert: by rule", rule="egress", flows=1)
s.write()
