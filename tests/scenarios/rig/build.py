"""What a scenario's make.py says in a few words becomes policy.yaml, send.pcapng, expect.pcapng and expect.counters.

Each scenario has its own addresses, made from its number, so that no flow of one can be a hit in another: the rig keeps
one dataplane running for all of them.
"""
import collections
import os
import re
import textwrap

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from . import compare, pcapng

PORTS = ("outside", "inside")
GRE_PROTO = 47
MACS = {"outside": "02:00:00:00:00:07", "inside": "02:00:00:00:00:80"}


def other(port):
    return PORTS[1 - PORTS.index(port)]


class Scenario:
    def __init__(self, make_file, policy):
        self.folder = os.path.dirname(os.path.abspath(make_file))
        self.number = int(re.match(r"(\d+)-", os.path.basename(self.folder))[1])
        high, low = divmod(self.number, 250)
        self.v4 = {"outside": f"10.{10 + high}.{low}.7", "inside": f"10.{20 + high}.{low}.80"}
        self.v6 = {"outside": f"2001:db8:1:{self.number}::7", "inside": f"2001:db8:2:{self.number}::80"}
        self.nets = {
            "outside": f"[10.{10 + high}.{low}.0/24, '2001:db8:1:{self.number}::/64']",
            "inside": f"[10.{20 + high}.{low}.0/24, '2001:db8:2:{self.number}::/64']",
        }
        self.sport = 20000 + 40 * self.number
        self.policy = textwrap.dedent(policy).strip().format(
            name=f"scenario-{self.number}", outside_nets=self.nets["outside"], inside_nets=self.nets["inside"]
        )
        self.sent, self.expected = [], []
        self.held = collections.defaultdict(list)  # fragments, by port
        self.counters = collections.Counter()

    # --------------------------------------------------------------------------------------------------------- headers
    def ether(self, port, **fields):
        return Ether(**{"src": MACS[port], "dst": MACS[other(port)], **fields})

    def ip(self, port, family=4, **fields):
        """Headers of a packet that `port`'s host sends to the other one."""
        addresses = self.v4 if family == 4 else self.v6
        layer = IP if family == 4 else IPv6
        return self.ether(port) / layer(**{"src": addresses[port], "dst": addresses[other(port)], **fields})

    # ----------------------------------------------------------------------------------------------------------- steps
    def send(self, port, frame, what, *, drop=None, answer=None, rule=None, flows=None):
        """One packet. Without `drop` it must come out at the other port, to the byte. `rule`: who decided."""
        frame = bytes(frame)
        step = self._arrive(port, frame, what)
        if drop:
            self._count("drop", 1, port=port, reason=drop)
        else:
            self._leave(port, other(port), step, frame, what)
        self._answer(port, step, answer, what)
        if rule:
            self.count_rule(rule)
        if flows:
            self._count("flows_created", flows)

    def hold(self, port, fragment, what):
        """A fragment whose datagram is not whole yet. End with none held: their time runs out in another's scenario."""
        fragment = bytes(fragment)
        self._arrive(port, fragment, what)
        self.held[port].append(fragment)

    def consume(self, port, fragment, what):
        """A byte-exact copy of a held fragment."""
        self._arrive(port, bytes(fragment), what)
        self._count("consumed", 1, port=port)
        self._count("frag_duplicates", 1)

    def end_held(self, port, fragment, what, *, drop=None, whole=None, answer=None, rule=None, flows=None):
        """A fragment that decides about all that are held: they leave, in order of arrival, or are dropped together.
        `whole`: the datagram was judged; by default if it is not dropped."""
        fragment = bytes(fragment)
        step = self._arrive(port, fragment, what)
        for frame in [*self.held.pop(port, []), fragment]:
            if drop:
                self._count("drop", 1, port=port, reason=drop)
            else:
                self._leave(port, other(port), step, frame, what)
        if not drop if whole is None else whole:
            self._count("frag_reassembled", 1)
        self._answer(port, step, answer, what)
        if rule:
            self.count_rule(rule)
        if flows:
            self._count("flows_created", flows)

    def count(self, name):
        """Something that a worker counts besides the packet's way."""
        self._count(name, 1)

    def count_rule(self, rule):
        self._count("rule_hits", 1, rule=rule)

    def _arrive(self, port, frame, what):
        step = len(self.sent)
        self.sent.append(pcapng.Record(PORTS.index(port), step, frame, what))
        self._count("rx_packets", 1, port=port)
        self._count("rx_bytes", len(frame), port=port)
        return step

    def _answer(self, port, step, answer, what):
        if answer is None:
            return
        self._count("originated", 1, port=port)
        # Ethernet carries at least 60 bytes without its FCS (IEEE 802.3 clause 3.2.8).
        self._leave(port, port, step, bytes(answer).ljust(60, b"\0"), f"{compare.ORIGINATED}: {what}")

    def _leave(self, arrival, departure, step, frame, comment):
        self.expected.append(pcapng.Record(PORTS.index(departure), step, frame, comment))
        self._count("forwarded", 1, port=arrival)
        self._count("tx_packets", 1, port=departure)
        self._count("tx_bytes", len(frame), port=departure)

    def _count(self, name, by, **labels):
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        self.counters[f"{name}{{{inside}}}" if inside else name] += by

    # --------------------------------------------------------------------------------------- the firewall's own answers
    @staticmethod
    def reset_for(frame):
        """RFC 9293 3.10.7.1 for a segment without ACK: sequence 0, acknowledges all of the segment."""
        frame = Ether(bytes(frame))
        tcp = frame[TCP]
        length = len(tcp.payload) + ("S" in tcp.flags) + ("F" in tcp.flags)
        if "A" in tcp.flags:
            numbers = {"seq": tcp.ack, "ack": 0, "flags": "R"}
        else:
            numbers = {"seq": 0, "ack": (tcp.seq + length) & 0xFFFFFFFF, "flags": "RA"}
        return _back(frame) / TCP(sport=tcp.dport, dport=tcp.sport, window=0, **numbers)

    @staticmethod
    def unreachable_for(frame):
        """Administratively prohibited: ICMP 3/13 with at most 576 bytes in all (RFC 1812), ICMPv6 1/1 with 1280."""
        frame = Ether(bytes(frame))
        if IP in frame:
            return _back(frame) / ICMP(type=3, code=13) / Raw(bytes(frame[IP])[: 576 - 28])
        return _back(frame) / ICMPv6DestUnreach(code=1) / Raw(bytes(frame[IPv6])[: 1280 - 48])

    # ---------------------------------------------------------------------------------------------------------- writing
    def write(self, folder=None):
        folder = folder or os.environ.get("SCENARIO_OUT") or self.folder
        with open(os.path.join(folder, "policy.yaml"), "w", encoding="utf-8") as file:
            file.write(self.policy + "\n")
        pcapng.write(os.path.join(folder, "send.pcapng"), PORTS, self.sent)
        pcapng.write(os.path.join(folder, "expect.pcapng"), PORTS, self.expected)
        with open(os.path.join(folder, "expect.counters"), "w", encoding="utf-8") as file:
            for name in sorted(self.counters):
                file.write(f"{name} {self.counters[name]}\n")


def _back(frame):
    """The headers of an answer in wire mode: addresses of both layers swapped."""
    ether = Ether(src=frame[Ether].dst, dst=frame[Ether].src)
    if IP in frame:
        return ether / IP(src=frame[IP].dst, dst=frame[IP].src)
    return ether / IPv6(src=frame[IPv6].dst, dst=frame[IPv6].src)


__all__ = [
    "GRE_PROTO", "ICMP", "IP", "TCP", "UDP", "Ether", "ICMPv6EchoReply", "ICMPv6EchoRequest", "IPv6", "Raw",
    "Scenario", "other",
]  # fmt: skip
