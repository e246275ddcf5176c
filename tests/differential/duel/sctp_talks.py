"""SCTP associations (CASES G2): set-up, data, shutdown or abort, INITs that cross, restarts, wrong tags.

A packet's SCTP bytes are its payload here, CRC32c included: the oracle verifies it.
"""
import struct

from .frames import SCTP
from .steps import Step

_DATA, _INIT, _INIT_ACK, _HEARTBEAT, _ABORT, _SHUTDOWN, _SHUTDOWN_ACK, _ECHO, _ACK, _DONE = 0, 1, 2, 4, 6, 7, 8, 10, 11, 14
_KINDS = {
    _DATA: "sctp_data", _INIT: "init", _INIT_ACK: "init_ack", _HEARTBEAT: "heartbeat", _ABORT: "abort",
    _SHUTDOWN: "shutdown", _SHUTDOWN_ACK: "shutdown_ack", _ECHO: "cookie_echo", _ACK: "cookie_ack",
    _DONE: "shutdown_complete",
}  # fmt: skip
_COOKIE = b"crumbles"


def _table():
    out = []
    for byte in range(256):
        for _bit in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        out.append(byte)
    return out


_CRC = _table()


def crc32c(data):
    """RFC 9260 appendix A."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _chunk(kind, body=b"", flags=0):
    return struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


class _Association:
    """Steps as they are said. `tag[side]` is what packets from that side carry."""

    def __init__(self, rng, ends):
        self.rng, self.ends, self.steps = rng, ends, []
        self.port = [0, 0]
        self.port[ends.opener] = rng.randrange(1025, 65536)
        self.port[1 - ends.opener] = 3868
        self.fresh_tags()

    def fresh_tags(self):
        self.tag = [self.rng.randrange(1, 1 << 32), self.rng.randrange(1, 1 << 32)]

    def say(self, side, kind, body=b"", *, flags=0, more=b"", tag=None, labels=()):
        """One chunk, and what is bundled with it."""
        tag = self.tag[side] if tag is None else tag
        chunks = _chunk(kind, body, flags) + more
        head = struct.pack("!HHI", self.port[side], self.port[1 - side], tag)
        crc = struct.pack("<I", crc32c(head + bytes(4) + chunks))
        packet = self.ends.packet(side, SCTP, payload=head + crc + chunks)
        self.steps.append(Step(self.ends.number, side, packet, _KINDS[kind], side != self.ends.opener, labels))

    def init(self, side, kind=_INIT):
        """Names what the other side's packets carry."""
        body = struct.pack("!IIHHI", self.tag[1 - side], 65536, 10, 10, 1)
        if kind == _INIT_ACK:
            body += struct.pack("!HH8s", 7, 12, _COOKIE)
        self.say(side, kind, body, tag=0 if kind == _INIT else None)

    def set_up(self, side):
        self.init(side)
        self.init(1 - side, _INIT_ACK)
        self.cookie(side)

    def cookie(self, side):
        bundled = _chunk(_DATA, self.data(), 3) if self.rng.random() < 0.3 else b""
        self.say(side, _ECHO, _COOKIE, more=bundled)
        self.say(1 - side, _ACK)

    def data(self):
        return struct.pack("!IHHI", self.rng.getrandbits(32), 1, 0, 0) + self.rng.randbytes(self.rng.choice((1, 16, 300)))

    def talk(self):
        for _round in range(self.rng.randrange(4)):
            side = self.rng.randrange(2)
            if self.rng.random() < 0.2:
                self.say(side, _HEARTBEAT, bytes((0, 1, 0, 8)) + bytes(4))
            else:
                self.say(side, _DATA, self.data(), flags=3)

    def wrong(self):
        """From a stranger who does not know the tag."""
        side = self.rng.randrange(2)
        kind, body = self.rng.choice(((_DATA, self.data()), (_ABORT, b""), (_SHUTDOWN, bytes(4))))
        wrong = self.tag[side] ^ 1 << self.rng.randrange(32) or 1
        self.say(side, kind, body, flags=3 if kind == _DATA else 0, tag=wrong, labels=("sctp_tag",))

    def end(self):
        side, how = self.rng.randrange(2), self.rng.random()
        if how < 0.4:
            self.say(side, _SHUTDOWN, bytes(4))
            self.say(1 - side, _SHUTDOWN_ACK)
            self.say(side, _DONE)
        elif how < 0.7:
            self.say(side, _ABORT)


def association(rng, ends):
    a = _Association(rng, ends)
    a.set_up(ends.opener)
    a.talk()
    if rng.random() < 0.3:
        a.wrong()
    a.talk()
    a.end()
    return "association", a.steps


def crossing(rng, ends):
    """Both send INIT (RFC 9260 section 5.2.1)."""
    a, opener = _Association(rng, ends), ends.opener
    a.init(opener)
    a.init(1 - opener)
    a.init(opener, _INIT_ACK)
    if rng.random() < 0.5:
        a.init(1 - opener, _INIT_ACK)
    a.cookie(1 - opener)
    a.talk()
    return "crossing", a.steps


def restart(rng, ends):
    """An end has forgotten the association and sets it up anew (RFC 9260 section 5.2)."""
    a = _Association(rng, ends)
    a.set_up(ends.opener)
    a.talk()
    a.fresh_tags()
    a.set_up(ends.opener)
    a.talk()
    return "restart", a.steps


def without_association(rng, ends):
    a = _Association(rng, ends)
    kind, body = rng.choice(((_DATA, a.data()), (_ABORT, b""), (_ECHO, _COOKIE), (_SHUTDOWN_ACK, b"")))
    a.say(ends.opener, kind, body, flags=3 if kind == _DATA else 0)
    return "without_association", a.steps


# Kind of conversation -> weight.
TALKS = {association: 2, crossing: 0.4, restart: 0.4, without_association: 0.2}
