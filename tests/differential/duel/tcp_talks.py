"""TCP conversations as two stacks would have them, in many styles. Nothing is wrong here; mutations come later."""
import struct

from .frames import ACK, FIN, INSIDE, PSH, RST, SYN, TCP
from .steps import Step

_MAX = 0xFFFFFFFF


class Tcp:
    """Writes down segments while it keeps both sides' numbers. Sides are ports; the opener sends the first SYN."""

    def __init__(self, rng, ends):
        self.rng, self.ends, self.steps = rng, ends, []
        opener = ends.opener
        self.ports = [0, 0]
        self.ports[opener] = rng.randrange(1025, 65536)
        inward = opener != INSIDE
        self.ports[1 - opener] = rng.choice((443, 8000, 8047, 8100)) if inward else rng.choice((80, 443, 22, 5432))
        self.window, self.scale = [0, 0], [None, None]
        self.fresh_numbers()

    def fresh_numbers(self):
        rng = self.rng
        # Near the wrap now and then (CASES T23).
        self.next = [rng.choice((rng.getrandbits(32), _MAX - rng.randrange(3000))) for _side in (0, 1)]
        self.isn = list(self.next)
        scaled = rng.random() < 0.5
        for side in (0, 1):
            self.scale[side] = rng.randrange(0, 9) if scaled else None
            self.window[side] = rng.choice((4096, 16384, 64240, 65535))

    @property
    def client(self):
        return self.ends.opener

    @property
    def server(self):
        return 1 - self.ends.opener

    def window_bytes(self, side):
        """What `side` grants its peer outside of SYNs."""
        return self.window[side] << (self.scale[side] or 0)

    def segment(self, side, flags, kind, payload=b"", *, seq=None, ack=None, moves=True, options=b"", window=None):
        number = self.next[side] if seq is None else seq
        known = self.next[1 - side] if ack is None else ack
        packet = self.ends.packet(
            side, TCP, sport=self.ports[side], dport=self.ports[1 - side], seq=number & _MAX,
            ack=known & _MAX if flags & ACK else 0, flags=flags, payload=payload, options=options,
            window=self.window[side] if window is None else window,
        )  # fmt: skip
        if moves:
            length = len(payload) + bool(flags & SYN) + bool(flags & FIN)
            self.next[side] = (number + length) & _MAX
        self.steps.append(Step(self.ends.number, side, packet, kind, side != self.client))
        return self

    def syn_options(self, side):
        options = b"\x02\x04\x05\xb4"
        if self.scale[side] is not None:
            options += b"\x01\x03\x03" + bytes((self.scale[side],))
        if self.rng.random() < 0.5:
            options += b"\x04\x02\x08\x0a" + struct.pack("!II", self.rng.getrandbits(32), 0)
        return options

    # ------------------------------------------------------------------------------------------------------- segments
    def syn(self, side=None, **more):
        side = self.client if side is None else side
        return self.segment(side, SYN, "syn", options=self.syn_options(side), **more)

    def syn_ack(self, side=None, **more):
        side = self.server if side is None else side
        return self.segment(side, SYN | ACK, "syn_ack", options=self.syn_options(side), **more)

    def ack(self, side, **more):
        return self.segment(side, ACK, "ack", **more)

    def data(self, side, length=None, **more):
        length = self.rng.choice((1, 7, 100, 536, 1200)) if length is None else length
        return self.segment(side, ACK | self.rng.choice((0, PSH)), "data", self.rng.randbytes(length), **more)

    def fin(self, side, **more):
        return self.segment(side, FIN | ACK, "fin", **more)

    def rst(self, side, **more):
        return self.segment(side, RST | self.rng.choice((0, ACK)), "rst", **more)

    # ------------------------------------------------------------------------------------------------------- pieces
    def handshake(self):
        return self.syn().syn_ack().ack(self.client)

    def exchange(self, rounds=None):
        for _round in range(self.rng.randrange(1, 5) if rounds is None else rounds):
            side = self.rng.choice((self.client, self.server))
            for _segment in range(self.rng.randrange(1, 4)):
                self.data(side)
            self.ack(1 - side)
        return self

    def close(self, side=None):
        side = self.rng.choice((self.client, self.server)) if side is None else side
        self.fin(side)
        if self.rng.random() < 0.5:
            return self.fin(1 - side).ack(side)
        self.ack(1 - side)
        if self.rng.random() < 0.5:
            self.data(1 - side).ack(side)  # half close (CASES T26)
        return self.fin(1 - side).ack(side)


def _plain(t):
    return t.handshake().exchange().close()


def _reset(t):
    return t.handshake().exchange().rst(t.rng.choice((0, 1)))


def _reset_with_data_after(t):
    side = t.rng.choice((0, 1))
    return t.handshake().exchange(1).rst(side).data(1 - side).ack(side)


def _refused(t):
    return t.syn().segment(t.server, RST | ACK, "rst", seq=0, moves=False)


def _refused_then_open(t):
    _refused(t)
    t.fresh_numbers()
    return _plain(t)


def _impatient(t):
    """Gives up before anybody has answered; in a burst both segments are there at once."""
    return t.syn().segment(t.client, RST, "rst", moves=False)


def _again_and_again(t):
    """Every packet of the handshake is lost behind us once and sent again."""
    t.syn().syn(seq=t.isn[t.client]).syn_ack().syn(seq=t.isn[t.client]).syn_ack(seq=t.isn[t.server])
    return t.ack(t.client).syn_ack(seq=t.isn[t.server]).ack(t.client).exchange().close()


