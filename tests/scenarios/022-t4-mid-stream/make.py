#!/usr/bin/python3
"""T4: an ACK in mid-stream without a flow is dropped even where a SYN would be allowed."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import TCP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for port in ("inside", "outside"):
    for family in (4, 6):
        segment = s.ip(port, family) / TCP(sport=s.sport, dport=80, flags="PA", seq=77, ack=99) / Raw(b"GET /")
        s.send(port, segment, f"v{family} from {port}", drop="tcp_no_flow")
s.write()
