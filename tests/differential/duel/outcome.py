"""What came out, by datagram. A router may cut and join, so pieces are put together before anything is compared."""
import struct
from dataclasses import dataclass, field

_ETHERNET = 14


@dataclass(slots=True)
class Passed:
    """What stood behind the IP header of one datagram that left, from as many pieces as it came in."""

    pieces: list = field(default_factory=list)  # (offset, bytes, more follows)

    def l4(self):
        """The whole, IPv6 extension headers in front; None if pieces are missing. Of pieces that overlap the first one
        counts."""
        end, out = 0, b""
        for offset, data, more in sorted(self.pieces, key=lambda piece: piece[0]):
            if offset > end:
                return None
            if offset + len(data) > end:
                out += data[end - offset :]
                end = offset + len(data)
            if not more:
                return out
        return None


def read(frame):
    """(family, ident, offset, bytes behind the IP header, more follows) of a frame that carries IP; None of another one.
    A fragment header is not among the bytes, and what stands before it only in the first piece."""
    if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
        total, ident, fragment = struct.unpack_from("!HHH", frame, 16)
        head = (frame[14] & 15) * 4
        body = frame[_ETHERNET + head : _ETHERNET + total]
        return 4, ident, (fragment & 0x1FFF) * 8, body, bool(fragment & 0x2000)
    if frame[12:14] == b"\x86\xdd" and len(frame) >= 54:
        word, length, next_header = struct.unpack_from("!IHB", frame, 14)
        body = frame[54 : 54 + length]
        offset, more, at, before = 0, False, 0, None
        while next_header in (0, 43, 60) and at + 8 <= len(body):
            next_header, before, at = body[at], at, at + (body[at + 1] + 1) * 8
        # The oracle takes the header of an atomic fragment away (RFC 6946), and joins pieces that are no longer together
        # than one of them was. So a datagram is compared as it would be in one piece (RFC 8200 section 4.5).
        if next_header == 44 and at + 8 <= len(body):
            field_ = struct.unpack_from("!H", body, at + 2)[0]
            offset, more, ahead, behind = field_ & 0xFFF8, bool(field_ & 1), bytearray(body[:at]), body[at + 8 :]
            if before is not None:
                ahead[before] = body[at]
            body = behind if offset else bytes(ahead) + behind
            offset = offset and offset + at
        return 6, word & 0xFFFFF, offset, body, more
    return None


class Departures:
    """All that left by one port, by (family, ident)."""

    def __init__(self):
        self.by_ident = {}

    def take(self, frame):
        piece = read(frame)
        if piece is None:
            return
        family, ident, offset, body, more = piece
        self.by_ident.setdefault((family, ident), Passed()).pieces.append((offset, body, more))

    def l4(self, family, ident):
        passed = self.by_ident.get((family, ident))
        return passed.l4() if passed else None
