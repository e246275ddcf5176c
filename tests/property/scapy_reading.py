"""How scapy reads a frame, in the words of our parser, and what justifies each reason for which our parser drops one.

Reading(frame) dissects once. `fields()` is what our reading must say of a frame that it accepts. REASONS has for every
drop reason of `parse` a predicate: true means that the frame deserves it. A frame that is accepted deserves none.
Where we mean to differ from scapy it stands in DIFFERENCES, with why.
"""
import collections
import ipaddress

from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP, in4_chksum
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, _IPv6ExtHdr, in6_chksum
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import NoPayload, Padding, Raw
from scapy.utils import checksum

conf.debug_dissector = False

_CHAIN = (0, 43, 44, 60)  # AH and the rest are opaque protocols to us: a rule for proto/51 allows what it protects

# field -> (what scapy's value becomes, why)
DIFFERENCES = {
    "wscale": (lambda shift: min(shift, 14), "RFC 7323 section 2.3: a larger one is used as 14"),
    "vlan": (lambda vids: next((vid for vid in vids if vid), 0), "a priority tag counts as none, the next one decides"),
    "id": (lambda query: query[1] if query[0] in (0, 8, 13, 14) else 0, "only queries that we pair have one"),
}


def _bytes_of(payload):
    return b"" if isinstance(payload, (NoPayload, Padding)) else payload.original


class Reading:
    def __init__(self, frame):
        self.frame = frame
        self.tags, self.vids, self.ethertype, self.l3 = 0, [], None, b""
        self.ip = self.chain = self.transport = None
        self.proto, self.l4, self.headers, self.chain_bytes, self.cut = None, b"", [], 0, False
        if len(frame) < 14:
            return
        layer = Ether(frame)
        at = 14
        self.ethertype = layer.type if isinstance(layer, Ether) else layer.len  # Dot3
        while self.ethertype in (0x8100, 0x88A8):
            self.tags += 1
            layer = layer.payload
            if not isinstance(layer, Dot1Q) or len(frame) < at + 4:  # scapy fills up what is cut
                self.ethertype = None
                return
            self.vids.append(layer.vlan)
            self.ethertype = layer.type
            at += 4
        self.l3 = frame[at:]
        inner = layer.payload
        if self.ethertype == 0x0800 and isinstance(inner, IP):
            self.ip, self.proto, self.transport = inner, inner.proto, inner.payload
            self.l4 = _bytes_of(inner.payload)
        elif self.ethertype == 0x86DD and isinstance(inner, IPv6):
            self.ip = inner
            self._walk(inner)
        elif self.ethertype == 0x86DD and len(self.l3) >= 40:
            self.ip = IPv6(self.l3[:40])  # scapy lets the whole go when a header of the chain is too odd for it
            self._walk_bytes()
        elif self.ethertype == 0x0806 and isinstance(inner, ARP):
            self.arp = inner

    def _walk(self, layer):
        """Scapy's chain of extension headers; where it stopped before the chain did, the headers are cut or twisted."""
        proto = layer.nh
        while proto in _CHAIN:
            layer = layer.payload
            if not isinstance(layer, _IPv6ExtHdr) or (proto != 44 and layer.len is None):
                # Scapy gave up: a header that is not whole, options that lead out of it, a routing header whose
                # addresses do not fill it. The raw bytes tell.
                return self._walk_bytes()
            size = 8 if proto == 44 else (layer.len + 1) * 8
            if len(layer.original) - len(_bytes_of(layer.payload)) != min(size, len(layer.original)):
                # Scapy believes a segment list's count where RFC 8200 section 4.4 believes the header's length.
                return self._walk_bytes()
            self.headers.append((proto, layer.original[:size]))
            self.chain_bytes += size
            self.cut = self.cut or len(layer.original) < size
            later = proto == 44 and layer.offset
            proto = layer.nh
            if later:  # what follows belongs to a header in another fragment
                break
        self.proto, self.transport, self.l4 = proto, layer.payload, _bytes_of(layer.payload)

    def _walk_bytes(self):
        self.headers, self.chain_bytes = [], 0
        rest, proto = self.l3[40 : 40 + self.ip.plen], self.ip.nh
        while proto in _CHAIN:
            size = 8 if proto == 44 else (rest[1] + 1) * 8 if len(rest) > 1 else 8
            self.headers.append((proto, rest[:size]))
            self.chain_bytes += size
            if len(rest) < size:
                self.cut = True
                return
            later = proto == 44 and IPv6ExtHdrFragment(rest[:8]).offset
            proto, rest = rest[0], rest[size:]
            if later:
                break
        self.proto, self.l4 = proto, rest
        whole = {6: (TCP, 20), 17: (UDP, 8), 132: (SCTP, 12)}.get(proto, (Raw, 1))
        self.transport = whole[0](rest) if len(rest) >= whole[1] else NoPayload()

    @property
    def v4(self):
        return isinstance(self.ip, IP)

    @property
    def v6(self):
        return isinstance(self.ip, IPv6)

    def addresses(self):
        return ipaddress.ip_address(self.ip.src), ipaddress.ip_address(self.ip.dst)

    def icmp(self):
        """Type and code, of either version."""
        return (self.l4[0], self.l4[1]) if len(self.l4) >= 2 else (None, None)

    def fields(self):
        said = {"vlan": DIFFERENCES["vlan"][0](self.vids)}
        if self.ip is None:
            return {"class": "arp" if self.ethertype == 0x0806 else "other", **said}
        neighbour = _neighbour(self)
        src, dst = self.addresses()
        fragment = _fragment(self)
        said |= {"class": "nd" if neighbour else "ip", "src": str(src), "dst": str(dst), "proto": self.proto}
        said |= {"sport": 0, "dport": 0, "l4_bytes": len(self.l4), "payload_bytes": len(self.l4)}
        t = self.transport
        if fragment is not None:
            said |= {"fragment_id": fragment.ident, "fragment_offset": fragment.offset, "more": int(fragment.more)}
            said["fragment_bytes"] = fragment.size
            if fragment.offset == 0 and self.proto in (6, 17, 132):  # the ports of the first are for the log
                said |= {"sport": int.from_bytes(self.l4[:2], "big"), "dport": int.from_bytes(self.l4[2:4], "big")}
            return said
        if self.proto in (6, 17, 132):
            said |= {"sport": t.sport, "dport": t.dport}
        if self.proto == 6:
            said |= {"payload_bytes": len(_bytes_of(t.payload)), "flags": int(t.flags) & 0xFF}
            said |= {"seq": t.seq, "ack": t.ack, "window": t.window}
            if "S" in t.flags:
                options = {name: value for name, value in t.options}
                said |= {"mss": options.get("MSS", 0), "sack": int("SAckOK" in options)}
                said["wscale"] = DIFFERENCES["wscale"][0](options["WScale"]) if "WScale" in options else 255
        elif self.proto == 17:
            said["payload_bytes"] = len(_bytes_of(t.payload))
        elif self.proto == 132:
            said["payload_bytes"] -= 12
        elif self.proto in (1, 58):
            kind, code = self.icmp()
            said |= {"type": kind, "code": code, "payload_bytes": len(self.l4) - 8}
            if self.proto == 1:
                # Scapy wants a timestamp message's 20 bytes before it reads any.
                said["id"] = DIFFERENCES["id"][0]((kind, ICMP(self.l4 + bytes(12)).id))
            else:
                said["id"] = ICMPv6EchoRequest(self.l4).id if kind in (128, 129) else 0
        return said


