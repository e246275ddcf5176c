"""pcapng files (draft-ietf-opsawg-pcapng), as much as scenarios need, and the same bytes for the same scenario always.

Interface 0 is the first port, 1 the second. A packet's time in seconds is the number of the step that it belongs to.
"""
import struct
from dataclasses import dataclass

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_LINKTYPE_ETHERNET = 1
_OPTION_COMMENT, _OPTION_IF_NAME = 1, 2


@dataclass
class Record:
    interface: int
    step: int
    frame: bytes
    comment: str = ""


def _pad(data):
    return data + b"\0" * (-len(data) % 4)


def _option(code, data):
    return struct.pack("<HH", code, len(data)) + _pad(data)


def _block(kind, body):
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def write(path, ports, records):
    out = _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for port in ports:
        options = _option(_OPTION_IF_NAME, port.encode()) + _option(0, b"")
        out += _block(_INTERFACE, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, 0) + options)
    for record in records:
        microseconds = record.step * 1_000_000
        head = struct.pack(
            "<IIIII", record.interface, microseconds >> 32, microseconds & 0xFFFFFFFF, len(record.frame), len(record.frame)
        )
        options = _option(_OPTION_COMMENT, record.comment.encode()) + _option(0, b"") if record.comment else b""
        out += _block(_ENHANCED, head + _pad(record.frame) + options)
    with open(path, "wb") as file:
        file.write(out)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    records, offset = [], 0
    while offset < len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if kind == _ENHANCED:
            records.append(_enhanced(data[offset + 8 : offset + length - 4]))
        offset += length
    return records


def _enhanced(body):
    interface, high, low, captured, _original = struct.unpack_from("<IIIII", body)
    frame = body[20 : 20 + captured]
    options = body[20 + captured + (-captured % 4) :]
    comment = ""
    if len(options) >= 4:
        code, length = struct.unpack_from("<HH", options)
        if code == _OPTION_COMMENT:
            comment = options[4 : 4 + length].decode()
    return Record(interface, ((high << 32) | low) // 1_000_000, frame, comment)
