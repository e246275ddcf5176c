"""SCTP associations (CASES G2): set-up, data, shutdown or abort, INITs that cross, restarts, wrong tags.

A packet's SCTP bytes are its payload here, CRC32c included: the oracle verifies it.
"""
import struct

from .steps import Step

SCTP = 132
_DATA, _INIT, _INIT_ACK, _HEARTBEAT, _ABORT, _SHUTDOWN, _SHUTDOWN_ACK, _ECHO, _ACK, _DONE = 0, 1, 2, 4, 6, 7, 8, 10, 11, 14


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
        self.tag = [self._new_tag(), self._new_tag()]

    def _new_tag(self):
        return self.rng.randrange(1, 1 << 32)

    def say(self, side, chunks, kind="other", tag=None, labels=()):
        tag = self.tag[side] if tag is None else tag
        head = struct.pack("!HHI", self.port[side], self.port[1 - side], tag)
        crc = struct.pack("<I", crc32c(head + bytes(4) + chunks))
        packet = self.ends.packet(side, SCTP, payload=head + crc + chunks)
        self.steps.append(Step(self.ends.number, side, packet, kind, side != self.ends.opener, labels))

    def init(self, side, kind=_INIT, **more):
        """Names what the other side's packets carry."""
        body = struct.pack("!IIHHI", self.tag[1 - side], 65536, 10, 10, 1)
        if kind == _INIT_ACK:
            body += struct.pack("!HH8s", 7, 12, b"crumbles")
        self.say(side, _chunk(kind, body), tag=0 if kind == _INIT else None, **more)

    def set_up(self, side):
        self.init(side)
        self.init(1 - side, _INIT_ACK)
        self.cookie(side)

    def cookie(self, side):
        more = self.data() if self.rng.random() < 0.3 else b""
        self.say(side, _chunk(_ECHO, b"crumbles") + more)
        self.say(1 - side, _chunk(_ACK))

    def data(self):
        body = struct.pack("!IHHI", self.rng.getrandbits(32), 1, 0, 0) + self.rng.randbytes(self.rng.choice((1, 16, 300)))
        return _chunk(_DATA, body, 3)

    def talk(self):
        for _round in range(self.rng.randrange(4)):
            side = self.rng.randrange(2)
            beat = self.rng.random() < 0.2
            self.say(side, _chunk(_HEARTBEAT, bytes((0, 1, 0, 8)) + bytes(4)) if beat else self.data())

    def wrong(self):
        """From a stranger who does not know the tag."""
        side, chunk = self.rng.randrange(2), self.rng.choice((self.data(), _chunk(_ABORT), _chunk(_SHUTDOWN, bytes(4))))
        self.say(side, chunk, tag=self.tag[side] ^ 1 << self.rng.randrange(32) or 1, labels=("sctp_tag",))

    def end(self):
        side, how = self.rng.randrange(2), self.rng.random()
        if how < 0.4:
            self.say(side, _chunk(_SHUTDOWN, bytes(4)))
            self.say(1 - side, _chunk(_SHUTDOWN_ACK))
            self.say(side, _chunk(_DONE))
        elif how < 0.7:
            self.say(side, _chunk(_ABORT), labels=("sctp_abort",))


def _usual(a, opener):
    a.set_up(opener)
    a.talk()
    if a.rng.random() < 0.3:
        a.wrong()
    a.talk()
    a.end()


def _crossing(a, opener):
    a.init(opener)
    a.init(1 - opener, labels=("sctp_crossed",))
    a.init(opener, _INIT_ACK)
    if a.rng.random() < 0.5:
        a.init(1 - opener, _INIT_ACK)
    a.cookie(1 - opener)
    a.talk()


def _restart(a, opener):
    a.set_up(opener)
    a.talk()
    a.tag = [a.rng.randrange(1, 1 << 32), a.rng.randrange(1, 1 << 32)]
    a.init(opener, labels=("sctp_restart",))
    a.init(1 - opener, _INIT_ACK)
    a.cookie(opener)
    a.talk()


def _without_association(a, opener):
    a.say(opener, a.rng.choice((a.data(), _chunk(_ABORT), _chunk(_ECHO, b"crumbles"), _chunk(_SHUTDOWN_ACK))))


def association(rng, ends):
    a = _Association(rng, ends)
    kinds = {_usual: 6, _crossing: 1, _restart: 1, _without_association: 1}
    rng.choices(list(kinds), list(kinds.values()))[0](a, ends.opener)
    return "sctp", a.steps
