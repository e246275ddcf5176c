"""OVS-DPDK's connection tracking as a peer: established TCP flows, on the CPU that ours run on, in turns with ours.

Its frames come from a pcap that DPDK's pcap device plays for ever from memory, ours from the bench's source in memory;
both pay for their own. Theirs never change: it is told of a connection in mid-stream, and checks windows, but no number
moves. Who does not measure stands still (SIGSTOP). Both figures are by the CPU time of the thread that forwards."""
import contextlib
import glob
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

from lab.names import Trouble
from lab.shell import alive, run, until

from . import runner

_DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_CURE = "tools/dev/install, and run this as root"
_FLOWS_MAX = 100_000  # OVS has 262,144 buffers at most, and the pcap device keeps all frames in them
_WINDOW_S = 2.0
_RULES = """table=0,priority=1,ip,actions=ct(table=1)
table=1,priority=10,ct_state=+trk+est,ip,actions=in_port
table=1,priority=9,ct_state=+trk+new,tcp,tp_dst=443,actions=ct(commit),in_port
table=1,priority=0,actions=drop
"""


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _frame(src, dst, sport, dport):
    """60 bytes without the frame check sequence: an ACK as in mid-stream."""
    tcp = struct.pack("!HHIIBBHHH", sport, dport, 1000, 1000, 5 << 4, 0x10, 65000, 0, 0)
    pseudo = src + dst + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, socket.IPPROTO_TCP, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    return (bytes.fromhex("0200000000020200000000010800") + ip + tcp).ljust(60, b"\0")


def write_pcap(path, flows, seed):
    """Both directions of each flow, in an order without locality."""
    frames = []
    for n in range(flows):
        client, server = struct.pack("!I", 10 << 24 | n), struct.pack("!I", 0xC6120000 | (n * 0x9E3779B1 & 0xFFFFFFFF) >> 16)
        sport = 20_000 + n % 40_000
        frames += [_frame(client, server, sport, 443), _frame(server, client, 443, sport)]
    random.Random(seed).shuffle(frames)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


