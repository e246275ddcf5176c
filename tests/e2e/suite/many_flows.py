"""A table full of flows outlives its process: how long nothing passes, and how many are kept. And a plan over as many
recorded flows: how long it takes."""
import datetime
import os
import time

from lab import daemons
from lab.names import SHOP
from lab.shell import in_ns, run, until

from . import pressure
from .bench import FORWARDING_AGAIN_S_MAX, HERE, PLANNED_GAP_S_MAX, Traffic, figures

_COUNT, _COUNT_LONG = 50_000, 1_000_000
# Nobody answers these packets: their flows are as old as the test, and half of a handshake each (pressure.py).
_TABLE = {"entries_max": 1 << 21, "half_open_percent": 100}
_RULE = "{id: many, from: internet, to: shop, service: udp/10000-60000, action: allow, log: none}"
_PASSES_MAX = 10


def _flows(bench):
    return pressure.total(bench, "flows")


def _fill(bench, count):
    for _ in range(_PASSES_MAX):
        run(*in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", os.path.join(HERE, "many_udp.py"), SHOP[0], str(count)), timeout_s=120)
        if _flows(bench) >= count:
            return
    raise AssertionError(f"{_flows(bench)} flows after {_PASSES_MAX} times {count} packets")


def _policy(bench, log):
    text = bench.with_rule(_RULE.replace("log: none", f"log: {log}"), bench.policy)
    return text.replace("zones:", "timeouts: {udp_oneway: 1h}\nzones:", 1)


def many_flows_outlive_a_kill_and_a_restart(bench):
    count = _COUNT_LONG if bench.long else _COUNT
    before = pressure.with_flow_table(bench, _TABLE)
    bench.put(_policy(bench, "none"))
    try:
        _fill(bench, count)
        for what, end_it, silent_s_max in (
            ("kill -9", lambda: bench.kill("dataplane"), FORWARDING_AGAIN_S_MAX),
            ("planned restart", lambda: daemons.ctl(bench.lab, "restart", "dataplane"), PLANNED_GAP_S_MAX),
        ):
            traffic = Traffic(bench)
            try:
                pid, flows = bench.pid("dataplane"), _flows(bench)
                end_it()
                daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
                bench.wait_forwarding()
                status = bench.wait_in_sync()["flows"]
            finally:
                traffic.stop()
            gap_s = traffic.longest_silence()
            print(f"figure {what} with {flows:.0f} flows: {gap_s * 1000:.0f} ms of silence, {status['kept']} kept, {status['lost']} lost")
            assert status["kept"] >= 0.999 * flows and status["lost"] <= 0.001 * flows, (flows, status)
            assert gap_s < silent_s_max, gap_s
    finally:
        bench.put(bench.policy)
        pressure.with_flow_table(bench, before)
        bench.wait_forwarding()


def a_plan_meets_many_recorded_flows(bench):
    """Each flow's start is recorded; a plan that denies half of their ports meets all of them, and says which those are."""
    count = _COUNT_LONG if bench.long else _COUNT
    before = pressure.with_flow_table(bench, _TABLE)
    since = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    try:
        bench.put(_policy(bench, "start"))
        _fill(bench, count)
        read, words = f"/v1/policy?dry_run=true&flows_since={since.replace('+00:00', 'Z')}", {"Content-Type": "application/yaml"}
        closed = _policy(bench, "start").replace("{id: many,", "{id: closed, from: internet, to: shop, service: udp/10000-34999, action: deny}\n  - {id: many,")

        def plan():
            answer = bench.api.json("PUT", read, closed, words)
            return answer if answer["recorded"]["records"] >= 0.99 * count else None

        # What the dataplane tells is behind the packets, and what is recorded behind that.
        until(plan, "the records of the flows", 120.0, step_s=0.5)
        took = []
        for _ in range(3):
            begin = time.monotonic()
            answer = plan()
            took.append(time.monotonic() - begin)
        figures(f"plan over {answer['recorded']['records']} recorded and {answer['live']['flows']} live flows", took)
        recorded = answer["recorded"]
        assert recorded["complete"], recorded
        (group,) = [g for g in recorded["groups"] if g["after"]["rule"] == "closed"]
        assert group["before"]["rule"] == "many" and group["flows"] >= 0.45 * count, group
    finally:
        bench.put(bench.policy)
        pressure.with_flow_table(bench, before)
        bench.wait_forwarding()


TESTS = [many_flows_outlive_a_kill_and_a_restart, a_plan_meets_many_recorded_flows]
