#!/usr/bin/python3
"""F16: at most 8 extension headers and 512 bytes before the transport header (D7), and no TLV past its end."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

DESTINATION, UDP_PROTO = 60, 17
PADN = bytes([1, 4, 0, 0, 0, 0])

s = Scenario(__file__, EDGE)
udp = bytes((s.ip("inside", 6) / UDP(sport=s.sport, dport=4500)))[54:]


def chain(count):
    return b"".join(bytes([DESTINATION if i + 1 < count else UDP_PROTO, 0]) + PADN for i in range(count))


s.send("inside", s.ip("inside", 6, nh=DESTINATION) / Raw(chain(8) + udp), "8 headers", rule="egress", flows=1)
for count in (9, 30, 130):
    frame = s.ip("inside", 6, nh=DESTINATION) / Raw(chain(count) + udp)
    s.send("inside", frame, f"{count} headers", drop="v6_ext_limit")
big = bytes([UDP_PROTO, 127]) + b"".join(bytes([1, 252]) + bytes(252) for _ in range(4)) + bytes([1, 4]) + bytes(4)
s.send("inside", s.ip("inside", 6, nh=DESTINATION) / Raw(big + udp), "one header of 1 kB", drop="v6_ext_limit")
bad = bytes([UDP_PROTO, 0, 1, 200, 0, 0, 0, 0])
s.send("inside", s.ip("inside", 6, nh=DESTINATION) / Raw(bad + udp), "option longer than its header", drop="v6_ext_limit")
s.write()