class Ovs:
    """Both daemons in a folder of their own, as long as the `with` lasts; nothing of the system's own is touched."""

    def __init__(self, cpu, flows, seed):
        self.cpu, self.flows, self.seed = cpu, flows, seed
        self.daemons = []

    def __enter__(self):
        if not os.path.exists(_DAEMON):
            raise Trouble("openvswitch-switch-dpdk is not installed", _CURE)
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ovs"))
            stack.callback(self._end)
            self._start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _daemon(self, *argv):
        environment = {**os.environ, "OVS_RUNDIR": self.folder, "OVS_DBDIR": self.folder, "OVS_LOGDIR": self.folder}
        with open(f"{self.folder}/log", "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True, preexec_fn=runner.raise_priority)  # fmt: skip
        self.daemons.append(process)
        return process

    def _vsctl(self, *words):
        run("ovs-vsctl", f"--db=unix:{self.folder}/db", *words, timeout_s=60)

    def _appctl(self, *words):
        return run("ovs-appctl", "-t", f"{self.folder}/ctl", *words).stdout

    def _start(self):
        write_pcap(f"{self.folder}/frames", self.flows, self.seed)
        run("ovsdb-tool", "create", f"{self.folder}/conf", _SCHEMA)
        self._daemon("ovsdb-server", f"{self.folder}/conf", f"--remote=punix:{self.folder}/db", f"--unixctl={self.folder}/db.ctl")
        until(lambda: os.path.exists(f"{self.folder}/db"), "OVS's database", 10.0)
        others = [cpu for cpu in os.sched_getaffinity(0) if cpu != self.cpu] or [self.cpu]
        mib = 256 if self.flows <= 10_000 else 1024
        runner.reserve_huge_pages(mib)
        settings = {
            "dpdk-init": "true", "dpdk-socket-mem": mib, "pmd-cpu-mask": f"{1 << self.cpu:x}", "dpdk-lcore-mask": f"{1 << others[0]:x}",
            "dpdk-extra": f'"--no-pci --no-telemetry --in-memory --file-prefix={os.path.basename(self.folder)}"',
        }  # fmt: skip
        self._vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", *(f"other_config:{key}={value}" for key, value in settings.items()))
        self.switch = self._daemon(_DAEMON, f"unix:{self.folder}/db", f"--unixctl={self.folder}/ctl")
        device = f"net_pcap0,rx_pcap={self.folder}/frames,infinite_rx=1"
        self._vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=secure")
        with open(f"{self.folder}/rules", "w", encoding="utf-8") as file:
            file.write(_RULES)
        run("ovs-ofctl", "add-flows", f"unix:{self.folder}/br0.mgmt", f"{self.folder}/rules")
        self._vsctl("add-port", "br0", "p0", "--", "set", "Interface", "p0", "type=dpdk", f"options:dpdk-devargs={device}")
        until(lambda: self.connections() == self.flows, f"{self.flows} connections in OVS", 30.0)

    def _end(self):
        for process in reversed(self.daemons):
            if alive(process.pid):
                process.send_signal(signal.SIGCONT)
                process.terminate()
            process.wait(timeout=20)

    def connections(self):
        found = re.search(r"Total: (\d+)", self._appctl("dpctl/ct-stats-show"))
        return int(found[1]) if found else 0

    def rest(self):
        self.switch.send_signal(signal.SIGSTOP)

    def _thread_cpu_s(self):
        for path in glob.glob(f"/proc/{self.switch.pid}/task/*/stat"):
            with open(path, encoding="utf-8") as file:
                name, _, rest = file.read().rpartition(")")
            if "(pmd-" in name:
                user, system = rest.split()[11:13]
                return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        raise Trouble("OVS has no thread that forwards", f"the log in {self.folder}")

    def _packets(self):
        return int(re.search(r"packets received: (\d+)", self._appctl("dpif-netdev/pmd-stats-show"))[1])

    def window(self, seconds):
        """Millions of packets a second, by its thread's CPU time."""
        self.switch.send_signal(signal.SIGCONT)
        time.sleep(seconds / 4)  # caches, and what has waited
        packets, cpu_s = self._packets(), self._thread_cpu_s()
        time.sleep(seconds)
        packets, cpu_s = self._packets() - packets, self._thread_cpu_s() - cpu_s
        self.rest()
        return packets / cpu_s / 1e6


def _spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def measure(options, output, given):
    if os.geteuid() != 0:
        raise Trouble("ovs needs root (huge pages)", "sudo tools/bench ovs")
    if given["flows"] > _FLOWS_MAX:
        raise Trouble(f"OVS's buffers hold the frames of {_FLOWS_MAX:,} flows at most", "a smaller --flows")
    if not options.no_build:
        runner.build(options.build, "tests/bench/sluice_bench")
    ours, theirs, lines = [], [], []
    mib = runner.memory_mib("established", given["rules"], given["flows"])
    runner.reserve_huge_pages(mib)

    def take(line):
        if "process" in line:
            if not output.described:
                output.describe(line["process"])
        else:
            lines.append(line)

    def our_turn():
        if runner.run(options.build, "established", {**given, "runs": 1, "memory-mib": mib}, take) != 0:
            raise Trouble("established gave no result", "tools/bench established")
        ours.append(lines[-1]["mpps"])

    with Ovs(given["cpu"], given["flows"], given["seed"]) as ovs:
        ovs.rest()
        for turn in range(options.runs):
            pieces = [our_turn, lambda: theirs.append(ovs.window(_WINDOW_S))]
            for piece in pieces if turn % 2 == 0 else reversed(pieces):
                piece()
        ovs.switch.send_signal(signal.SIGCONT)
        if ovs.connections() != given["flows"]:
            raise Trouble(f"OVS has {ovs.connections()} connections in the end", "another --flows")
    ratios = [a / b for a, b in zip(ours, theirs)]
    output.take({
        "bench": "ovs", "variant": "established", "params": {"flows": given["flows"], "rules": given["rules"]},
        "mpps": statistics.median(ours), "cycles": statistics.median(line["cycles"] for line in lines),
        "peer": "OVS-DPDK ct()", "peer_mpps": statistics.median(theirs), "ratio": statistics.median(ratios),
        "runs": len(ours), "spread": _spread(ours), "ratio_spread": _spread(ratios),
        "peer_connections": given["flows"],
    })  # fmt: skip
    return 0
