#!/usr/bin/python3
"""F5: source routes and other IPv4 options are dropped, padding is not, bad lengths are never read past."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for what, options in (
    ("LSRR", bytes([131, 7, 4, 10, 9, 9, 9, 0])),
    ("SSRR", bytes([137, 7, 4, 10, 9, 9, 9, 0])),
    ("record route", bytes([7, 7, 4, 0, 0, 0, 0, 0])),
    ("option length 0", bytes([7, 0, 0, 0])),
    ("option length 1", bytes([68, 1, 0, 0])),
    ("option length beyond the header", bytes([7, 40, 4, 0])),
):
    # By hand: scapy would repair the lengths.
    plain = bytes(s.ip("inside", 4, ihl=5 + len(options) // 4, len=28 + len(options)) / UDP(sport=s.sport, dport=4500))
    frame = bytearray(plain[:34] + options + plain[34:])
    frame[24:26] = bytes(2)
    total = sum(int.from_bytes(frame[at : at + 2], "big") for at in range(14, 34 + len(options), 2))
    total = (total & 0xFFFF) + (total >> 16)
    frame[24:26] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    s.send("inside", frame, what, drop="ip_options")
nops = s.ip("inside", 4, options=b"\x01\x01\x01\x00") / UDP(sport=s.sport, dport=4500)
s.send("inside", nops, "NOP padding", rule="egress", flows=1)
s.write()
