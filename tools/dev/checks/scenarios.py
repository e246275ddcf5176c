"""The scenarios hold every action x direction x protocol x version of IP, read from what they send and expect."""
import itertools
import os
import sys

import yaml

from .tree import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests/scenarios"))
from rig import pcapng  # noqa: E402

ACTIONS = ("allow", "deny", "reject", "observe", "default-allow", "default-deny", "default-reject")
DIRECTIONS = ("inward", "outward")
_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp", 47: "gre", 132: "sctp", 50: "esp"}
KINDS = ("tcp", "udp", "icmp", "gre", "sctp", "esp")
FAMILIES = (4, 6)
_WITH_PORTS = ("tcp", "udp", "sctp")


def shape_of(frame):
    """(version of IP, kind, the conversation that the frame belongs to); None if it is no plain IP packet."""
    if frame[12:14] == b"\x08\x00":
        family, proto, ends, l4 = 4, frame[23], (frame[26:30], frame[30:34]), 14 + (frame[14] & 15) * 4
    elif frame[12:14] == b"\x86\xdd":
        family, proto, ends, l4 = 6, frame[20], (frame[22:38], frame[38:54]), 54
    else:
        return None
    kind = _PROTOCOLS.get(proto)
    if kind in _WITH_PORTS:
        ends = (ends[0] + frame[l4 : l4 + 2], ends[1] + frame[l4 + 2 : l4 + 4])
    return (family, kind, (kind, *sorted(ends))) if kind else None


def _action_of(policy):
    """What decides in a policy of one rule or none, and the rule; None for other policies: they are about other things."""
    rules = policy.get("rules") or []
    if not rules:
        return f"default-{policy['default']['action']}", None
    if len(rules) > 1 or "service" in rules[0]:
        return None, None
    return ("observe" if rules[0].get("mode") == "observe" else rules[0]["action"]), rules[0]


def _fate(step, expected):
    """What the files say happens to the frame of that step."""
    mine = [record for record in expected if record.step == step]
    if any(record.comment.startswith("originated") for record in mine):
        return "reject"
    return "allow" if mine else "deny"


def cells_of(policy, sent, expected):
    """(cells that a scenario holds, complaints). A cell counts only if what comes out fits its action."""
    action, rule = _action_of(policy)
    if action is None:
        return set(), []
    decided = action.removeprefix("default-") if rule is None or action != "observe" else policy["default"]["action"]
    cells, complaints, seen = set(), [], set()
    for record in sent:
        shape = shape_of(record.frame)
        if shape is None or shape[2] in seen:
            continue
        seen.add(shape[2])  # only the first packet of a conversation is decided by the policy
        direction = DIRECTIONS[record.interface]
        if rule and rule["from"]["zone"] != ("out", "in")[record.interface]:
            continue
        fate = _fate(record.step, expected)
        # An SCTP packet whose CRC nobody has checked is rejected without an answer.
        if fate != decided and not (decided == "reject" and shape[1] == "sctp" and fate == "deny"):
            complaints.append(f"step {record.step} ({record.comment}): {fate}, its policy says {decided}")
            continue
        cells.add((action, direction, shape[1], shape[0]))
    return cells, complaints


def matrix(tree):
    held, complaints = set(), []
    for name in tree.matching("/policy.yaml", under=("tests/scenarios/",)):
        folder = os.path.join(ROOT, os.path.dirname(name))
        if not os.path.basename(folder)[4:].startswith(ACTIONS):
            continue
        policy = yaml.safe_load(tree.text(name))
        cells, wrong = cells_of(
            policy, pcapng.read(os.path.join(folder, "send.pcapng")), pcapng.read(os.path.join(folder, "expect.pcapng"))
        )
        held |= cells
        complaints += [f"{os.path.dirname(name)}: {complaint}" for complaint in wrong]
    wanted = itertools.product(ACTIONS, DIRECTIONS, KINDS, FAMILIES)
    complaints += [
        f"no scenario: {action}, {direction}, {kind}, IPv{family}"
        for action, direction, kind, family in wanted
        if (action, direction, kind, family) not in held
    ]
    return complaints
