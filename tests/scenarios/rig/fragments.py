"""Datagrams in pieces. Offsets count from behind the IP header, extension headers included."""
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw


def data_of(frame):
    frame = Ether(bytes(frame))
    return bytes(frame)[14 + (frame[IP].ihl * 4 if IP in frame else 40) :]


def piece(frame, first, end=None, *, ident=1, more=None, data=None, flags=""):
    """Bytes `first` to `end` of the datagram in `frame`, or `data` instead of them. `flags`: of IPv4, besides MF."""
    frame = Ether(bytes(frame))
    whole = data_of(frame)
    end = len(whole) if end is None else end
    more = end < len(whole) if more is None else more
    data = whole[first:end] if data is None else data
    ether = Ether(src=frame.src, dst=frame.dst)
    if IP in frame:
        ip = frame[IP]
        flags = "+".join(filter(None, (flags, "MF" if more else "")))
        return ether / IP(src=ip.src, dst=ip.dst, proto=ip.proto, id=ident, flags=flags, frag=first // 8) / Raw(data)
    ip = frame[IPv6]
    fragment = IPv6ExtHdrFragment(nh=ip.nh, offset=first // 8, m=int(more), id=ident)
    return ether / IPv6(src=ip.src, dst=ip.dst, nh=44) / fragment / Raw(data)


def cut(frame, *at, ident=1):
    """The whole datagram; each number is where a piece ends."""
    edges = (0, *at, None)
    return [piece(frame, first, end, ident=ident) for first, end in zip(edges, edges[1:])]
