"""Frames for scapy_test.py, a function of the generator's state: well-formed mostly, lengths and fields that are off by
a little often, damaged or cut sometimes. Built by hand, because scapy is slow at it and shall only read."""
import struct

_V4 = (["10.0.0.1", "192.0.2.7"], ["198.51.100.80", "172.16.5.4", "8.8.8.8"])  # sources, destinations
_V4_ODD = ["127.0.0.1", "224.0.0.5", "255.255.255.255", "0.0.0.0", "0.1.2.3", "240.0.0.1", "169.254.1.1"]
_V6 = (["20010db8" + "0" * 23 + "1", "fe80" + "0" * 27 + "1"], ["20010db8" + "0" * 22 + "80", "ff02" + "0" * 27 + "1"])
_V6_ODD = ["0" * 31 + "1", "0" * 32, "ff02" + "0" * 27 + "1", "ff01" + "0" * 27 + "1", "0" * 20 + "ffff0a000001"]
_SIZES = (0, 0, 1, 2, 5, 7, 8, 12, 20, 33, 64, 150)


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _some(rng, most):
    """`most` nearly always, else a number nearby or far off."""
    if rng.random() < 0.96:
        return most
    return max(0, rng.choice([most - 1, most + 1, most - 4, most + 4, 0, 1, most + 40, rng.randrange(256)]))


def _tcp_options(rng):
    options = b""
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        options += rng.choice(
            [b"\x01", b"\x02\x04\x05\xb4", b"\x03\x03\x07", b"\x03\x03\x0f", b"\x04\x02", b"\x08\x0a" + bytes(8)]
            + [b"\0", b"\x02\x03\x05", b"\xfe\x04\x01\x02", b"\xfe\0", b"\x05\x0a" + bytes(8)] * (rng.random() < 0.2)
        )
    return options[:40] + bytes(-len(options[:40]) % 4)


