"""Is a frame what was expected?

A forwarded frame must be the same to the byte: in wire mode the firewall changes nothing. In an answer of the firewall's
own (RST, ICMP) some fields are free by RFC: TTL, identification, DF, TOS or traffic class, flow label, the RST's
window, and Ethernet padding. Those are levelled; its checksums must be right.
"""
import struct

ORIGINATED = "originated"


def checksum(data):
    """RFC 1071: zero over data that holds a right checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def complaint(expected, got):
    """None if `got` (bytes) is what `expected` (a pcapng Record) asks for."""
    if got == expected.frame:
        return None
    if not expected.comment.startswith(ORIGINATED):
        return f"differs at byte {_first_difference(expected.frame, got)}: {got.hex()} instead of {expected.frame.hex()}"
    if wrong := wrong_checksum(got):
        return f"wrong {wrong} checksum: {got.hex()}"
    ours, theirs = levelled(expected.frame), levelled(got)
    if ours != theirs:
        return f"differs at byte {_first_difference(ours, theirs)}: {got.hex()} instead of {expected.frame.hex()}"
    return None


def _first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _l3(frame):
    """(offset of the IP header, version)."""
    offset = 12
    while frame[offset : offset + 2] in (b"\x81\x00", b"\x88\xa8"):
        offset += 4
    return offset + 2, frame[offset + 2] >> 4


def _l4(frame):
    """(offset of the transport header, protocol, end of the IP packet, pseudo-header sum input)."""
    l3, version = _l3(frame)
    if version == 4:
        end = l3 + struct.unpack_from("!H", frame, l3 + 2)[0]
        l4 = l3 + (frame[l3] & 15) * 4
        protocol = frame[l3 + 9]
        pseudo = frame[l3 + 12 : l3 + 20] + struct.pack("!HH", protocol, end - l4)
    else:
        end = l3 + 40 + struct.unpack_from("!H", frame, l3 + 4)[0]
        l4 = l3 + 40
        protocol = frame[l3 + 6]
        pseudo = frame[l3 + 8 : l3 + 40] + struct.pack("!II", end - l4, protocol)
    return l4, protocol, end, pseudo


def wrong_checksum(frame):
    l3, version = _l3(frame)
    l4, protocol, end, pseudo = _l4(frame)
    if version == 4 and checksum(frame[l3:l4]) != 0:
        return "IPv4 header"
    if protocol == 1:
        return "ICMP" if checksum(frame[l4:end]) != 0 else None
    return "transport" if checksum(pseudo + frame[l4:end]) != 0 else None


def levelled(frame):
    l3, version = _l3(frame)
    l4, protocol, end, _pseudo = _l4(frame)
    data = bytearray(frame[:end])
    if version == 4:
        data[l3 + 1] = 0
        data[l3 + 4 : l3 + 8] = bytes(4)
        data[l3 + 8] = 0
        data[l3 + 10 : l3 + 12] = bytes(2)
    else:
        data[l3 : l3 + 4] = bytes([0x60, 0, 0, 0])
        data[l3 + 7] = 0
    if protocol == 6:
        data[l4 + 14 : l4 + 18] = bytes(4)
    elif protocol in (1, 58):
        data[l4 + 2 : l4 + 4] = bytes(2)
    return bytes(data)
