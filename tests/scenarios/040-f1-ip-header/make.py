#!/usr/bin/python3
"""F1: IPv4 headers that RFC 1812 5.2.2 wants dropped."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for what, fields in (
    ("IHL 4", {"ihl": 4}),
    ("total length beyond the frame", {"len": 200}),
    ("total length below the header", {"len": 19}),
    ("version 5", {"version": 5}),
    ("header checksum wrong", {"chksum": 0x1234}),
):
    frame = s.ip("inside", 4, **fields) / UDP(sport=s.sport, dport=4500) / Raw(b"data")
    s.send("inside", frame, what, drop="ip_malformed")
s.write()
