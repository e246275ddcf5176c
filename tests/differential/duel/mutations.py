"""What goes wrong on a network, and what an attacker does. Each mutation takes a conversation's steps and gives new
ones; every step that it touches or adds carries its label, so that a difference can be told from its cause.
"""
import struct

from . import errors, headers
from .frames import ACK, FIN, PSH, RST, SYN, TCP, UDP, URG
from .steps import Step, gap

_MASK = 0xFFFFFFFF


def _pick(rng, steps, wanted=lambda step: True):
    places = [i for i, step in enumerate(steps) if wanted(step)]
    return rng.choice(places) if places else None


def _is_tcp(step):
    return step.packet.proto == TCP


def _established(step):
    return _is_tcp(step) and step.kind in ("data", "ack", "fin")


def _change(steps, at, step):
    return steps[:at] + [step] + steps[at + 1 :]


def _insert(steps, at, step):
    return steps[:at] + [step] + steps[at:]


# ----------------------------------------------------------------------------------------------------- order and number
def left_out(rng, talk, steps):
    """The receiver may have it; it did not come by us. The label goes to the next step: there the gap shows. That of one
    that would have come late shows where it was overtaken."""
    at = _pick(rng, steps)
    gone = steps[at]
    rest = steps[:at] + steps[at + 1 :]
    while at > 0 and "swapped" in gone.labels and "overtaking" in rest[at - 1].labels:
        at -= 1
    if at < len(rest):
        rest[at] = rest[at].placed(gap(gone.kind))
    return rest


def doubled(rng, talk, steps):
    at = _pick(rng, steps)
    return _insert(steps, rng.randrange(at + 1, min(len(steps), at + 4) + 1), steps[at].placed("doubled"))


def swapped(rng, talk, steps):
    """One step comes up to three steps later than it should."""
    if len(steps) < 2:
        return steps
    at = rng.randrange(len(steps) - 1)
    to = min(len(steps) - 1, at + rng.randrange(1, 4))
    overtaking = [step.placed("overtaking") for step in steps[at + 1 : to + 1]]
    return steps[:at] + overtaking + [steps[at].placed("swapped")] + steps[to + 1 :]


# ------------------------------------------------------------------------------------------------------------- numbers
def _number(name, label, offset, wanted):
    """Adds `offset(rng, window)` to a number of one segment; the window is what that number is measured against."""

    def mutate(rng, talk, steps):
        at = _pick(rng, steps, wanted)
        if at is None:
            return steps
        step = steps[at]
        window = talk.window_bytes(1 - step.port if name == "seq" else step.port)
        value = (getattr(step.packet, name) + offset(rng, window)) & _MASK
        return _change(steps, at, step.mutated(label, step.packet.but(**{name: value})))

    mutate.__name__ = label
    return mutate