def _retransmission(t):
    t.handshake()
    side = t.rng.choice((0, 1))
    before = t.next[side]
    t.data(side, 500).ack(1 - side).data(side, 500)
    return t.segment(side, ACK | PSH, "data", bytes(500), seq=before, moves=False).ack(1 - side).exchange(1).close()


def _simultaneous_open(t):
    """CASES T24: SYNs cross; both sides answer with SYN-ACK."""
    c, s = t.client, t.server
    t.syn(c).syn(s)
    first, second = t.rng.sample((c, s), 2)
    t.syn_ack(first, seq=t.isn[first], moves=False).syn_ack(second, seq=t.isn[second], moves=False)
    return t.exchange().close()


def _simultaneous_close(t):
    c, s = t.client, t.server
    t.handshake().exchange(1)
    at = t.next[s]
    t.fin(c).fin(s, ack=t.next[c] - 1)
    return t.ack(c, ack=at + 1).ack(s)


def _fast_open(t):
    """CASES T28: data in the SYN; the server acknowledges it, or the SYN alone."""
    t.segment(t.client, SYN, "syn", t.rng.randbytes(100), options=t.syn_options(t.client))
    if t.rng.random() < 0.5:
        return t.syn_ack().ack(t.client).exchange().close()
    t.next[t.client] = t.isn[t.client] + 1
    return t.syn_ack().data(t.client, 100).exchange().close()


def _keep_alive(t):
    t.handshake().exchange(1)
    for _probe in range(t.rng.randrange(1, 4)):
        side = t.rng.choice((0, 1))
        t.segment(side, ACK, "ack", t.rng.choice((b"", b"k")), seq=t.next[side] - 1, moves=False).ack(1 - side)
    return t.close()


def _zero_window(t):
    t.handshake().exchange(1).ack(t.server, window=0)
    t.data(t.client, 1, moves=False).ack(t.server, window=0).ack(t.server)
    return t.exchange(1).close()


def _reuse_after_close(t):
    """CASES T27: the same ports again in TIME_WAIT, with a higher number."""
    t.handshake().exchange(1).close(t.client)
    last = t.next[t.client]
    t.fresh_numbers()
    t.next[t.client] = t.isn[t.client] = (last + t.rng.randrange(1, 1 << 20)) & _MAX
    return _plain(t)


def _reuse_after_reset(t):
    t.handshake().exchange(1).rst(t.rng.choice((0, 1)))
    t.fresh_numbers()
    return _plain(t)


def _reborn_client(t):
    """CASES T9: the client has forgotten the connection and opens it anew; the server's challenge ACK settles it."""
    t.handshake().exchange(1)
    server_next, old = t.next[t.server], t.next[t.client]
    t.fresh_numbers()
    t.syn()
    t.segment(t.server, ACK, "ack", seq=server_next, ack=old, moves=False)
    t.segment(t.client, RST, "rst", seq=old, moves=False)
    t.next[t.client] = t.isn[t.client]
    return _plain(t)


def _both_reborn(t):
    """Both ends have forgotten the connection, we have not: the server agrees to the new SYN at once (CASES D2)."""
    t.handshake().exchange(1)
    t.fresh_numbers()
    return _plain(t)


def _old_ack_to_syn(t):
    """CASES T8: the server still has a connection of old, says so, is reset, and the SYN is sent again."""
    t.syn()
    old = t.rng.getrandbits(32)
    t.segment(t.server, ACK, "ack", seq=t.rng.getrandbits(32), ack=old, moves=False)
    t.segment(t.client, RST, "rst", seq=old, moves=False)
    t.next[t.client] = t.isn[t.client]
    return _plain(t)


def _split_handshake(t):
    """CASES D12: the server acknowledges and sends its own SYN apart."""
    t.syn()
    if t.rng.random() < 0.5:
        t.segment(t.server, ACK, "ack", moves=False)
    t.syn(t.server).syn_ack(t.client, seq=t.isn[t.client], moves=False).ack(t.server)
    return t.exchange().close()


def _denied(t):
    t.ports[t.server] = t.rng.choice((22, 23, 25, 8101))
    return t.handshake().exchange(1)


def _mid_stream(t):
    """CASES T4: the handshake was before our time."""
    return t.exchange(1).close() if t.rng.random() < 0.5 else t.syn_ack().ack(t.client)


# Style -> weight.
STYLES = {
    _plain: 12, _reset: 4, _reset_with_data_after: 1, _refused: 2, _refused_then_open: 1, _impatient: 1,
    _again_and_again: 2, _retransmission: 3, _simultaneous_open: 2, _simultaneous_close: 2, _fast_open: 2,
    _keep_alive: 2, _zero_window: 1,
    _reuse_after_close: 2, _reuse_after_reset: 2, _reborn_client: 1, _both_reborn: 1, _old_ack_to_syn: 1,
    _split_handshake: 1, _denied: 2, _mid_stream: 1,
}  # fmt: skip
_CHOICES, _WEIGHTS = list(STYLES), list(STYLES.values())


def talk(rng, ends):
    """(style, Tcp)."""
    style = rng.choices(_CHOICES, _WEIGHTS)[0]
    return style.__name__.lstrip("_"), style(Tcp(rng, ends))
