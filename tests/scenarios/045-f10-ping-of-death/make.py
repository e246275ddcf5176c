#!/usr/bin/python3
"""F10: a fragment that ends beyond 65,535 bytes, and the others of its datagram; atomic fragments pass."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.inet6 import IPv6ExtHdrFragment  # noqa: E402

from rig.build import ICMP, UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
late = s.ip("inside", 4, frag=8189, proto=1) / Raw(bytes(100))
s.send("inside", late, "v4 offset 65512 + 100 bytes", drop="frag_toolong")
late = s.ip("inside", 6) / IPv6ExtHdrFragment(offset=8191, m=0, nh=58, id=1) / Raw(bytes(64))
s.send("inside", late, "v6 offset 65528 + 64 bytes", drop="frag_toolong")
first = s.ip("inside", 4, flags="MF", proto=1) / ICMP(id=s.sport) / Raw(bytes(64))
s.send("inside", first, "v4 first fragment of the same datagram", drop="frag_toolong")
first = s.ip("inside", 6) / IPv6ExtHdrFragment(offset=0, m=1, nh=58, id=1) / Raw(bytes(64))
s.send("inside", first, "v6 first fragment of the same datagram", drop="frag_toolong")
atomic = s.ip("inside", 6) / IPv6ExtHdrFragment(offset=0, m=0, id=3) / UDP(sport=s.sport, dport=4500)
s.send("inside", atomic, "v6 atomic fragment (RFC 6946)", rule="egress", flows=1)
s.write()