# ------------------------------------------------------------------------------------------------- why a frame may end
def _l2_deny(r):
    least = {0x0800: 20, 0x86DD: 40, 0x0806: 8}.get(r.ethertype, 0)
    if r.ethertype is None or len(r.l3) < least:
        return True
    return r.ethertype < 0x0600 and (r.ethertype > 1500 or r.ethertype > len(r.l3))


def _arp_reject(r):
    if r.ethertype != 0x0806 or len(r.l3) < 8:
        return False
    a = ARP(r.l3 + bytes(512))  # scapy wants the addresses that the length bytes announce
    if (a.hwtype, a.ptype, a.hwlen, a.plen) != (1, 0x0800, 6, 4) or a.op not in (1, 2) or len(r.l3) < 28:
        return True
    mac, ip = bytes.fromhex(a.hwsrc.replace(":", "")), ipaddress.ip_address(a.psrc)
    return bool(mac[0] & 1) or not any(mac) or ip.is_loopback or int(ip) >= 0xE0000000 or (int(ip) == 0 and a.op != 1)


def _ip_malformed(r):
    if r.v4:
        header = r.ip.ihl * 4
        lengths = 20 <= header <= r.ip.len <= len(r.l3)
        return r.ip.version != 4 or not lengths or checksum(r.l3[:header]) != 0
    if r.v6:
        jumbo = any(_has_jumbo(data) for kind, data in r.headers if kind in (0, 60))
        return r.ip.version != 6 or r.ip.plen == 0 or 40 + r.ip.plen > len(r.l3) or jumbo or (
            r.cut and _fragment(r) is None
        )
    return False


