"""The oracle: conntrack and nftables of the running kernel, as a router between two cables.

    [outside: c0] ---- [c1 | fw: oracle.nft, conntrack | s1] ---- [s0: inside]

Frames are injected at c0 and s0 without waiting for each. Order is kept all the same: this process stays on one CPU,
and veth hands a frame to that CPU's own backlog, one queue for all devices. Behind every `_WINDOW` frames goes a mark
in both directions; when it has come out, so has all that was to come out before it. A mark that does not come, or a
queue that ran over, is trouble of the rig, never a verdict.
"""
import os
import select
import socket
import struct
import time

from lab import network
from lab.names import Trouble
from lab.shell import in_ns, run

from rig.wire import Port

from .frames import INSIDE, OUTSIDE, Packet, build
from .outcome import Departures

_RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../oracle.nft")
_WINDOW = 200  # frames; the backlog holds 1,000 (net.core.netdev_max_backlog)
_BATCH_SECONDS_MAX = 8  # the shortest conntrack timeout is 10 s: time must not take part
_FRAGMENT_SECONDS = 3  # a train goes within one window
_MARK_IDENT = 65535
_MARK_PROTO = 253
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SO_RCVBUFFORCE = 33
_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.c1.rp_filter=0",
    "net.ipv4.conf.s1.rp_filter=0",
    "net.ipv4.conf.all.send_redirects=0",
    "net.netfilter.nf_conntrack_tcp_loose=0",
    "net.netfilter.nf_conntrack_tcp_be_liberal=0",
    "net.netfilter.nf_conntrack_checksum=1",
    f"net.ipv4.ipfrag_time={_FRAGMENT_SECONDS}",
    f"net.netfilter.nf_conntrack_frag6_timeout={_FRAGMENT_SECONDS}",
    # Timeouts as long as may be: a stalled machine must not look like a verdict.
    *(f"net.netfilter.nf_conntrack_tcp_timeout_{name}=600" for name in (
        "syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack", "time_wait", "close")),
    *(f"net.netfilter.nf_conntrack_sctp_timeout_{name}=600" for name in (
        "closed", "cookie_wait", "cookie_echoed", "established", "shutdown_sent", "shutdown_recd", "shutdown_ack_sent",
        "heartbeat_sent")),
    *(f"net.netfilter.nf_conntrack_{name}=600" for name in (
        "udp_timeout", "udp_timeout_stream", "icmp_timeout", "icmpv6_timeout", "gre_timeout", "generic_timeout")),
)  # fmt: skip
_MARK_HOSTS = (b"\x0a\x01\xff\xfe", b"\x0a\x02\xff\xfe")


