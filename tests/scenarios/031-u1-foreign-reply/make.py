#!/usr/bin/python3
"""U1: only the asked host and port may answer."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402

s = Scenario(__file__, EDGE)
for family, stranger in ((4, s.v4["outside"].rsplit(".", 1)[0] + ".9"), (6, s.v6["outside"][:-1] + "9")):
    ask = s.ip("inside", family) / UDP(sport=s.sport, dport=4500) / Raw(b"ask")
    s.send("inside", ask, f"v{family} question", rule="egress", flows=1)
    answer = s.ip("outside", family) / UDP(sport=4501, dport=s.sport) / Raw(b"no")
    s.send("outside", answer, f"v{family} from another port", drop="policy_deny", rule="default")
    answer = s.ip("outside", family, src=stranger) / UDP(sport=4500, dport=s.sport) / Raw(b"no")
    s.send("outside", answer, f"v{family} from another host", drop="policy_deny", rule="default")
    answer = s.ip("outside", family) / UDP(sport=4500, dport=s.sport) / Raw(b"yes")
    s.send("outside", answer, f"v{family} from whom we asked")
s.write()
