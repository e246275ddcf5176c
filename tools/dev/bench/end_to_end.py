"""The end-to-end lane: the same namespaces and cables twice, once with both Sluice processes on AF_XDP, once with the
kernel forwarding between them under nftables with conntrack. One sender, one receiver (ends.py), in turns.

It shows that the whole thing carries traffic, and about how much on such links. The links and the two ends cost far
more than either firewall: its ratio says nothing about a firewall's speed, and `compare` does not judge it."""
import os
import statistics
import subprocess

from lab import daemons, demo, network
from lab.api import Api
from lab.names import OUTSIDE, SHOP, Lab, Trouble
from lab.shell import in_ns, run

from . import runner
from .ends import PORTS, Ends

_TARGETS = ("sluice-dataplane", "sluice-controlplane", "sluicectl")
_ROUTER = "198.51.100.254"
# By the method of Ends: the variant's name, and the figure's field.
_KINDS = {
    "udp": ("udp-60B-one-flow", "mpps"),
    "tcp": ("tcp-bulk-one-flow", "gbit_s"),
    "http": ("http-32-connections", "requests_s"),
    "http_new": ("http-connection-each", "requests_s"),
}

_POLICY = f"""sluice: 1
name: bench
default: {{action: deny}}
zones:
  outside: {{ports: [outside]}}
  inside: {{ports: [inside]}}
rules:
  - {{id: in, from: outside, to: {SHOP[0]}, service: [{", ".join(f"{p}/{n}" for p, ports in PORTS.items() for n in ports)}], action: allow}}
"""

_RULESET = f"""table ip bench {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname c1 ip daddr {SHOP[0]} udp dport {{ {", ".join(map(str, PORTS["udp"]))} }} ct state new accept
    iifname c1 ip daddr {SHOP[0]} tcp dport {{ {", ".join(map(str, PORTS["tcp"]))} }} ct state new accept
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


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def result(kind, seconds, figures):
    """`figures`: by side, one figure for each run."""
    variant, field = _KINDS[kind]
    ours, theirs = figures[Sluice.name], figures[Kernel.name]
    ratios = [a / b for a, b in zip(ours, theirs)]
    line = {
        "bench": "end-to-end",
        "variant": variant,
        "params": {"seconds": seconds},
        "mpps": None,
        "cycles": None,
        "peer": Kernel.name,
        "peer_mpps": None,
        "ratio": statistics.median(ratios),
        "runs": len(ours),
        "spread": spread(ours),
        "ratio_spread": spread(ratios),
        "lane": "correctness: the links and both ends are what is slow here",
    }
    line.update({field: statistics.median(ours), f"peer_{field}": statistics.median(theirs)})
    return line


def measure(options, output):
    if os.geteuid() != 0:
        raise Trouble("end-to-end needs root (namespaces, AF_XDP)", "sudo tools/bench end-to-end")
    if not options.no_build:
        runner.build(options.build, *_TARGETS)
    os.environ["BUILD"] = options.build
    sides = (Sluice(Lab(options.lab)), Kernel(Lab(options.lab + "k")))
    ends = []
    output.describe({"cpu": daemons.worker_cpu()})
    try:
        for side in sides:
            side.start()
            ends.append(Ends(side.lab))
        for kind in _KINDS:
            figures = {side.name: [] for side in sides}
            for _ in range(options.runs):
                for side, end in zip(sides, ends):
                    figures[side.name].append(getattr(end, kind)(options.seconds))
            output.take(result(kind, options.seconds, figures))
    finally:
        for end in ends:
            end.stop()
        for side in sides:
            side.stop()
    return 0
