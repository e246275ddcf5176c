#!/usr/bin/python3
"""A whole TCP connection: opened, used, closed from both sides, and its tuple used again."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):

    def client(flags, seq, ack, data=b""):
        return s.ip("inside", family) / TCP(sport=s.sport, dport=80, flags=flags, seq=seq, ack=ack) / Raw(data)

    def server(flags, seq, ack, data=b""):
        return s.ip("outside", family) / TCP(sport=80, dport=s.sport, flags=flags, seq=seq, ack=ack) / Raw(data)

    s.send("inside", client("S", 100, 0), f"v{family} SYN", rule="egress", flows=1)
    s.send("outside", server("SA", 500, 101), f"v{family} SYN-ACK")
    s.send("inside", client("A", 101, 501), f"v{family} ACK")
    s.send("inside", client("PA", 101, 501, b"hello"), f"v{family} request")
    s.send("outside", server("PA", 501, 106, b"world"), f"v{family} answer")
    s.send("inside", client("FA", 106, 506), f"v{family} FIN")
    s.send("outside", server("A", 506, 107, b"still talking"), f"v{family} half closed: data goes on")
    s.send("outside", server("FA", 519, 107), f"v{family} FIN back")
    s.send("inside", client("A", 107, 520), f"v{family} last ACK")
s.write()
