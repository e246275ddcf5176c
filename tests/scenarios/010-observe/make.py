#!/usr/bin/python3
"""An observe rule counts what it would have done, and the rules behind it decide."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Scenario  # noqa: E402

s = Scenario(__file__, """
    sluice: 1
    name: {name}
    default: {{action: deny}}
    zones:
      out: {{ports: [outside]}}
      in: {{ports: [inside]}}
    rules:
      - {{id: would-deny, from: in, to: out, service: tcp/443, action: deny, mode: observe}}
      - {{id: would-allow, from: out, to: in, service: tcp/443, action: allow, mode: observe}}
      - {{id: egress, from: in, to: out, action: allow}}
    """)
for family in (4, 6):
    syn = s.ip("inside", family) / TCP(sport=s.sport, dport=443, seq=7)
    s.send("inside", syn, f"v{family}: would be denied, is allowed", rule="egress", flows=1)
    s.count_rule("would-deny")
    syn = s.ip("outside", family) / TCP(sport=s.sport + 1, dport=443, seq=7)
    s.send("outside", syn, f"v{family}: would be allowed, is denied", drop="policy_deny", rule="default")
    s.count_rule("would-allow")
s.write()
