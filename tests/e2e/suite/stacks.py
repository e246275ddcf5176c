"""CASES T34: connections of real stacks over a line that loses, reorders and doubles; none fails because of us.

    far host --- relay.py --- firewall --- inside host

The line is worse than the firewall can see: what is lost on the far side of it has passed already, so it meets
retransmissions of what it has seen acknowledged, acknowledgements out of order, and ends that only one side has heard.
"""
import collections
import json
import os
import re
import signal
import subprocess
import time

from lab import network
from lab.names import SHOP
from lab.shell import in_ns, run

from .bench import HERE, seed_of_this_run

_FAR = ("198.51.100.60", "2001:db8:51::60")
_PORT = 7080
_COUNT, _COUNT_LONG = 3000, 100_000
_LOSS, _DOUBLED, _DELAYED = 0.01, 0.01, 0.05
POLICY = """
sluice: 1
name: stacks
default: {action: deny}
zones:
  internet: {ports: [outside]}
  servers: {ports: [inside]}
rules:
  - {id: in, from: internet, to: servers, service: tcp/7080, action: allow}
  - {id: out, from: servers, to: internet, service: tcp/7080, action: allow}
"""
# Every other reason must not have moved. The figure is the share of connections that may have such a packet.
EXPLAINED = {
    "tcp_closed": "what was on its way when a RST closed the flow (D3)",
    "tcp_no_flow": "what came again after the flow had ended, its RST or last ACK lost behind us",
    "policy_deny": "no connection's: MLDv2 reports of the hosts' interfaces, which no rule here allows",
    "tcp_bad_ack": "a straggler of the connection before that had the same ports, with that one's numbers",
    "tcp_bad_flags": "the SYN-ACK to a SYN that came doubled or late, when its connection was over: a listener begins anew",
    "tcp_bad_rst": "the RST to a segment that came doubled or late, when its sender had gone on",
}
_DROP = re.compile(r'drop\{port="\w+",reason="(\w+)"\}')


def drops(bench):
    """Dropped packets by reason, all ports."""
    sums = collections.Counter()
    for name, value in bench.counters().items():
        if found := _DROP.fullmatch(name):
            sums[found[1]] += value
    return sums


class BadLine:
    """The far host behind the relay, for as long as the `with` lasts."""

    def __init__(self, bench, seed):
        self.namespace = f"{bench.lab.prefix}-far"
        self.outside, self.inside = bench.lab.ns_outside, bench.lab.ns_inside
        self.report = f"{bench.lab.run_dir}/relay.json"
        self.seed = seed
        self.processes = []

    def start(self, namespace, program, *words):
        process = subprocess.Popen(
            in_ns(namespace, "/usr/bin/python3", "-I", os.path.join(HERE, program), *map(str, words)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def _take_down(self):
        # The cable by itself: with its namespace it would go a moment later, and the next line has one of that name.
        run(*in_ns(self.outside, "ip", "link", "del", "f1"), check=False)
        run("ip", "netns", "del", self.namespace, check=False)

    def __enter__(self):
        self._take_down()
        run("ip", "netns", "add", self.namespace)
        network.cable(self.namespace, "f0", self.outside, "f1")
        network.host(self.namespace, "f0", [_FAR])
        relay = self.start(self.outside, "relay.py", "f1", "c0", self.seed, _LOSS, _DOUBLED, _DELAYED, self.report)
        assert relay.stdout.readline() == "ready\n"
        # The far host has another MAC address than the last one had. A cookie answers whatever a SYN is sent to, and so
        # confirms the old one to the inside host, for as long as the server behind it is waited for.
        run(*in_ns(self.inside, "ip", "neigh", "flush", "all"))
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            process.stdout.close()
        self._take_down()


def talk(bench, line, count):
    """Half of the connections come from outside, half go there; returns what the two talkers say."""
    reports = []
    talkers = []
    ways = ((line.namespace, bench.lab.ns_inside, SHOP), (bench.lab.ns_inside, line.namespace, _FAR))
    for number, (client, server, addresses) in enumerate(ways):
        # Ports come again while the firewall, and sometimes the peer, still remembers them.
        run(*in_ns(client, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=20000 29999"))
        assert line.start(server, "conversations.py", "serve", _PORT).stdout.readline() == "ready\n"
        reports.append(f"{bench.lab.run_dir}/talk-{number}.json")
        words = ("talk", _PORT, count // 2, line.seed + number, reports[-1], *addresses)
        talkers.append(line.start(client, "conversations.py", *words))
    for talker in talkers:
        assert talker.wait(timeout=60 + count / 20) == 0
    found = []
    for path in reports:
        with open(path, encoding="utf-8") as file:
            found.append(json.load(file))
    return found


def t34_no_connection_fails_on_a_bad_line(bench):
    seed = seed_of_this_run()
    count = _COUNT_LONG if bench.long else _COUNT
    bench.put(POLICY)
    before = drops(bench)
    start = time.monotonic()
    try:
        with BadLine(bench, seed) as line:
            found = talk(bench, line, count)
        with open(line.report, encoding="utf-8") as file:
            relay = json.load(file)
    finally:
        bench.put(bench.policy)
    dropped = drops(bench) - before
    failures = [said for half in found for said in half["failures"]]
    print(f"figure SEED={seed}: {count} connections in {time.monotonic() - start:.0f} s, relay {relay}, drops {dict(dropped)}")
    assert relay["lost"] > count / 10 and relay["delayed"] > count / 10, "the line was not bad enough to show anything"
    assert not failures, f"SEED={seed}: {len(failures)} failed, drops {dict(dropped)}: " + " | ".join(failures[:5])
    unexplained = {reason: n for reason, n in dropped.items() if reason not in EXPLAINED}
    assert not unexplained, f"SEED={seed}: dropped for other reasons than {', '.join(EXPLAINED)}: {unexplained}"


TESTS = [t34_no_connection_fails_on_a_bad_line]
