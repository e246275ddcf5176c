"""ICMP errors about packets of a conversation, true ones and made-up ones."""
import struct

from .frames import TCP, UDP, datagrams, l4_bytes
from .steps import Step

# (type, code, second word): unreachable of several kinds, too big, time exceeded.
_TRUE = {
    4: ((3, 1, 0), (3, 3, 0), (3, 4, 1400), (11, 0, 0), (12, 0, 0)),
    6: ((1, 0, 0), (1, 4, 0), (2, 0, 1400), (3, 0, 0), (4, 0, 0)),
}


def _quote(packet, bytes_of_l4):
    """The datagram as whoever complains saw it."""
    whole = datagrams(packet.but(cuts=()), 7)[0]
    return whole[: len(whole) - len(l4_bytes(packet)) + bytes_of_l4]


def _error(rng, ends, about, quote, *, source_host=0, to=None, port=None):
    """From the side that `about` was heading for."""
    port = 1 - about.port if port is None else port
    kind, code, word = rng.choice(_TRUE[ends.family])
    packet = ends.packet(port, ends.icmp(), type=kind, code=code, rest=struct.pack("!I", word), payload=quote)
    packet.src = ends.address(port, source_host)
    if to is not None:
        packet.dst = to
    return Step(ends.number, port, packet, "icmp_error", port != ends.opener)


def _from_peer(rng, ends, about):
    return "error", _error(rng, ends, about, _quote(about.packet, rng.choice((8, 28, 64))))


def _from_router(rng, ends, about):
    """CASES I1: from somebody in between."""
    return "error", _error(rng, ends, about, _quote(about.packet, 28), source_host=2)


def _about_nothing(rng, ends, about):
    """CASES I2."""
    p = about.packet
    has_ports = p.proto in (TCP, UDP)
    changed = p.but(sport=(p.sport + 77) % 65536) if has_ports else p.but(dst=ends.address(1 - about.port, 3))
    return "error_unknown", _error(rng, ends, about, _quote(changed, 28))


def _to_another(rng, ends, about):
    """CASES I4: the quoted packet's sender is not who the error is for."""
    return "error_elsewhere", _error(rng, ends, about, _quote(about.packet, 28), to=ends.address(about.port, 3))


def _turned_round(rng, ends, about):
    """Quotes a packet that its receiver sent itself: the error would travel along with the quoted packet."""
    error = _error(rng, ends, about, _quote(about.packet, 28), port=about.port)
    return "error_turned", error


def _cut(rng, ends, about):
    """CASES I6: fewer than 8 bytes of the transport header."""
    return "error_cut", _error(rng, ends, about, _quote(about.packet, rng.choice((0, 4, 7))))


def _cut_in_header(rng, ends, about):
    quote = _quote(about.packet, 0)
    return "error_cut", _error(rng, ends, about, quote[: rng.randrange(0, len(quote))])


def _far_inner_number(rng, ends, about):
    """CASES I5."""
    p = about.packet
    if p.proto != TCP:
        return _from_peer(rng, ends, about)
    changed = p.but(seq=p.seq + (1 << 30))
    return "error_far", _error(rng, ends, about, _quote(changed, 28))


def _wrong_checksum(rng, ends, about):
    step = _error(rng, ends, about, _quote(about.packet, 28))
    step.packet.odd["checksum_xor"] = 0x0101
    return "error_checksum", step


_KINDS = (
    _from_peer, _from_peer, _from_router, _about_nothing, _to_another, _turned_round, _cut, _cut_in_header,
    _far_inner_number, _wrong_checksum,
)  # fmt: skip


def about(rng, ends, step):
    """(label, an error about the packet of `step`)."""
    return rng.choice(_KINDS)(rng, ends, step)
