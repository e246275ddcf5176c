"""A small flow table under a flood: who stays, who gets in, and what people are told."""
import os
import subprocess

from lab.names import SHOP
from lab.shell import in_ns, until

from .bench import HERE, seed_of_this_run
from .standing import Standing

_ENTRIES = 1024
_FLOOD_S = 6
_STANDING = 100
_CONNECTS = 40


def total(bench, name):
    """Of all workers, by the dataplane's own counters."""
    return sum(value for key, value in bench.counters().items() if key.partition("{")[0] == name)


def with_flow_table(bench, flow_table):
    """Another configuration of the dataplane; returns the one that it had."""
    before = bench.reconfigure(flow_table=flow_table)["flow_table"]
    bench.stop_service("dataplane")
    bench.start_service("dataplane")
    bench.wait_in_sync()
    return before


def a_flood_of_syns_harms_no_connection(bench):
    """X1: a table of 1,024; connections that stand, and clients that come while SYNs from invented sources do."""
    bench.put(bench.policy)
    before = with_flow_table(bench, {"entries_max": _ENTRIES, "pickup_s": 0})
    standing = flood = None
    try:
        standing = Standing(bench, _STANDING)
        program = os.path.join(HERE, "syn_flood.py")
        flood = subprocess.Popen(
            in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", program, SHOP[0], "80", str(_FLOOD_S), str(seed_of_this_run())),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: total(bench, "syn_early_drop") > 0, "the flood reaches the half-open flows' share", 5.0)
        connected = sum(bench.tcp(80) == "allow" for _ in range(_CONNECTS))
        until(lambda: bench.api.status()["flows"]["pressure"] == "half_open", "the pressure is shown", 5.0)
        shown = bench.ctl("status").stdout
        sent = int(flood.communicate(timeout=_FLOOD_S + 20)[0])
        answered = standing.alive()
        print(f"figure flood: {sent} SYNs, {total(bench, 'syn_early_drop')} evicted, {connected}/{_CONNECTS} connects")
        assert answered == _STANDING, f"{answered} of {_STANDING} connections are alive"
        assert connected >= 0.95 * _CONNECTS, f"{connected} of {_CONNECTS} clients got in"
        assert total(bench, "flows_half_open") <= _ENTRIES // 4
        assert "pressure: half_open" in shown, shown
        until(lambda: bench.api.status()["flows"]["pressure"] == "none", "the pressure ends", 10.0)
    finally:
        if standing is not None:
            standing.close()
        if flood is not None:
            flood.kill()
            flood.wait()
        with_flow_table(bench, before)
        bench.wait_forwarding()


TESTS = [a_flood_of_syns_harms_no_connection]
