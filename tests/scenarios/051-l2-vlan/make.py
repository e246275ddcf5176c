#!/usr/bin/python3
"""L2: a tag that no zone binds, a priority tag, VID 4095."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.l2 import Dot1Q  # noqa: E402

from rig.build import UDP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)


def tagged(vid, priority=0):
    frame = s.ip("inside", 4) / UDP(sport=s.sport, dport=4500)
    return s.ether("inside") / Dot1Q(vlan=vid, prio=priority) / frame.payload


s.send("inside", tagged(5), "VLAN 5", drop="vlan_deny")
s.send("inside", tagged(4095), "VID 4095", drop="vlan_deny")
s.send("inside", tagged(0, priority=5), "priority tag is untagged", rule="egress", flows=1)
s.write()
