#!/usr/bin/python3
"""F4: sources that can't be one host elsewhere, and LAND (D8)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family, source in (
    (4, "127.0.0.1"), (4, "224.0.0.5"), (4, "255.255.255.255"), (4, s.v4["outside"]),
    (6, "::1"), (6, "ff02::1"), (6, s.v6["outside"]),
):  # fmt: skip
    frame = s.ip("inside", family, src=source) / UDP(sport=s.sport, dport=s.sport)
    s.send("inside", frame, f"source {'= destination' if source[-1] == '7' else source}", drop="martian")
s.write()
