#!/usr/bin/python3
"""F3: on a wire TTL and hop limit are none of our business."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
s.send("inside", s.ip("inside", 4, ttl=1) / UDP(sport=s.sport, dport=33434), "TTL 1", rule="egress", flows=1)
s.send("inside", s.ip("inside", 6, hlim=1) / UDP(sport=s.sport, dport=33434), "hop limit 1", rule="egress", flows=1)
s.write()
