"""Several workers on devices that can't place flows (one queue each): what one receives and another owns is handed over.
Connections outlive any change of their number."""
import os

from lab import daemons
from lab.names import SHOP
from lab.shell import in_ns, run, until

from . import fragments, pressure
from .bench import Skipped
from .standing import Standing

_HELD = 60

# Says what the far end has told about a closed port: "refused" came as an ICMP error.
_CLOSED_PORT = """
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(3)
sock.connect((sys.argv[1], int(sys.argv[2])))
sock.send(b"x")
try:
    sock.recv(10)
except ConnectionRefusedError:
    print("refused")
"""


def cpus(count):
    """`count` lcores; None where the machine has fewer CPUs."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-count:] if len(usable) >= count else None


def restart(bench, workers):
    """Kills the dataplane, so that the next one has that many workers and the flows."""
    before = bench.reconfigure(workers=cpus(workers))["workers"]
    pid, _ = bench.kill("dataplane")
    daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
    bench.wait_in_sync()
    bench.wait_forwarding()
    return before


def _lines(text, name):
    """Metrics of one name: {labels: value}."""
    found = {}
    for line in text.splitlines():
        if line.startswith(name + "{"):
            labels, _, value = line[len(name) :].rpartition(" ")
            found[labels] = float(value)
    return found


def two_workers_pass_everything(bench):
    """TCP, pings, fragments and ICMP errors through two ports with one queue each, read by one worker each."""
    if cpus(2) is None:
        raise Skipped("two workers need two CPUs")
    base = bench.policy
    bench.policy = bench.with_rule("{id: closed-in, from: internet, to: shop, service: udp/7009, action: allow}")
    bench.put(bench.policy)
    before = restart(bench, 2)
    try:
        assert all(bench.tcp(port) == verdict for port, verdict in ((80, "allow"), (443, "allow"), (22, "reject")))
        assert sum(bench.tcp(80) == "allow" for _ in range(40)) == 40
        data = run(*in_ns(bench.lab.ns_outside, "curl", "-sk", "--max-time", "20", f"https://{SHOP[0]}/"), check=False)
        assert data.returncode == 0, data.stderr
        for address in SHOP:
            argv = in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", _CLOSED_PORT, address, "7009")
            assert run(*argv, check=False).stdout == "refused\n", f"no ICMP error from {address}"
        fragments.large_pings_pass_both_ways(bench)
        fragments.large_udp_datagrams_pass_unchanged(bench)
        _look_at_figures(bench)
    finally:
        bench.policy = base
        restart(bench, len(before))
        bench.put(bench.policy)


def _look_at_figures(bench):
    """Both workers own flows and have handed packets to the other; nothing was lost between them."""
    # Two answers of the API, a moment apart: packets may be on their way in between.
    until(
        lambda: pressure.total(bench, "handed_in") == pressure.total(bench, "handed_out") > 0,
        "what was handed out has been handed in",
        5.0,
    )
    until(lambda: all(w["handed_in"] > 0 for w in bench.api.status()["workers"]), "both have been handed packets", 5.0)
    status = bench.api.status()
    assert status["dataplane"]["steering"] == "software" and len(status["workers"]) == 2, status
    shown = bench.ctl("status").stdout
    assert "HANDED IN" in shown, shown
    metrics = bench.api.request("GET", "/metrics")[2]
    packets = _lines(metrics, "sluice_worker_packets_total")
    assert packets['{way="handed_in",worker="0"}'] > 0 and packets['{way="handed_in",worker="1"}'] > 0, packets
    assert _lines(metrics, "sluice_steering")['{mode="software"}'] == 1
    full = sum(value for key, value in bench.counters().items() if "hand_over_full" in key)
    assert full == 0, f"{full} packets found a ring full"


def connections_outlive_changes_of_their_number(bench):
    """One worker, two, two again (killed), one: each connection answers each time, and no flow is lost."""
    if cpus(2) is None:
        raise Skipped("two workers need two CPUs")
    bench.put(bench.policy)
    restart(bench, 1)
    standing = None
    try:
        standing = Standing(bench, _HELD)
        for number in (2, 2, 1):
            restart(bench, number)
            flows = bench.api.status()["flows"]
            assert flows["lost"] == 0 and flows["kept"] >= _HELD, f"{number} workers: {flows}"
            answered = standing.alive()
            assert answered == _HELD, f"{number} workers: {answered} of {_HELD} connections are alive"
            if number == 2:
                # Counters are collected once a second.
                until(lambda: min(w["flows"] for w in bench.api.status()["workers"]) > _HELD / 5, "each worker has flows", 5.0)
    finally:
        if standing is not None:
            standing.close()
        restart(bench, 1)


TESTS = [two_workers_pass_everything, connections_outlive_changes_of_their_number]