def _tcp(rng, payload):
    options = _tcp_options(rng)
    offset = min(15, _some(rng, 5 + len(options) // 4))
    flags = rng.choice([2, 2, 0x12, 0x10, 0x18, 0x11, 4, 0x14, 0xC2, rng.randrange(256)])
    ports = struct.pack("!HH", rng.randrange(65536), rng.choice([443, 0, 22, rng.randrange(65536)]))
    numbers = struct.pack("!II", rng.getrandbits(32), rng.getrandbits(32))
    rest = struct.pack("!BBHHH", offset << 4 | rng.randrange(2), flags, rng.randrange(65536), 0, rng.randrange(99))
    return ports + numbers + rest + options + payload, 16


def _udp(rng, payload):
    length = _some(rng, 8 + len(payload))
    return struct.pack("!HHHH", _some(rng, 4000), _some(rng, 53), length & 0xFFFF, 0) + payload, 6


def _icmp4(rng, payload):
    kind = rng.choice([0, 8, 8, 3, 11, 12, 13, 14, 5, 4, 15, 17, 9, 10, rng.randrange(256)])
    return struct.pack("!BBHHH", kind, rng.choice([0, 0, 1, 4]), 0, rng.randrange(65536), 1) + payload, 2


def _icmp6(rng, payload):
    kind = rng.choice([128, 129, 1, 2, 3, 133, 134, 135, 136, 137, 143, rng.randrange(256)])
    if 133 <= kind <= 137:
        body = {133: 0, 134: 8, 135: 16, 136: 16, 137: 32}[kind]
        options = rng.choice([b"", b"\x01\x01" + bytes(6), b"\x02\x01" + bytes(6), b"\x01\x00" + bytes(6), b"\x05\x01"])
        payload = bytes.fromhex("20010db8" + "00" * 11 + "09") * 2
        payload = payload[:body] + options
    return struct.pack("!BBHHH", kind, rng.choice([0, 0, 0, 1]), 0, rng.randrange(65536), 1) + payload, 2


def _sctp(rng, payload):
    """Chunks of all kinds, most of them right: the last one's length may be off, and bundles may be forbidden ones."""
    chunks = b""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        kind = rng.choice([0, 0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 14, 200])
        body = struct.pack("!IIII", rng.choice([0, 7, 7, 7]), 65536, 655370, 1) if kind in (1, 2) else payload[:24]
        chunks += struct.pack("!BBH", kind, rng.randrange(2), 4 + len(body)) + body + bytes(-len(body) % 4)
    if rng.random() < 0.3:
        at = rng.randrange(len(chunks))
        chunks = chunks[:at] + bytes([rng.randrange(256)]) + chunks[at + 1 :]
    return struct.pack("!HHII", 5000, rng.randrange(65536), rng.getrandbits(32), 0) + chunks, None


def _other(_rng, payload):
    return payload, None


_MAKERS = {6: _tcp, 17: _udp, 1: _icmp4, 58: _icmp6, 132: _sctp}
_PROTOS = [6] * 6 + [17] * 6 + [1] * 5 + [132, 132, 47, 50, 51, 59, 0, 4, 41, 253]


def _transport(rng, pseudo, v6):
    """Protocol and bytes with their right checksum, mostly."""
    proto = rng.choice(_PROTOS)
    if proto in (1, 58) and rng.random() < 0.9:
        proto = 58 if v6 else 1
    if v6 and proto == 0:
        proto = 6
    data, at = _MAKERS.get(proto, _other)(rng, bytes(rng.choice([0, 0x41, 0xFF]) for _ in range(rng.choice(_SIZES))))
    if rng.random() < 0.03:  # cut inside the header, with lengths that say so
        data, at = data[: rng.randrange(14)], None
    if proto == 17 and rng.random() < 0.1:
        at = None
    if at is not None and rng.random() < 0.97:
        covered = data
        if proto == 17:
            covered = data[: struct.unpack_from("!H", data, 4)[0]]
        over = b"" if proto == 1 else pseudo(proto, len(covered))
        data = data[:at] + struct.pack("!H", checksum(over + covered) or 0xFFFF) + data[at + 2 :]
    return proto, data


def _v4_address(rng, side):
    text = rng.choice(_V4[side] if rng.random() < 0.98 else _V4_ODD + _V4[1 - side])
    return bytes(int(part) for part in text.split("."))


def _v6_address(rng, side):
    return bytes.fromhex(rng.choice(_V6[side] if rng.random() < 0.98 else _V6_ODD + _V6[1 - side]))


def _ipv4(rng):
    src, dst = _v4_address(rng, 0), _v4_address(rng, 1)
    proto, data = _transport(rng, lambda p, n: src + dst + struct.pack("!HH", p, n), False)
    options = rng.choice([b""] * 30 + [b"\x01" * 4, b"\x00\x00\x00\x00", b"\x07\x04\x04\x00", b"\x83\x03\x04\x00"])
    fragment = rng.choice([0x4000] * 40 + [0, 0x2000, 0x2001, 1, 0x00B9, 0x1FFF, 0x8000])
    ihl = min(15, _some(rng, 5 + len(options) // 4))
    total = _some(rng, 20 + len(options) + len(data))
    version = _some(rng, 4) % 16
    head = struct.pack("!BBHHHBBH", version << 4 | ihl, 0, total & 0xFFFF, 7, fragment, 64, proto, 0)
    head += src + dst + options
    covered = (head + data)[: ihl * 4]
    if len(covered) >= 12 and rng.random() < 0.98:
        head = head[:10] + struct.pack("!H", checksum(covered)) + head[12:]
    return 0x0800, head + data


def _extension(rng, kind):
    if kind == 44:
        return bytes([0, 0]) + struct.pack("!HI", rng.choice([0] * 12 + [1, 1, 1, 8, 9, 0xFFF8, 0xFFF9]), 1)
    words = rng.choice([0, 0, 0, 1, 2, 20])
    if kind == 43:
        words = rng.choice([0, 2, 2, 4, 1])
        body = bytes([rng.choice([0, 1] + [2] * 6 + [3, 4]), rng.choice([0, 0, 0, 1])]) + bytes(4 + 8 * words)
    else:
        room = 6 + 8 * words
        body = rng.choice([bytes(room), bytes([1, room - 2]) + bytes(room - 2)] * 10
                          + [b"\x05\x02" + bytes(room - 2), bytes([1, room - 1]) + bytes(room - 2),
                             b"\xc2\x04" + bytes(room - 2), bytes(room - 1) + b"\x01"])  # fmt: skip
    return bytes([0, words]) + body


def _ipv6(rng):
    src, dst = _v6_address(rng, 0), _v6_address(rng, 1)
    proto, data = _transport(rng, lambda p, n: src + dst + struct.pack("!II", n, p), True)
    count = rng.choice([0, 0, 0, 0, 1, 1, 2, 3, rng.randrange(11)])
    kinds = [rng.choice([60] * 8 + [43, 44]) for _ in range(count)]
    if kinds and rng.random() < 0.4:
        kinds[0 if rng.random() < 0.93 else rng.randrange(count)] = 0
    chain = b""
    for kind, after in zip(kinds, kinds[1:] + [proto]):
        chain += bytes([after]) + _extension(rng, kind)[1:]
    hop_limit = rng.choice([64, 255, 255, 255]) if proto == 58 else 64
    length = _some(rng, len(chain) + len(data))
    if 44 in kinds and rng.random() < 0.3:  # the rest of the chain would be in the next fragment
        length = rng.randrange(8, len(chain) + 1, 8)
    head = struct.pack("!IHBB", _some(rng, 6) % 16 << 28, length & 0xFFFF, (kinds + [proto])[0], hop_limit)
    return 0x86DD, head + src + dst + chain + data


def _arp(rng):
    mac = rng.choice([bytes([2, 0, 0, 0, 0, 7])] * 9 + [bytes(6), b"\xff" * 6])
    ip = _v4_address(rng, 0)
    operation = rng.choice([1, 1, 2, 2, 3, 0])
    body = struct.pack("!HHBBH", _some(rng, 1) & 0xFFFF, 0x0800, _some(rng, 6) & 0xFF, 4, operation)
    return 0x0806, body + mac + ip + bytes(6) + _v4_address(rng, 1)


def _strange(rng):
    kind = rng.choice([0x88CC, 0x88B5, 0x0600, 0x05DD, 38, 1500, 0, 0x8847])
    return kind, bytes(rng.choice([38, 46, 100]))


def frame(rng):
    ethertype, content = rng.choice([_ipv4] * 9 + [_ipv6] * 9 + [_arp, _strange])(rng)
    head = rng.choice([b"\x02\0\0\0\0\x80"] * 8 + [b"\xff" * 6, b"\x33\x33\0\0\0\1"]) + b"\x02\0\0\0\0\x07"
    for _ in range(rng.choice([0] * 24 + [1] * 6 + [2] * 4 + [3])):
        tci = rng.choice([7, 7, 0, 0, 9, 9, 0x2005, 0x2005, 0xE000, 4095])
        head += struct.pack("!HH", rng.choice([0x8100, 0x88A8]), tci)
    data = head + struct.pack("!H", ethertype) + content
    if rng.random() < 0.3:
        data += rng.choice([b"\0", b"\xa5"]) * max(0, rng.choice([60, 64, len(data) + 3]) - len(data))
    dice = rng.random()
    if dice < 0.12:
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        data = bytes(changed)
    elif dice < 0.2:
        data = data[: rng.randrange(len(data) + 1)]
    return data