_INSIDE = _number("seq", "seq_inside", lambda rng, window: rng.randrange(1, max(2, window // 4)), _established)
_OVERSHOOT = _number("seq", "seq_overshoot", lambda rng, window: window + rng.randrange(window), _established)
_BEYOND = _number("seq", "seq_beyond", lambda rng, window: 3 * window + rng.randrange(65536), _established)
_FAR = _number("seq", "seq_far", lambda rng, window: rng.randrange(1 << 29, 3 << 30), _established)
_BELOW = _number("seq", "seq_below", lambda rng, window: -3 * window - rng.randrange(65536, 1 << 20), _established)
_ACK_FUTURE = _number("ack", "ack_future", lambda rng, window: rng.randrange(1, 1 << 20), _established)
_ACK_FAR = _number("ack", "ack_far", lambda rng, window: rng.randrange(1 << 29, 3 << 30), _established)
_ACK_OLD = _number("ack", "ack_old", lambda rng, window: -rng.randrange(1, 4000), _established)
_SYN_ACK_WRONG = _number("ack", "syn_ack_wrong", lambda rng, window: rng.choice((-1, 1, 1000, 1 << 31)),
                         lambda step: step.kind == "syn_ack")  # fmt: skip
_RST_ANSWER_WRONG = _number("ack", "rst_ack_wrong", lambda rng, window: rng.choice((-1, 1, 1 << 20)),
                            lambda step: step.kind == "rst" and step.packet.flags & ACK)  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- flags
def flags_wrong(rng, talk, steps):
    """Combinations that no TCP sends (CASES T2)."""
    at = _pick(rng, steps, _is_tcp)
    if at is None:
        return steps
    bad = rng.choice((0, FIN, FIN | PSH | URG, SYN | FIN, SYN | RST, SYN | FIN | ACK, 0x3F, RST | FIN, PSH, URG))
    return _change(steps, at, steps[at].mutated("flags_wrong", steps[at].packet.but(flags=bad)))


def flags_other(rng, talk, steps):
    """A legal segment, but of another kind than the conversation has there."""
    at = _pick(rng, steps, _is_tcp)
    if at is None:
        return steps
    step = steps[at]
    kind, flags = rng.choice((("syn", SYN), ("syn_ack", SYN | ACK), ("ack", ACK), ("fin", FIN | ACK)))
    if kind == step.kind:
        return steps
    return _change(steps, at, step.mutated("flags_other", step.packet.but(flags=flags), kind=kind))


def flags_decorated(rng, talk, steps):
    """PSH, URG, ECE and CWR matter to nobody between the ends."""
    at = _pick(rng, steps, lambda step: _is_tcp(step) and step.packet.flags != RST)
    if at is None:
        return steps
    step = steps[at]
    more = rng.choice((PSH, 0x40, 0xC0)) if step.packet.flags & (SYN | RST) else rng.choice((PSH, URG, 0x40, 0xC0))
    if step.packet.flags & SYN and not step.packet.flags & ACK:
        more = rng.choice((PSH, URG, 0xC0))
    return _change(steps, at, step.mutated("flags_decorated", step.packet.but(flags=step.packet.flags | more)))


# ---------------------------------------------------------------------------------------------------------- injections
def _inject(label, flags, kind, offset, payload=b"", reply=None):
    """A segment of nobody's, between two of the conversation: `offset(rng, window)` from the number that is due."""

    def mutate(rng, talk, steps):
        at = _pick(rng, steps, _is_tcp)
        if at is None:
            return steps
        near = steps[at]
        side = near.port
        if reply is not None and near.reply != reply:
            side = 1 - side
        p = near.packet
        seq, ack = (p.seq, p.ack) if side == near.port else (p.ack, p.seq)
        bits = flags | (rng.choice((0, ACK)) if flags == RST else 0)
        packet = talk.ends.packet(
            side, TCP, sport=talk.ports[side], dport=talk.ports[1 - side],
            seq=(seq + offset(rng, talk.window_bytes(1 - side))) & _MASK, ack=ack if bits & ACK else 0, flags=bits,
            payload=payload,
        )  # fmt: skip
        return _insert(steps, at, Step(near.talk, side, packet, kind, side != talk.ends.opener, (label,)))

    mutate.__name__ = label
    return mutate


def _exact(rng, window):
    return 0


def _within(rng, window):
    return rng.randrange(1, max(2, window // 2))


def _wild(rng, window):
    return rng.randrange(1 << 29, 3 << 30)


_INJECTIONS = (
    _inject("rst_exact", RST, "rst", _exact),
    _inject("rst_inside", RST, "rst", _within),
    _inject("rst_inside", RST, "rst", _within),
    _inject("rst_wild", RST, "rst", _wild),
    _inject("syn_forged", SYN, "syn", _wild, reply=False),
    _inject("syn_forged_reply", SYN, "syn", _wild, reply=True),
    _inject("syn_ack_forged", SYN | ACK, "syn_ack", _wild, reply=True),
    _inject("syn_ack_forged_opener", SYN | ACK, "syn_ack", _wild, reply=False),
    _inject("fin_forged", FIN | ACK, "fin", _wild),
    _inject("data_forged", ACK, "data", _wild, b"GET / HTTP/1.0"),
)


# ------------------------------------------------------------------------------------------------ addresses, checksums
def checksum_wrong(rng, talk, steps):
    at = _pick(rng, steps, lambda step: step.kind != "other" and not step.packet.odd)
    if at is None:
        return steps
    packet = steps[at].packet.oddly(checksum_xor=rng.choice((1, 0x0100, 0x5555)))
    return _change(steps, at, steps[at].mutated("checksum_wrong", packet))


def foreign_port(rng, talk, steps):
    """CASES U1: from, or to, another port of the same hosts."""
    at = _pick(rng, steps, lambda step: step.packet.proto in (TCP, UDP))
    if at is None:
        return steps
    p = steps[at].packet
    which = rng.choice(("sport", "dport"))
    packet = p.but(**{which: (getattr(p, which) + rng.choice((1, 2, 200, 5000))) % 65536})
    return _change(steps, at, steps[at].mutated("foreign_port", packet))


def foreign_host(rng, talk, steps):
    at = _pick(rng, steps)
    port, packet = steps[at].port, steps[at].packet
    if rng.random() < 0.5:
        packet = packet.but(src=talk.ends.address(port, 1))
    else:
        packet = packet.but(dst=talk.ends.address(1 - port, 1))
    return _change(steps, at, steps[at].mutated("foreign_host", packet))


def foreign_id(rng, talk, steps):
    """CASES I8: an echo with another identifier."""
    at = _pick(rng, steps, lambda step: step.kind in ("request", "answer"))
    if at is None:
        return steps
    p = steps[at].packet
    ident, number = struct.unpack("!HH", p.rest)
    return _change(steps, at, steps[at].mutated("foreign_id", p.but(rest=struct.pack("!HH", ident ^ 0x0101, number))))


def wrong_side(rng, talk, steps):
    """By the other cable than its source lives at."""
    at = _pick(rng, steps)
    step = steps[at]
    return _change(steps, at, step.mutated("wrong_side", port=1 - step.port))


def error(rng, talk, steps):
    at = _pick(rng, steps, lambda step: step.kind not in ("icmp_error",))
    if at is None:
        return steps
    label, made = errors.about(rng, talk.ends, steps[at])
    made.labels = (label,)
    return _insert(steps, min(len(steps), at + rng.randrange(1, 3)), made)


def header_odd(rng, talk, steps):
    at = _pick(rng, steps, lambda step: not step.packet.odd)
    if at is None:
        return steps
    label, packet = headers.odd(rng, steps[at].packet)
    return _change(steps, at, steps[at].mutated(label, packet)) if packet else steps


def fragmented(rng, talk, steps):
    at = _pick(rng, steps, lambda step: not step.packet.odd and len(step.packet.payload) >= 32)
    if at is None:
        return steps
    label, packet = headers.cut(rng, steps[at].packet)
    return _change(steps, at, steps[at].mutated(label, packet))


# Mutation -> weight.
MUTATIONS = {
    left_out: 4, doubled: 4, swapped: 4, _INSIDE: 1, _OVERSHOOT: 1, _BEYOND: 2, _FAR: 2, _BELOW: 1, _ACK_FUTURE: 2,
    _ACK_FAR: 1, _ACK_OLD: 2, _SYN_ACK_WRONG: 3, _RST_ANSWER_WRONG: 3, flags_wrong: 3, flags_other: 3,
    flags_decorated: 2, **dict.fromkeys(_INJECTIONS, 1), checksum_wrong: 3, foreign_port: 4, foreign_host: 3,
    foreign_id: 2, wrong_side: 2, error: 10, header_odd: 8, fragmented: 3,
}  # fmt: skip
_CHOICES, _WEIGHTS = list(MUTATIONS), list(MUTATIONS.values())


def mutate(rng, talk, steps, count):
    for mutation in rng.choices(_CHOICES, _WEIGHTS, k=count):
        if steps:
            steps = mutation(rng, talk, steps)
    return steps
