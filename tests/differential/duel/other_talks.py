"""Conversations without TCP: UDP, ICMP queries, and protocols that are told apart by their addresses alone."""
import struct

from .frames import AH, ESP, GRE, ICMP, ICMP6, INSIDE, UDP
from .sctp_talks import TALKS as SCTP_TALKS
from .steps import Step

_ECHO = {4: (8, 0), 6: (128, 129)}
_TIMESTAMP = (13, 14)


def udp(rng, ends):
    opener = ends.opener
    ports = [0, 0]
    ports[opener] = rng.randrange(1025, 65536)
    ports[1 - opener] = 53 if opener != INSIDE or rng.random() < 0.5 else rng.choice((123, 443, 5353))
    if rng.random() < 0.1:
        ports[1 - opener] = 54  # inward: denied
    steps = []
    for _round in range(rng.randrange(1, 6)):
        side = opener if not steps or rng.random() < 0.5 else 1 - opener
        payload = rng.randbytes(rng.choice((0, 1, 30, 512)))
        packet = ends.packet(side, UDP, sport=ports[side], dport=ports[1 - side], payload=payload)
        if rng.random() < 0.1:
            packet.odd["no_checksum"] = True
        steps.append(Step(ends.number, side, packet, "udp", side != opener))
    return "udp", steps


def query(rng, ends):
    """Echo, or IPv4's timestamp: requests, answers, late second answers (CASES I8)."""
    opener, proto = ends.opener, ends.icmp()
    types = _TIMESTAMP if ends.family == 4 and opener == INSIDE and rng.random() < 0.2 else _ECHO[ends.family]
    ident = rng.getrandbits(16)
    steps = []
    for number in range(rng.randrange(1, 5)):
        rest = struct.pack("!HH", ident, number)
        payload = rng.randbytes(12 if types is _TIMESTAMP else rng.choice((0, 8, 56)))
        ask = ends.packet(opener, proto, type=types[0], rest=rest, payload=payload)
        answer = ends.packet(1 - opener, proto, type=types[1], rest=rest, payload=payload)
        steps.append(Step(ends.number, opener, ask, "request"))
        for _answer in range(rng.choice((0, 1, 1, 1, 2))):
            steps.append(Step(ends.number, 1 - opener, answer, "answer", True))
    return "query", steps


def unasked(rng, ends):
    """An answer that nobody asked for."""
    packet = ends.packet(ends.opener, ends.icmp(), type=_ECHO[ends.family][1], rest=rng.randbytes(4))
    return "unasked", [Step(ends.number, ends.opener, packet, "answer")]


def odd_icmp(rng, ends):
    """Types that are neither query nor error: some have a meaning of their own, some none (CASES I10)."""
    types = (5, 9, 10, 4, 15, 17, 40) if ends.family == 4 else (127, 130, 131, 132, 137, 143, 200)
    kind, rest, payload = rng.choice(types), rng.randbytes(4), rng.randbytes(20)
    packet = ends.packet(ends.opener, ends.icmp(), type=kind, rest=rest, payload=payload)
    return "odd_icmp", [Step(ends.number, ends.opener, packet, "other")]


def plain_protocol(rng, ends):
    """CASES G1."""
    proto = rng.choice((GRE, GRE, ESP, AH, 4, 41, 97))
    steps = []
    for _round in range(rng.randrange(1, 5)):
        side = ends.opener if not steps or rng.random() < 0.5 else 1 - ends.opener
        packet = ends.packet(side, proto, payload=_body(rng, proto))
        steps.append(Step(ends.number, side, packet, "other", side != ends.opener))
    return "plain_protocol", steps


def _body(rng, proto):
    rest = rng.randbytes(rng.choice((24, 60, 200)))
    if proto == GRE:
        return b"\0\0\x08\x00" + rest  # RFC 2784, version 0
    if proto == AH:
        return b"\x06\x04\0\0" + rest
    return rest


def wrong_icmp(rng, ends):
    """ICMP in the other version of IP."""
    proto = ICMP6 if ends.family == 4 else ICMP
    packet = ends.packet(ends.opener, proto, type=8 if proto == ICMP else 128, rest=rng.randbytes(4), payload=b"x" * 8)
    return "wrong_icmp", [Step(ends.number, ends.opener, packet, "other")]


# Kind of conversation -> weight.
TALKS = {udp: 10, query: 6, unasked: 1, odd_icmp: 1, plain_protocol: 3, wrong_icmp: 0.3, **SCTP_TALKS}
