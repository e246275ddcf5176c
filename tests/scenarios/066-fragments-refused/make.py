#!/usr/bin/python3
"""A datagram in fragments is denied or rejected as one packet; a rejected one is answered once."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, UDP, Raw, Scenario  # noqa: E402
from rig.fragments import cut  # noqa: E402

POLICY = """
sluice: 1
name: {name}
default: {{action: deny}}
zones:
  out: {{ports: [outside]}}
  in: {{ports: [inside]}}
rules:
  - {{id: closed, from: in, to: out, service: [tcp/22, udp/22], action: reject}}
"""

s = Scenario(__file__, POLICY)
for family in (4, 6):
    denied = cut(s.ip("inside", family) / UDP(sport=s.sport, dport=4500) / Raw(bytes(200)), 64, 128, ident=1)
    s.hold("inside", denied[2], f"v{family} denied, third")
    s.hold("inside", denied[0], f"v{family} denied, first")
    s.end_held("inside", denied[1], f"v{family} denied, second", drop="policy_deny", whole=True, rule="default")
    rejected = cut(s.ip("inside", family) / UDP(sport=s.sport, dport=22) / Raw(bytes(200)), 64, ident=2)
    s.hold("inside", rejected[1], f"v{family} rejected UDP, last")
    answer = s.unreachable_for(rejected[0])
    s.end_held("inside", rejected[0], f"v{family} rejected UDP, first", drop="policy_reject", whole=True, answer=answer, rule="closed")
    syn = s.ip("inside", family) / TCP(sport=s.sport, dport=22, flags="S", seq=1000) / Raw(bytes(200))
    first, last = cut(syn, 64, ident=3)
    s.hold("inside", first, f"v{family} rejected TCP, first")
    s.end_held("inside", last, f"v{family} rejected TCP, last", drop="policy_reject", whole=True, answer=s.reset_for(syn), rule="closed")
s.write()
