#!/usr/bin/python3
"""F18: no-next-header passes only by a rule that names it, and its denial has a reason of its own; ESP at the end of a chain is a flow of its two addresses."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

NO_NEXT_HEADER, DESTINATION, ESP = 59, 60, 50

# `egress` allows any service, which does not include no-next-header; `named` does by its number.
NAMED = EDGE.replace("rules:\n", 'rules:\n  - {{id: named, from: in, to: out, service: proto/59, action: allow}}\n', 1)
assert NAMED != EDGE

s = Scenario(__file__, NAMED)
nothing = s.ip("outside", 6, nh=NO_NEXT_HEADER) / Raw(bytes(8))
s.send("outside", nothing, "no next header, no rule", drop="proto_deny", rule="default")
nothing = s.ip("inside", 6, nh=NO_NEXT_HEADER) / Raw(bytes(8))
s.send("inside", nothing, "no next header, by rule", rule="named", flows=1)
options = bytes([ESP, 0, 1, 4, 0, 0, 0, 0])
esp = bytes.fromhex("0000100100000001") + bytes(32)
s.send("inside", s.ip("inside", 6, nh=DESTINATION) / Raw(options + esp), "ESP behind options", rule="egress", flows=1)
s.send("outside", s.ip("outside", 6, nh=ESP) / Raw(esp), "ESP back: same flow")
s.write()