def _options(data):
    """Types of the options in a hop-by-hop or destination header; None behind the last whole one if they lead out."""
    at = 2
    while at < len(data):
        yield data[at]
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            yield None
            return
        at += 2 + data[at + 1]


def _has_jumbo(data):
    return 0xC2 in _options(data)


def _ip_options(r):
    if not r.v4:
        return False
    options = r.l3[20 : r.ip.ihl * 4]
    return bool(options.split(b"\0")[0].strip(b"\x01"))


def _martian(r):
    if r.ip is None:
        return False
    src, dst = r.addresses()
    if src == dst or src.is_loopback or dst.is_loopback or src.is_multicast:
        return True
    if r.v4:
        everybody = ipaddress.ip_address("255.255.255.255")
        this = ipaddress.ip_network("0.0.0.0/8")
        if int(src) >= 0xE0000000 or (int(dst) >= 0xF0000000 and dst != everybody) or dst in this:
            return True
        return src in this and (int(src) != 0 or not (dst == everybody or dst.is_multicast))
    if src.ipv4_mapped or dst.ipv4_mapped or dst.is_unspecified:
        return True
    return (dst.is_multicast and dst.packed[1] & 15 <= 1) or (src.is_unspecified and not dst.is_multicast)


def _proto_deny(r):
    if _fragment(r) is not None:  # the other version's ICMP is looked for when the datagram is whole
        return r.v4 and r.proto == 0
    return (r.v4 and r.proto in (0, 58)) or (r.v6 and r.proto == 1)


Fragment = collections.namedtuple("Fragment", "before offset size more ident")


def _fragment(r):
    """Bytes before, offset, bytes, more, identification; nothing if it is a whole datagram."""
    if r.v4 and (r.ip.frag or r.ip.flags.MF):
        return Fragment(r.ip.ihl * 4, r.ip.frag * 8, r.ip.len - r.ip.ihl * 4, bool(r.ip.flags.MF), r.ip.id)
    before = 0
    for kind, data in r.headers:
        if kind == 44 and len(data) == 8:
            h = IPv6ExtHdrFragment(data)
            if h.offset or h.m:
                return Fragment(before, h.offset * 8, r.ip.plen - before - 8, bool(h.m), h.id)
        before += len(data)
    return None


def _frag_toolong(r):
    f = _fragment(r)
    return f is not None and f.before + f.offset + f.size > 0xFFFF


def _frag_malformed(r):
    f = _fragment(r)
    return f is not None and (f.size == 0 or (f.more and f.size % 8 != 0))


def _frag_chain(r):
    f = _fragment(r)
    return f is not None and f.offset == 0 and (r.cut or (not r.l4 and r.proto != 59))


def _frag_tiny(r):
    f = _fragment(r)
    if f is None or r.cut:
        return False
    least = {6: 20, 132: 12, 17: 8, 1: 8, 58: 8}.get(r.proto, 0)
    if f.offset:
        return f.offset < least
    if r.proto == 6 and len(r.l4) >= 20:
        least = max(least, (r.l4[12] >> 4) * 4)
    return len(r.l4) < least


def _of_whole(judge):
    """Transport headers are judged when the datagram is whole."""
    return lambda r: _fragment(r) is None and judge(r)


def _v6_ext_deny(r):
    kinds = [kind for kind, _ in r.headers]
    routes = [data for kind, data in r.headers if kind == 43 and len(data) >= 4]
    return 0 in kinds[1:] or kinds.count(43) > 1 or kinds.count(44) > 1 or any(d[2] <= 1 or d[3] for d in routes)


def _v6_ext_limit(r):
    led_out = any(None in _options(data) for kind, data in r.headers if kind in (0, 60))
    return len(r.headers) > 8 or r.chain_bytes > 512 or led_out


def _tcp_malformed(r):
    if r.proto != 6:
        return False
    if len(r.l4) < 20:
        return True
    offset = (r.l4[12] >> 4) * 4
    if offset < 20 or offset > len(r.l4):
        return True
    options = r.l4[20:offset]
    at = 0
    while r.l4[13] & 2 and at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options) or {2: 4, 3: 3, 4: 2}.get(options[at], size) != size:
            return True
        at += size
    return False


def _udp_malformed(r):
    if r.proto != 17:
        return False
    return len(r.l4) < 8 or not 8 <= UDP(r.l4).len <= len(r.l4)


