#!/usr/bin/python3
"""T1: a SYN that no rule allows makes no state."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    syn = s.ip("outside", family) / TCP(sport=s.sport, dport=443, flags="S", seq=1000)
    s.send("outside", syn, f"v{family} SYN", drop="policy_deny", rule="default")
    syn_ack = s.ip("inside", family) / TCP(sport=443, dport=s.sport, flags="SA", seq=1, ack=1001)
    s.send("inside", syn_ack, f"v{family} answer to it finds no flow", drop="tcp_no_flow")
s.write()
