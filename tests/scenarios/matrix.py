"""Action x direction x protocol x version of IP: the exchanges that folders 001 to 008 and 013 to 018 are made of.

tools/dev/check matrix reads from the folders' own files which of these combinations they hold, and refuses a hole.
"""
import itertools

from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkInitAck

from rig.build import GRE_PROTO, ICMP, TCP, UDP, ICMPv6EchoReply, ICMPv6EchoRequest, Raw, Scenario, other

KINDS = ("tcp", "udp", "icmp", "gre", "sctp", "esp")
FAMILIES = (4, 6)
_ESP_PROTO = 50

_HEAD = """
sluice: 1
name: {{name}}
default: {{{{action: {default}}}}}
zones:
  out: {{{{ports: [outside]}}}}
  in: {{{{ports: [inside]}}}}
sets:
  far: {{{{nets: {{outside_nets}}}}}}
  near: {{{{nets: {{inside_nets}}}}}}
"""
_RULE = """rules:
  - {{{{id: judged, from: {{{{zone: {from_zone}, set: {from_set}}}}}, to: {{{{zone: {to_zone}, set: {to_set}}}}}, action: {action}{mode}}}}}
"""
# What else decides: never what the rule says, so that a rule that is not asked shows.
_DEFAULT = {"allow": "deny", "deny": "allow", "reject": "allow", "observe": "allow"}


def _policy(action, direction):
    """`default-...`: no rule at all. `observe`: a rule that would deny and is only watched."""
    if action.startswith("default-"):
        return _HEAD.format(default=action.removeprefix("default-"))
    ends = ("out", "far", "in", "near") if direction == "inward" else ("in", "near", "out", "far")
    return (_HEAD + _RULE).format(
        default=_DEFAULT[action], action="deny" if action == "observe" else action,
        mode=", mode: observe" if action == "observe" else "",
        from_zone=ends[0], from_set=ends[1], to_zone=ends[2], to_set=ends[3],
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
    if kind == "sctp":
        return (
            scenario.ip(start, family, **{field: 132}) / SCTP(sport=sport, dport=3868, tag=0) / SCTPChunkInit(init_tag=7),
            scenario.ip(back, family, **{field: 132}) / SCTP(sport=3868, dport=sport, tag=7) / SCTPChunkInitAck(init_tag=9),
        )
    proto = {"gre": GRE_PROTO, "esp": _ESP_PROTO}[kind]
    return (
        scenario.ip(start, family, **{field: proto}) / Raw(bytes(4) + b"tunnelled"),
        scenario.ip(back, family, **{field: proto}) / Raw(bytes(4) + b"tunnelled back"),
    )


def _answer(scenario, kind, ask):
    """Nobody has looked at the CRC of an SCTP packet, and what may be damaged is not answered (dataplane/pipeline)."""
    if kind == "sctp":
        return None
    return scenario.reset_for(ask) if kind == "tcp" else scenario.unreachable_for(ask)


def make(make_file, action, direction):
    scenario = Scenario(make_file, _policy(action, direction))
    start = "outside" if direction == "inward" else "inside"
    rule = "judged" if action in ("allow", "deny", "reject") else "default"
    end = "allow" if action == "observe" else action.removeprefix("default-")
    for family, kind in itertools.product(FAMILIES, KINDS):
        ask, reply = _ask_and_answer(scenario, start, family, kind)
        what = f"{kind} v{family} {direction}"
        if action == "observe":
            scenario.count_rule("judged")
        if end == "allow":
            scenario.send(start, ask, f"{what}: first packet", rule=rule, flows=1)
            scenario.send(other(start), reply, f"{what}: reply")
            if action == "allow":
                scenario.send(start, ask, f"{what}: again, same flow")
        elif end == "deny":
            scenario.send(start, ask, f"{what}: first packet", drop="policy_deny", rule=rule)
            if action == "deny":
                scenario.send(start, ask, f"{what}: no state was made", drop="policy_deny", rule=rule)
        else:
            answer = _answer(scenario, kind, ask)
            said = "answered" if answer is not None else "not answered, its checksum is not known to be right"
            scenario.send(start, ask, f"{what}: {said}", drop="policy_reject", answer=answer, rule=rule)
    scenario.write()
