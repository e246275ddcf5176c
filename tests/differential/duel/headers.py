"""Headers that are wrong or unusual, and datagrams in pieces."""
from .frames import ICMP, ICMP6, TCP, UDP, l4_bytes

_PADN = b"\1\4\0\0\0\0"


def _destination_options(body=_PADN):
    return 60, bytes((0, (len(body) + 2) // 8 - 1)) + body


def _hop_by_hop(body=_PADN):
    return 0, bytes((0, (len(body) + 2) // 8 - 1)) + body


def _routing(kind, left, words=1):
    return 43, bytes((0, 2 * words, kind, left)) + bytes(4 + 16 * words)


def _authentication():
    return 51, bytes((0, 4)) + bytes(22)


# Router alert, timestamp, security (RFC 2113, 791, 1108).
_OPTIONS = (b"\x94\4\0\0", b"\x44\x0c\5\0" + bytes(8), b"\x82\x0b" + bytes(10))

_V4 = {
    "ip_checksum": lambda rng, p: {"ip_checksum_xor": 1 + rng.getrandbits(8)},
    "ip_version": lambda rng, p: {"version": rng.choice((5, 6, 15))},
    "ip_header_length": lambda rng, p: {"ihl": rng.choice((0, 4, 15))},
    "ip_total_long": lambda rng, p: {"total": 20 + len(l4_bytes(p)) + rng.choice((1, 100, 40000))},
    "ip_total_short": lambda rng, p: {"total": rng.choice((0, 10, 19))},
    "ip_total_cuts": lambda rng, p: {"total": 20 + rng.randrange(0, len(l4_bytes(p)))},
    "option_source_route": lambda rng, p: {"ip_options": bytes((rng.choice((131, 137)), 7, 4)) + p.dst + b"\1"},
    "option_record_route": lambda rng, p: {"ip_options": b"\7\7\4\0\0\0\0\1"},
    "option_other": lambda rng, p: {"ip_options": rng.choice(_OPTIONS)},
    "option_padding": lambda rng, p: {"ip_options": rng.choice((b"\1\1\1\0", b"\0\0\0\0", b"\1\1\1\1\1\1\1\1"))},
    "option_length": lambda rng, p: {"ip_options": rng.choice((b"\7\0\4\0", b"\7\1\4\0", b"\7\x28\4\0"))},
    "protocol_0": lambda rng, p: {"proto": 0},
    "padding": lambda rng, p: {"padding": rng.randbytes(rng.randrange(1, 40))},
    "ttl_low": lambda rng, p: {"ttl": rng.choice((0, 1))},
}  # fmt: skip

# Of types that nobody knows: skip it, drop, drop and complain (RFC 8200 section 4.2).
_UNKNOWN = (b"\x1e", b"\x5e", b"\x9e")

_V6 = {
    "ip_version": lambda rng, p: {"version": rng.choice((4, 5, 15))},
    "ip_total_long": lambda rng, p: {"total": len(l4_bytes(p)) + rng.choice((1, 100, 40000))},
    "ip_total_short": lambda rng, p: {"total": 0},
    "ip_total_cuts": lambda rng, p: {"total": rng.randrange(1, len(l4_bytes(p)))},
    "ext_options": lambda rng, p: {"ext": [_destination_options()] * rng.randrange(1, 9)},
    "ext_many": lambda rng, p: {"ext": [_destination_options()] * rng.randrange(9, 40)},
    "ext_long": lambda rng, p: {"ext": [_destination_options(b"\1\xfc" + bytes(252))] * 3},
    "ext_bad_option": lambda rng, p: {"ext": [_destination_options(b"\1\x28" + bytes(4))]},
    "ext_unknown_option": lambda rng, p: {"ext": [_destination_options(rng.choice(_UNKNOWN) + b"\4\0\0\0\0")]},
    "ext_hop_by_hop": lambda rng, p: {"ext": [_hop_by_hop()]},
    "ext_hop_by_hop_late": lambda rng, p: {"ext": [_destination_options(), _hop_by_hop()]},
    "ext_hop_by_hop_twice": lambda rng, p: {"ext": [_hop_by_hop(), _hop_by_hop()]},
    "ext_router_alert": lambda rng, p: {"ext": [_hop_by_hop(b"\5\2\0\0\1\0")]},
    "ext_jumbo": lambda rng, p: {"ext": [_hop_by_hop(b"\xc2\4\0\1\0\0")]},
    "ext_routing_0": lambda rng, p: {"ext": [_routing(0, rng.choice((0, 1)))]},
    "ext_routing_2": lambda rng, p: {"ext": [_routing(2, 1)]},
    "ext_routing_used_up": lambda rng, p: {"ext": [_routing(rng.choice((2, 4)), 0)]},
    "ext_authentication": lambda rng, p: {"ext": [_authentication()]},
    "ext_atomic": lambda rng, p: {"ext": [(44, bytes(8))]},
    "next_header_59": lambda rng, p: {"proto": 59},
    "padding": lambda rng, p: {"padding": rng.randbytes(rng.randrange(1, 40))},
    "ttl_low": lambda rng, p: {"ttl": rng.choice((0, 1))},
}  # fmt: skip

_TCP = {
    "tcp_offset_short": lambda rng, p: {"data_offset": rng.choice((0, 4))},
    "tcp_offset_long": lambda rng, p: {"data_offset": 15} if len(p.payload) + len(p.options) < 40 else {},
    "tcp_cut": lambda rng, p: {"truncate": rng.choice((0, 4, 8, 19))},
    "urgent": lambda rng, p: {"urgent": rng.getrandbits(16)},
}
_UDP = {
    "udp_length_short": lambda rng, p: {"udp_length": rng.choice((0, 7))},
    "udp_length_long": lambda rng, p: {"udp_length": 8 + len(p.payload) + rng.choice((1, 1000))},
    "udp_surplus": lambda rng, p: {"udp_length": 8 + len(p.payload) // 2} if len(p.payload) > 1 else {},
    "udp_cut": lambda rng, p: {"truncate": rng.choice((0, 4, 7))},
    "udp_no_checksum": lambda rng, p: {"no_checksum": True},
}
_ICMP = {"icmp_cut": lambda rng, p: {"truncate": rng.choice((0, 3, 4, 7))}}


def _tcp_options(rng, p):
    """Lists of options that do not add up (CASES T30), and 40 bytes of good ones (T31)."""
    if rng.random() < 0.3:
        return "tcp_options_full", p.but(options=b"\2\4\5\xb4" + b"\1" * 36)
    bad = (b"\2\0\5\xb4", b"\2\1\5\xb4", b"\3\x28\1\1", b"\2\3\1\1", b"\3\4\1\1")
    return "tcp_options_bad", p.but(options=rng.choice(bad))


def _port_0(rng, p):
    return "port_0", p.but(**{rng.choice(("sport", "dport")): 0})


def odd(rng, packet):
    """(label, packet), or (label, None) if the change does not fit this packet."""
    if packet.proto == TCP and rng.random() < 0.15:
        return _tcp_options(rng, packet)
    if packet.proto in (TCP, UDP) and rng.random() < 0.05:
        return _port_0(rng, packet)
    of_l4 = {TCP: _TCP, UDP: _UDP, ICMP: _ICMP, ICMP6: _ICMP}.get(packet.proto, {})
    of_l3 = _V4 if packet.family == 4 else _V6
    kinds = of_l4 if of_l4 and rng.random() < 0.35 else of_l3
    label = rng.choice(list(kinds))
    changes = kinds[label](rng, packet)
    return label, packet.oddly(**changes) if changes else None


# ------------------------------------------------------------------------------------------------------------ fragments
def _pieces(rng, length, count):
    """`count` pieces on borders of 8 bytes, the first one with the transport header whole."""
    first = min(64, length - 8) & ~7
    borders = sorted(rng.sample(range(first, length, 8), min(count - 1, (length - first + 7) // 8)))
    edges = [0, *borders, length]
    return [(a, b, b != length) for a, b in zip(edges, edges[1:])]


def cut(rng, packet):
    """(label, the packet as a train of fragments)."""
    length = len(l4_bytes(packet))
    pieces = _pieces(rng, length, rng.randrange(2, 5))
    label = rng.choice(("fragments", "fragments", "fragments_mixed", "fragments_twice", "fragments_missing",
                        "fragments_overlap", "fragments_tiny", "fragments_odd"))  # fmt: skip
    if label == "fragments_mixed":
        rng.shuffle(pieces)
    elif label == "fragments_twice":
        pieces.insert(rng.randrange(1, len(pieces)), rng.choice(pieces[:-1]))
    elif label == "fragments_missing":
        pieces.remove(rng.choice(pieces))
    elif label == "fragments_overlap":
        first, end, more = pieces[-1]
        pieces[-1] = (first - 8, end, more)
    elif label == "fragments_tiny":
        pieces = [(0, 8, True), (8, length, False)]
    elif label == "fragments_odd":
        pieces[0] = (0, pieces[0][1] - 3, True)  # no multiple of 8
    return label, packet.but(cuts=tuple(pieces))
