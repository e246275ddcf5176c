#!/usr/bin/python3
"""F6: fragments in order, reversed, in random order, with byte-exact copies: held until the datagram is whole, then sent."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import random  # noqa: E402

from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.fragments import cut  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family in (4, 6):
    whole = s.ip("inside", family) / UDP(sport=s.sport + family, dport=4500) / Raw(bytes(range(250)) * 12)

    def send(pieces, what, **more):
        for number, fragment in enumerate(pieces[:-1]):
            s.hold("inside", fragment, f"v{family} {what}, {number + 1} of {len(pieces)}")
        s.end_held("inside", pieces[-1], f"v{family} {what}, the last to come", **more)

    send(cut(whole, 1448, 2896, ident=1), "in order", rule="egress", flows=1)
    send(cut(whole, 1448, 2896, ident=2)[::-1], "reversed")
    many = cut(whole, *range(48, 3008, 48), ident=3)  # 63
    random.Random(60).shuffle(many)
    send(many, "63 in random order")
    first, second, third = cut(whole, 1000, 2000, ident=4)
    s.hold("inside", third, f"v{family} the last fragment")
    s.consume("inside", third, f"v{family} the same once more")
    s.hold("inside", first, f"v{family} the first fragment")
    s.consume("inside", first, f"v{family} the same once more")
    s.end_held("inside", second, f"v{family} what was missing")
s.write()
