#!/usr/bin/python3
"""I8: an echo reply needs its request; a second reply to the same request passes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import ICMP, ICMPv6EchoReply, ICMPv6EchoRequest, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):

    def request(identifier):
        echo = ICMP(type=8, id=identifier, seq=1) if family == 4 else ICMPv6EchoRequest(id=identifier, seq=1)
        return s.ip("inside", family) / echo

    def reply(identifier):
        echo = ICMP(type=0, id=identifier, seq=1) if family == 4 else ICMPv6EchoReply(id=identifier, seq=1)
        return s.ip("outside", family) / echo

    s.send("outside", reply(7), f"v{family} unsolicited", drop="icmp_no_flow")
    s.send("inside", request(7), f"v{family} request", rule="egress", flows=1)
    s.send("outside", reply(8), f"v{family} reply with a wrong id", drop="icmp_no_flow")
    s.send("outside", reply(7), f"v{family} reply")
    s.send("outside", reply(7), f"v{family} second reply")
s.write()
