"""A case for people to read, in the style of a capture, and as pcapng for their tools."""
import ipaddress

from rig import pcapng

from .frames import ICMP, ICMP6, TCP, UDP
from .judge import flag_text

_PORTS = ("outside", "inside")


def _address(raw):
    return str(ipaddress.ip_address(raw))


def _fields(packet, numbers):
    """`numbers`: address -> first sequence number seen from there; numbers are shown relative to it."""
    if packet.proto == TCP:
        seq = (packet.seq - numbers.setdefault(packet.src, packet.seq)) & 0xFFFFFFFF
        text = f"tcp {packet.sport} > {packet.dport} {flag_text(packet.flags):<3} seq {_signed(seq)}"
        text += f" len {len(packet.payload)}"
        if packet.flags & 16:
            base = numbers.setdefault(packet.dst, packet.ack - 1)
            text += f" ack {_signed((packet.ack - base) & 0xFFFFFFFF)}"
        return text + f" win {packet.window}"
    if packet.proto == UDP:
        return f"udp {packet.sport} > {packet.dport} len {len(packet.payload)}"
    if packet.proto in (ICMP, ICMP6):
        is_error = packet.type in (1, 2, 3, 4, 5, 11, 12) and len(packet.payload) > 8
        quote = f" quotes {packet.payload.hex()}" if is_error else ""
        name = "icmp" if packet.proto == ICMP else "icmp6"
        return f"{name} {packet.type}/{packet.code} {packet.rest.hex()} len {len(packet.payload)}{quote}"
    return f"proto {packet.proto} len {len(packet.payload)}"


def _signed(number):
    return number - (1 << 32) if number >> 31 else number


def lines(case, both, marked=None):
    """One line a step: where it came in, what it was, what was done to it, both verdicts; `>` at the marked place."""
    numbers = {}
    out = []
    for place, (step, (sluice, linux)) in enumerate(zip(case.steps, both)):
        p = step.packet
        mark = ">" if place == marked else " "
        odd = "".join(f" {name}={_short(value)}" for name, value in p.odd.items())
        cuts = f" fragments {[(a, b) for a, b, _more in p.cuts]}" if p.cuts else ""
        labels = f" [{', '.join(step.labels)}]" if step.labels else ""
        out.append(
            f"{mark} {place + 1:3} {_PORTS[step.port]:7} {_address(p.src)} > {_address(p.dst)} {_fields(p, numbers)}"
            f"{odd}{cuts}{labels}   sluice {sluice.text}, linux {linux.text}"
        )
    return out


def _short(value):
    return value.hex() if isinstance(value, bytes) else f"{len(value)} headers" if isinstance(value, list) else value


def write_pcapng(path, case, both):
    frames, owners = case.arrivals()
    records = []
    for number, ((port, frame), owner) in enumerate(zip(frames, owners)):
        sluice, linux = both[owner]
        labels = ", ".join(case.steps[owner].labels)
        comment = f"sluice {sluice.text}, linux {linux.text}  {labels}".rstrip()
        records.append(pcapng.Record(port, number, frame, comment))
    pcapng.write(path, _PORTS, records)
