#!/usr/bin/python3
"""I1, I3, I5: an ICMP error passes if it quotes what its flow may have in flight, and claims an MTU that can be."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import ICMP, TCP, ICMPv6DestUnreach, IP, IPv6, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402
from scapy.layers.inet6 import ICMPv6PacketTooBig  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):

    def client(flags, seq, ack, length=0):
        return s.ip("inside", family) / TCP(sport=s.sport, dport=80, flags=flags, seq=seq, ack=ack) / Raw(bytes(length))

    def server(flags, seq, ack):
        return s.ip("outside", family) / TCP(sport=80, dport=s.sport, flags=flags, seq=seq, ack=ack)

    def error(seq, mtu=None):
        """About the client's segment with this number: its IP header and the first 8 bytes behind it."""
        quoted = client("A", seq, 5001, 100)
        quote = bytes(quoted[IP] if family == 4 else quoted[IPv6])[: 28 if family == 4 else 48]
        if family == 4:
            head = ICMP(type=3, code=1) if mtu is None else ICMP(type=3, code=4, nexthopmtu=mtu)
        else:
            head = ICMPv6DestUnreach(code=0) if mtu is None else ICMPv6PacketTooBig(mtu=mtu)
        router = {"src": "203.0.113.1"} if family == 4 else {"src": "2001:db8:99::1"}
        return s.ip("outside", family, **router) / head / Raw(quote)

    def outside(frame, what, **more):
        s.send("outside", frame, f"v{family} {what}", **more)

    s.send("inside", client("S", 1000, 0), f"v{family} SYN", rule="egress", flows=1)
    outside(error(1000), "I3: the SYN is unreachable, softly")
    outside(error(2000), "I5: not what the client sent", drop="icmp_bad_inner")
    outside(server("SA", 5000, 1001), "SYN-ACK: the flow lives")
    s.send("inside", client("A", 1001, 5001), f"v{family} ACK")
    s.send("inside", client("A", 1001, 5001, 1000), f"v{family} 1,000 bytes")
    outside(error(1001), "in flight")
    outside(error(1001 + 100_000), "I5: never sent", drop="icmp_bad_inner")
    outside(error(1001 - 100_000 & 0xFFFFFFFF), "I5: long acknowledged", drop="icmp_bad_inner")
    least = 68 if family == 4 else 1280
    outside(error(1001, 1400), "I1: too big for the next hop")
    outside(error(1001, least), f"I1: the least MTU, {least}")
    outside(error(1001, least - 1), "I5: no path has less", drop="icmp_bad_inner")
s.write()