def _backlog_drops():
    """Since the machine started, on all CPUs: the second column, in hexadecimal."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        return sum(int(line.split()[1], 16) for line in file)


class LinuxSide:
    def __init__(self, lab):
        self.lab = lab
        self.marks = 0
        self.backlog_drops = _backlog_drops()
        network.remove(lab)
        network.create_quiet(lab)
        self._make_router()
        self.ports = (Port("outside", lab.ns_outside, "c0"), Port("inside", lab.ns_inside, "s0"))
        for port in self.ports:
            port.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
            port.socket.setblocking(False)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.macs = self._mac("c1"), self._mac("s1")

    def _fw(self, *argv):
        return run(*in_ns(self.lab.ns_fw, *argv))

    def _mac(self, interface):
        return bytes.fromhex(self._fw("cat", f"/sys/class/net/{interface}/address").stdout.strip().replace(":", ""))

    def _make_router(self):
        """Addresses of its own for the next hops only; neighbours are fixed, so nobody ever asks for them."""
        cables = ((self.lab.ns_outside, "c0", "c1"), (self.lab.ns_inside, "s0", "s1"))
        for number, (host_ns, far, near) in enumerate(cables, 1):
            # A long chain of headers in front of a full segment is no frame too long: that would be no verdict.
            run("ip", "-n", host_ns, "link", "set", far, "mtu", "9000")
            self._fw("ip", "link", "set", near, "mtu", "9000")
            conf = f"net.ipv6.conf.{near}"
            for setting in ("accept_dad=0", "router_solicitations=0", "disable_ipv6=0"):
                self._fw("sysctl", "-qw", f"{conf}.{setting}")
            mac = run(*in_ns(host_ns, "cat", f"/sys/class/net/{far}/address")).stdout.strip()
            v4, v6 = 4 * number, f"2001:db8:ff0{number}::"
            self._next_hop("-4", near, f"192.0.2.{v4 + 1}/30", f"192.0.2.{v4 + 2}", mac, f"10.{number}.0.0/16")
            self._next_hop("-6", near, f"{v6}1/64", f"{v6}2", mac, f"2001:db8:{number}::/48")
        self._fw("nft", "-f", _RULES)
        self._fw("sysctl", "-qw", *_SYSCTLS)

    def _next_hop(self, family, interface, here, there, mac, hosts):
        self._fw("ip", family, "addr", "add", here, "dev", interface, *(["nodad"] if family == "-6" else []))
        self._fw("ip", family, "neigh", "replace", there, "lladdr", mac, "dev", interface, "nud", "permanent")
        self._fw("ip", family, "route", "add", hosts, "via", there, "dev", interface)

    def forget(self):
        """All connections."""
        self._fw("conntrack", "-F")

    def run(self, arrivals):
        """[(port, frame)] -> what left by each port. Conntrack starts empty."""
        for attempt in range(3):
            if attempt:
                time.sleep(_FRAGMENT_SECONDS + 1)  # until pieces of the last attempt are forgotten
            self.forget()
            start = time.monotonic()
            left = self._inject(arrivals)
            if time.monotonic() - start < _BATCH_SECONDS_MAX and not self._lost():
                return left
        raise Trouble("the oracle was too slow or lost frames, three times over", "a less busy machine")

    def _inject(self, arrivals):
        left = (Departures(), Departures())
        # The router wants its own MAC as destination; what it forwards has its MAC as source.
        for at in range(0, len(arrivals), _WINDOW):
            for port, frame in arrivals[at : at + _WINDOW]:
                self.ports[port].socket.send(self.macs[port] + frame[6:])
            self._settle(left)
        return left

    def _settle(self, left):
        self.marks += 1
        mark = struct.pack("!Q", self.marks)
        for port in (OUTSIDE, INSIDE):
            packet = Packet(_MARK_HOSTS[port], _MARK_HOSTS[1 - port], _MARK_PROTO, payload=mark)
            self.ports[port].socket.send(self.macs[port] + build(packet, port, _MARK_IDENT)[0][6:])
        for port in (OUTSIDE, INSIDE):
            self._take_until(self.ports[port].socket, self.macs[port], mark, left[port])

    def _take_until(self, sock, router_mac, mark, left):
        deadline = time.monotonic() + 5
        while True:
            try:
                frame = sock.recv(65536)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Trouble("a mark did not come through the oracle", "see oracle.nft and its routes") from None
                select.select([sock], [], [], 0.1)
                continue
            if frame[6:12] != router_mac:
                continue
            if frame[23] == _MARK_PROTO and frame[12:14] == b"\x08\x00" and frame[18:20] == b"\xff\xff":
                if frame[34:42] == mark:
                    return
                continue
            left.take(frame)

    def _lost(self):
        """Frames that a full socket or a full backlog has lost since the last call. The backlog is one for all that the
        machine does, so some of them may be others'; a case that is played again costs little. (Reading a socket's
        statistics clears them.)"""
        before, self.backlog_drops = self.backlog_drops, _backlog_drops()
        lost = self.backlog_drops - before
        for port in self.ports:
            _packets, drops = struct.unpack("II", port.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
            lost += drops
        return lost

    def close(self):
        for port in self.ports:
            port.close()
        network.remove(self.lab)