def _checksummed(r):
    """The bytes that a checksum covers; nothing where there is none to verify."""
    if r.proto == 17:
        udp = UDP(r.l4)
        return r.l4[: udp.len] if len(r.l4) >= 8 and udp.chksum else None
    least = {6: 20, 1: 8, 58: 8}.get(r.proto)
    return r.l4 if least and len(r.l4) >= least else None


def _bad_l4_csum(r):
    data = _checksummed(r)
    if data is None or _proto_deny(r):
        return False
    if r.proto == 1:
        return checksum(data) != 0
    if r.v4:
        # Bare addresses: given the whole header, scapy takes the datagram's length even where UDP's own is shorter.
        return in4_chksum(r.proto, IP(src=r.ip.src, dst=r.ip.dst), data) != 0
    return in6_chksum(r.proto, IPv6(src=r.ip.src, dst=r.ip.dst), data) != 0


def _sctp_malformed(r):
    """RFC 9260 section 3.2: whole chunks, padded; INIT, INIT ACK, SHUTDOWN COMPLETE alone, COOKIE ECHO and ACK first."""
    if r.proto != 132:
        return False
    rest, kinds = r.l4[12:], []
    if not rest:
        return True
    while rest:
        if len(rest) < 4:
            return True
        size = int.from_bytes(rest[2:4], "big")
        if size < 4 or (size + 3) // 4 * 4 > len(rest):
            return True
        kinds.append(rest[0])
        if rest[0] in (1, 2) and (size < 20 or rest[4:8] == bytes(4)):
            return True
        rest = rest[(size + 3) // 4 * 4 :]
    alone = any(kind in (1, 2, 14) for kind in kinds) and len(kinds) > 1
    return alone or any(kind in (10, 11) for kind in kinds[1:])


def _neighbour(r):
    return r.v6 and _fragment(r) is None and r.proto == 58 and len(r.l4) >= 8 and 133 <= r.l4[0] <= 137


def _nd_reject(r):
    if not _neighbour(r):
        return False
    kind, code = r.icmp()
    fixed = {133: 8, 134: 16, 135: 24, 136: 24, 137: 40}[kind]
    if code or len(r.l4) < fixed or any(kind == 44 for kind, _ in r.headers):
        return True
    options, source_link_layer = r.l4[fixed:], False
    while options:
        size = options[1] * 8 if len(options) > 1 else 0
        if size == 0 or size > len(options):
            return True
        source_link_layer |= options[0] == 1
        options = options[size:]
    src, dst = r.addresses()
    if kind in (134, 137):
        return not src.is_link_local
    if kind == 133:
        return src.is_unspecified and source_link_layer
    if r.l4[8] == 0xFF:
        return True
    if kind == 136:
        return bool(r.l4[4] & 0x40) and dst.is_multicast
    solicited = dst.packed[:13] == bytes.fromhex("ff0200000000000000000001ff")
    return src.is_unspecified and (source_link_layer or not solicited)


def _icmp_type_deny(r):
    if r.v4:
        return r.proto == 1 and len(r.l4) >= 8 and r.l4[0] in (4, 5)  # source quench, redirect
    return _neighbour(r) and r.l4[0] == 137


REASONS = {
    "l2_deny": _l2_deny,
    "vlan_deny": lambda r: r.tags > 2 or 4095 in r.vids,
    "arp_reject": _arp_reject,
    "ip_malformed": _ip_malformed,
    "ip_options": _ip_options,
    "martian": _martian,
    "proto_deny": _proto_deny,
    "frag_toolong": _frag_toolong,
    "frag_malformed": _frag_malformed,
    "frag_chain": _frag_chain,
    "frag_tiny": _frag_tiny,
    "v6_ext_deny": _v6_ext_deny,
    "v6_ext_limit": _v6_ext_limit,
    "tcp_malformed": _of_whole(_tcp_malformed),
    "udp_malformed": _of_whole(_udp_malformed),
    "udp_port0": _of_whole(lambda r: r.proto == 17 and len(r.l4) >= 8 and 0 in (UDP(r.l4).sport, UDP(r.l4).dport)),
    "icmp_malformed": _of_whole(lambda r: r.proto in (1, 58) and len(r.l4) < 8),
    "icmp_type_deny": _of_whole(_icmp_type_deny),
    "bad_l4_csum": _of_whole(_bad_l4_csum),
    "sctp_malformed": _of_whole(_sctp_malformed),
    "nd_hoplimit": lambda r: _neighbour(r) and r.ip.hlim != 255,
    "nd_reject": _nd_reject,
}
