#!/usr/bin/python3
"""D2, T7, T9, T15, D3: two SYNs with different numbers, both ends reborn, a late SYN refused; what ends a closed flow."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Raw, Scenario  # noqa: E402

POLICY = """
sluice: 1
name: {name}
default: {{action: deny}}
zones:
  out: {{ports: [outside]}}
  in: {{ports: [inside]}}
rules:
  - {{id: web-in, from: out, to: in, service: tcp/443, action: allow}}
"""

s = Scenario(__file__, POLICY)
for family in (4, 6):
    port = s.sport

    def client(flags, seq, ack, what, length=0, **more):
        packet = s.ip("outside", family) / TCP(sport=port, dport=443, flags=flags, seq=seq, ack=ack) / Raw(bytes(length))
        s.send("outside", packet, f"v{family} {what}", **more)

    def server(flags, seq, ack, what, length=0, **more):
        packet = s.ip("inside", family) / TCP(sport=443, dport=port, flags=flags, seq=seq, ack=ack) / Raw(bytes(length))
        s.send("inside", packet, f"v{family} {what}", **more)

    client("S", 1000, 0, "SYN", rule="web-in", flows=1)
    client("S", 66_000, 0, "a forged second SYN")
    server("SA", 5000, 1001, "T7: the SYN-ACK to the first")
    client("A", 1001, 5001, "ACK")
    client("S", 600_000, 0, "both ends reborn: a new SYN on the live flow")
    server("SA", 900_000, 600_001, "D2: and its SYN-ACK", rule="web-in", flows=1)
    s.count("flow_reopen")
    client("A", 600_001, 900_001, "ACK")
    server("A", 900_001, 600_001, "data of the new connection", 100)
    client("S", 70_000, 0, "a late SYN")
    server("RA", 0, 70_001, "T15: refused, and its sender hears it")
    client("A", 600_001, 900_101, "the flow goes on")
    client("R", 600_001, 0, "exact RST")
    server("S", 8000, 0, "D3: a SYN of the server, which no rule allows", drop="policy_deny", rule="default")
    client("A", 600_001, 900_101, "D3: the flow is still known as closed", 10, drop="tcp_closed")
    client("S", 800_000, 0, "T27: a new SYN of the client", rule="web-in", flows=1)
    s.count("flow_reopen")
    server("SA", 20_000, 800_001, "SYN-ACK")

    port = s.sport + 1
    client("S", 66_000, 0, "a SYN that is given up", rule="web-in", flows=1)
    client("S", 1000, 0, "a new attempt from the same port")
    server("SA", 5000, 1001, "T7: is answered", rule="web-in", flows=1)
    s.count("flow_reopen")
    client("A", 1001, 5001, "ACK")
s.write()
