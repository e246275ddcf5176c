"""Action x direction x (tcp, udp, icmp, other) x (v4, v6): the eight exchanges that folders 001 to 006 are made of."""
from rig.build import GRE_PROTO, ICMP, TCP, UDP, ICMPv6EchoReply, ICMPv6EchoRequest, Raw, Scenario, other

_POLICY = """
sluice: 1
name: {{name}}
default: {{{{action: {default}}}}}
zones:
  out: {{{{ports: [outside]}}}}
  in: {{{{ports: [inside]}}}}
sets:
  far: {{{{nets: {{outside_nets}}}}}}
  near: {{{{nets: {{inside_nets}}}}}}
rules:
  - {{{{id: judged, from: {{{{zone: {from_zone}, set: {from_set}}}}}, to: {{{{zone: {to_zone}, set: {to_set}}}}}, action: {action}}}}}
"""


def _policy(action, direction):
    ends = ("out", "far", "in", "near") if direction == "inward" else ("in", "near", "out", "far")
    return _POLICY.format(
        default="deny" if action == "allow" else "allow",
        action=action, from_zone=ends[0], from_set=ends[1], to_zone=ends[2], to_set=ends[3],
    )  # fmt: skip


def _ask_and_answer(scenario, start, family, kind):
    """(first packet, answer of the other host), both as the hosts send them."""
    back = other(start)
    sport, dport = scenario.sport + family, 443
    if kind == "tcp":
        return (
            scenario.ip(start, family) / TCP(sport=sport, dport=dport, flags="S", seq=1000, window=4096),
            scenario.ip(back, family) / TCP(sport=dport, dport=sport, flags="SA", seq=5000, ack=1001, window=4096),
        )
    if kind == "udp":
        return (
            scenario.ip(start, family) / UDP(sport=sport, dport=4500) / Raw(b"question"),
            scenario.ip(back, family) / UDP(sport=4500, dport=sport) / Raw(b"answer"),
        )
    if kind == "icmp":
        echo = {"id": scenario.sport, "seq": 1}
        if family == 4:
            request, reply = ICMP(type=8, **echo), ICMP(type=0, **echo)
        else:
            request, reply = ICMPv6EchoRequest(**echo), ICMPv6EchoReply(**echo)
        return (
            scenario.ip(start, family) / request / Raw(b"ping"),
            scenario.ip(back, family) / reply / Raw(b"ping"),
        )
    field = "proto" if family == 4 else "nh"
    return (
        scenario.ip(start, family, **{field: GRE_PROTO}) / Raw(bytes(4) + b"tunnelled"),
        scenario.ip(back, family, **{field: GRE_PROTO}) / Raw(bytes(4) + b"tunnelled back"),
    )


def make(make_file, action, direction):
    scenario = Scenario(make_file, _policy(action, direction))
    start = "outside" if direction == "inward" else "inside"
    for family in (4, 6):
        for kind in ("tcp", "udp", "icmp", "other"):
            ask, reply = _ask_and_answer(scenario, start, family, kind)
            what = f"{kind} v{family} {direction}"
            if action == "allow":
                scenario.send(start, ask, f"{what}: first packet", rule="judged", flows=1)
                scenario.send(other(start), reply, f"{what}: reply")
                scenario.send(start, ask, f"{what}: again, same flow")
            elif action == "deny":
                scenario.send(start, ask, f"{what}: first packet", drop="policy_deny", rule="judged")
                scenario.send(start, ask, f"{what}: no state was made", drop="policy_deny", rule="judged")
            else:
                answer = scenario.reset_for(ask) if kind == "tcp" else scenario.unreachable_for(ask)
                scenario.send(start, ask, f"{what}: answered", drop="policy_reject", answer=answer, rule="judged")
    scenario.write()
