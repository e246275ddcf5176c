#!/usr/bin/python3
"""T10, T16, T17, T20, D1, D2, D11: numbers that fit a scaled window, overshoot it, or lie outside; resets; a late SYN."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
SCALE_4 = [("WScale", 4)]
for family in (4, 6):

    def client(flags, seq, ack, length=0, window=1000, options=()):
        tcp = TCP(sport=s.sport, dport=80, flags=flags, seq=seq, ack=ack, window=window, options=list(options))
        return s.ip("inside", family) / tcp / Raw(bytes(length))

    def server(flags, seq, ack, length=0, window=1000, options=()):
        tcp = TCP(sport=80, dport=s.sport, flags=flags, seq=seq, ack=ack, window=window, options=list(options))
        return s.ip("outside", family) / tcp / Raw(bytes(length))

    def inside(frame, what, **more):
        s.send("inside", frame, f"v{family} {what}", **more)

    def outside(frame, what, **more):
        s.send("outside", frame, f"v{family} {what}", **more)

    inside(client("S", 1000, 0, options=SCALE_4), "SYN, scale 4", rule="egress", flows=1)
    outside(server("SA", 5000, 1001, options=SCALE_4), "SYN-ACK, scale 4")
    inside(client("A", 1001, 5001), "ACK: 16,000 bytes of window")
    outside(server("A", 5001, 1001), "window update: 16,000 bytes")
    inside(client("A", 1001 + 15_000, 5001, 1000), "T20: up to the edge of the scaled window")
    inside(client("A", 1001 + 16_000, 5001, 500), "D11: overshoots it")
    s.count("tcp_overshoot")
    inside(client("A", 1001 + 32_000, 5001, 1), "T16: more than a window over", drop="tcp_out_of_window")
    inside(client("A", 1001, 5001 + 1_000_000), "T17: of what was never sent", drop="tcp_bad_ack")
    inside(client("R", 1001 + 500_000, 0), "T10: reset far out", drop="tcp_bad_rst")
    inside(client("R", 1001 + 100, 0), "D1: reset in the window, not exact")
    s.count("tcp_inexact_rst")
    outside(server("S", 9000, 0), "D2: SYN of the reply side", drop="tcp_bad_flags")
    inside(client("S", 70_000, 0), "D2: SYN of the original side")
    outside(server("SA", 80_000, 70_001), "D2: the peer agrees", rule="egress", flows=1)
    s.count("flow_reopen")
    inside(client("A", 70_001, 80_001), "the new handshake ends")
    outside(server("R", 80_001, 0), "T10: exact reset")
    inside(client("A", 70_001, 80_001, 10), "D3: closed", drop="tcp_closed")
s.write()
