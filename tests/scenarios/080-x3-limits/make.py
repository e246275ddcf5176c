#!/usr/bin/python3
"""X3: states of a rule and of each source are exact; who is refused has the limit's reason and no flow."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import UDP, Scenario  # noqa: E402

POLICY = """
    sluice: 1
    name: {name}
    default: {{action: deny}}
    zones:
      out: {{ports: [outside]}}
      in: {{ports: [inside]}}
    rules:
      - {{id: dns, from: out, to: in, service: udp/53, action: allow, limits: {{states: 5, states_per_source: 2}}}}
"""

s = Scenario(__file__, POLICY)


def ask(host, sport, what, **more):
    source = s.v4["outside"].rsplit(".", 1)[0] + f".{host}"
    s.send("outside", s.ip("outside", src=source) / UDP(sport=sport, dport=53), what, **more)


for host in (7, 8):
    for n in (1, 2):
        ask(host, s.sport + n, f"host {host}, flow {n}", rule="dns", flows=1)
    ask(host, s.sport + 3, f"host {host}, one too many", rule="dns", drop="src_limit")
    ask(host, s.sport + 1, f"host {host}, its first flow goes on")
ask(9, s.sport, "the rule's fifth", rule="dns", flows=1)
ask(10, s.sport, "the rule's sixth", rule="dns", drop="rule_limit")
s.write()
