"""One step of a conversation, and who takes part in it."""
import struct
from dataclasses import dataclass, replace

from .frames import ICMP, ICMP6, INSIDE, OUTSIDE, SCTP, TCP, UDP, Packet


# Labels that say something about a step's place, not about its packet. `left_out` names what is missing in front of it.
_PLACE_LABELS = ("left_out", "swapped", "overtaking", "doubled")


def is_of_place(label):
    return label.startswith(_PLACE_LABELS)


def gap(kind):
    """The label of the step behind one of `kind` that did not come by."""
    return f"left_out_{kind}"


@dataclass(slots=True)
class Step:
    """One packet on its way. `labels` names what mutations did to it; `clean` is the step with the packet that the
    conversation meant, None if that is this one, or if the conversation would not have the step at all."""

    talk: int
    port: int  # where it arrives
    packet: Packet
    kind: str  # syn, syn_ack, ack, data, fin, rst, udp, request, answer, icmp_error, other; of SCTP the chunk's name
    reply: bool = False  # from who did not begin
    labels: tuple = ()
    clean: "Step" = None

    def mutated(self, label, packet=None, **changes):
        """With another packet, or another port."""
        clean = self.clean or (self if all(map(is_of_place, self.labels)) else None)
        return replace(self, labels=(*self.labels, label), clean=clean, packet=packet or self.packet, **changes)

    def placed(self, label):
        """The same packet at another place in its conversation."""
        if label in self.labels:
            return self
        return replace(self, labels=(*self.labels, label), clean=self.clean and self.clean.placed(label))


@dataclass(frozen=True, slots=True)
class Ends:
    """Addresses by port (OUTSIDE, INSIDE). No two conversations of a batch share one, so that none meets another."""

    number: int
    family: int
    opener: int  # the port of who begins

    def address(self, port, host=0):
        """`host` above 0: another host on the same side, of this conversation too."""
        low = self.number + 0x2000 * host
        if self.family == 4:
            return bytes((10, 1 + port)) + struct.pack("!H", low)
        return _V6_NETS[port] + bytes(8) + struct.pack("!H", low)

    def packet(self, port, proto, **fields):
        """From the host at `port` to the one opposite."""
        return Packet(self.address(port), self.address(1 - port), proto, **fields)

    def icmp(self):
        return ICMP if self.family == 4 else ICMP6


_V6_NETS = (bytes.fromhex("20010db80001"), bytes.fromhex("20010db80002"))


def other(port):
    return INSIDE if port == OUTSIDE else OUTSIDE


def proto_name(packet):
    return {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp6", SCTP: "sctp"}.get(packet.proto, "other")
