"""The end-to-end lane: the same namespaces and cables twice, once with both Sluice processes on AF_XDP, once with the
kernel forwarding between them under nftables with conntrack. One sender, one receiver, in turns.

It shows that the whole thing carries traffic, and about how much on such links. The links and the two ends cost far
more than either firewall: its ratio says nothing about a firewall's speed, and `compare` does not judge it."""
import json
import os
import statistics
import subprocess

from lab import daemons, demo, network
from lab.api import Api
from lab.names import OUTSIDE, SHOP, Lab, Trouble
from lab.shell import in_ns, run

from . import runner
from .traffic import TCP_PORT, UDP_PORT

_TRAFFIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traffic.py")
_TARGETS = ("sluice-dataplane", "sluice-controlplane", "sluicectl")
_ROUTER = "198.51.100.254"

_POLICY = f"""sluice: 1
name: bench
default: {{action: deny}}
zones:
  outside: {{ports: [outside]}}
  inside: {{ports: [inside]}}
rules:
  - {{id: udp-in, from: outside, to: {SHOP[0]}, service: udp/{UDP_PORT}, action: allow}}
  - {{id: tcp-in, from: outside, to: {SHOP[0]}, service: tcp/{TCP_PORT}, action: allow}}
"""

_RULESET = f"""table ip bench {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname c1 ip daddr {SHOP[0]} udp dport {UDP_PORT} ct state new accept
    iifname c1 ip daddr {SHOP[0]} tcp dport {TCP_PORT} ct state new accept
  }}
}}
"""


class Sluice:
    """The lab as the demo builds it, with a policy for the two streams."""

    name = "sluice"

    def __init__(self, lab):
        self.lab = lab

    def start(self):
        demo.take_down(self.lab)
        demo.build_up(self.lab)
        api = Api(self.lab)
        demo.wait_connected(self.lab, api)
        path = f"{self.lab.run_dir}/bench.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(_POLICY)
        demo.apply_policy(self.lab, path)

    def stop(self):
        demo.take_down(self.lab)


class Kernel:
    """The middle namespace routes between the two hosts and answers ARP for both, since they think they are on one
    link; Linux has no connection tracking for a bridge everywhere."""

    name = "nftables+conntrack"

    def __init__(self, lab):
        self.lab = lab

    def start(self):
        network.remove(self.lab)
        network.create(self.lab)
        fw = self.lab.ns_fw
        run("ip", "-n", fw, "link", "set", "lo", "up")
        run(*in_ns(fw, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        for interface, address in (("c1", OUTSIDE[0]), ("s1", SHOP[0])):
            run("ip", "-n", fw, "link", "set", interface, "arp", "on")
            run("ip", "-n", fw, "addr", "add", f"{_ROUTER}/32", "dev", interface)
            run("ip", "-n", fw, "route", "add", f"{address}/32", "dev", interface, "src", _ROUTER)
            run(*in_ns(fw, "sysctl", "-qw", f"net.ipv4.conf.{interface}.proxy_arp=1", f"net.ipv4.conf.{interface}.rp_filter=0",
                       f"net.ipv4.neigh.{interface}.proxy_delay=0"))  # fmt: skip
        done = subprocess.run(in_ns(fw, "nft", "-f", "-"), input=_RULESET, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"nft: {done.stderr.strip()}", "a kernel with nftables and conntrack")

    def stop(self):
        network.remove(self.lab)


class Sink:
    def __init__(self, lab):
        self.process = subprocess.Popen(
            in_ns(lab.ns_inside, "/usr/bin/python3", "-I", _TRAFFIC, "sink", SHOP[0]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self.process.stdout.readline() != "ready\n":
            raise Trouble("the receiver did not start", "run traffic.py by hand")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def stream(lab, sink, kind, seconds):
    """What arrived of one stream."""
    done = run(*in_ns(lab.ns_outside, "/usr/bin/python3", "-I", _TRAFFIC, kind, SHOP[0], str(seconds)), timeout_s=seconds + 30)
    found = json.loads(sink.process.stdout.readline())
    if kind == "udp":
        found["sent"] = json.loads(done.stdout)["sent"]
    return found


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def result(kind, seconds, figures):
    """`figures`: by side, one figure for each run; Mpps of udp, Gbit/s of tcp."""
    ours, theirs = figures[Sluice.name], figures[Kernel.name]
    ratios = [a / b for a, b in zip(ours, theirs)]
    udp = kind == "udp"
    line = {
        "bench": "end-to-end",
        "variant": "udp-60B-one-flow" if udp else "tcp-bulk-one-flow",
        "params": {"seconds": seconds},
        "mpps": statistics.median(ours) if udp else None,
        "cycles": None,
        "peer": Kernel.name,
        "peer_mpps": statistics.median(theirs) if udp else None,
        "ratio": statistics.median(ratios),
        "runs": len(ours),
        "spread": spread(ours),
        "ratio_spread": spread(ratios),
        "lane": "correctness: the links and both ends are what is slow here",
    }
    if not udp:
        line.update({"gbit_s": statistics.median(ours), "peer_gbit_s": statistics.median(theirs)})
    return line


def figure(kind, found):
    if kind == "udp":
        return found["packets"] / found["seconds"] / 1e6
    return found["bytes"] * 8 / found["seconds"] / 1e9


def measure(options, output):
    if os.geteuid() != 0:
        raise Trouble("end-to-end needs root (namespaces, AF_XDP)", "sudo tools/bench end-to-end")
    if not options.no_build:
        runner.build(options.build, *_TARGETS)
    os.environ["BUILD"] = options.build
    sides = (Sluice(Lab(options.lab)), Kernel(Lab(options.lab + "k")))
    sinks = []
    output.describe({"cpu": daemons.worker_cpu()})
    try:
        for side in sides:
            side.start()
            sinks.append(Sink(side.lab))
        for kind in ("udp", "tcp"):
            figures = {side.name: [] for side in sides}
            for _ in range(options.runs):
                for side, sink in zip(sides, sinks):
                    figures[side.name].append(figure(kind, stream(side.lab, sink, kind, options.seconds)))
            output.take(result(kind, options.seconds, figures))
    finally:
        for sink in sinks:
            sink.stop()
        for side in sides:
            side.stop()
    return 0
