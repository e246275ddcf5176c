#!/usr/bin/python3
"""ARP and neighbour discovery follow the policy's wire key; what is no valid ARP or ND is dropped whatever it says."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6  # noqa: E402
from scapy.layers.l2 import ARP  # noqa: E402

from rig.build import Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
mac = "02:00:00:00:00:07"
arp = ARP(op=1, hwsrc=mac, psrc=s.v4["outside"], pdst=s.v4["inside"], hwdst="00:00:00:00:00:00")
s.send("outside", s.ether("outside", dst="ff:ff:ff:ff:ff:ff") / arp, "ARP request", rule="builtin:arp")
bad = ARP(op=1, hwsrc=mac, psrc=s.v4["outside"], pdst=s.v4["inside"], hwdst="00:00:00:00:00:00", hwlen=8)
s.send("outside", s.ether("outside") / bad, "L4: ARP with 8-byte hardware addresses", drop="arp_reject")
ns = ICMPv6ND_NS(tgt=s.v6["inside"]) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
ip = IPv6(src=s.v6["outside"], dst="ff02::1:ff00:80")
s.send("outside", s.ether("outside", dst="33:33:ff:00:00:80") / ip / ns, "neighbour solicitation", rule="builtin:nd")
ip = IPv6(src=s.v6["outside"], dst="ff02::1:ff00:80", hlim=64)
s.send("outside", s.ether("outside", dst="33:33:ff:00:00:80") / ip / ns, "I11: hop limit 64", drop="nd_hoplimit")
s.write()
