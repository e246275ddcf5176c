#!/usr/bin/python3
"""The wire key can deny ARP and neighbour discovery, and allow other ethertypes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402

from rig.build import Raw, Scenario  # noqa: E402

s = Scenario(__file__, """
    sluice: 1
    name: {name}
    default: {{action: allow}}
    wire: {{arp: deny, nd: deny, other: allow}}
    zones:
      out: {{ports: [outside]}}
      in: {{ports: [inside]}}
    """)
mac = "02:00:00:00:00:07"
arp = ARP(op=1, hwsrc=mac, psrc=s.v4["outside"], pdst=s.v4["inside"], hwdst="00:00:00:00:00:00")
s.send("outside", s.ether("outside") / arp, "ARP request", drop="policy_deny", rule="builtin:arp")
ns = ICMPv6ND_NS(tgt=s.v6["inside"]) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
ip = IPv6(src=s.v6["outside"], dst="ff02::1:ff00:80")
s.send("outside", s.ether("outside") / ip / ns, "neighbour solicitation", drop="policy_deny", rule="builtin:nd")
lldp = Ether(src=mac, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(bytes(46))
s.send("outside", lldp, "ethertype of LLDP", rule="builtin:other")
s.write()
