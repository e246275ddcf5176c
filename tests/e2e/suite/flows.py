"""Flows outlive the dataplane: it is killed, replaced and given another table under connections that must not notice."""
import json
import os
import random
import re
import signal
import subprocess
import time

from lab import daemons
from lab.names import SHOP
from lab.shell import in_ns, until

from .bench import FORWARDING_AGAIN_S_MAX, HERE, PLANNED_GAP_S_MAX, Traffic, figures, percentile, seed_of_this_run

_CONNECTIONS = os.path.join(HERE, "connections.py")
_PORT, _COUNT, _RATE = 7443, 100, 5
_TALK = f"{{id: talk, from: internet, to: shop, service: tcp/{_PORT}, action: allow}}"


class _Held:
    """Connections through the firewall that go on as long as this does."""

    def __init__(self, bench):
        self.bench = bench
        bench.put(bench.with_rule(_TALK))
        bench.wait_in_sync()
        self.report = f"{bench.lab.run_dir}/connections.json"
        count = [str(_COUNT), str(_RATE), self.report]
        self.processes = []
        self._start(bench.lab.ns_inside, "echo", SHOP[0], str(_PORT))
        self._start(bench.lab.ns_outside, "hold", SHOP[0], str(_PORT), *count)

    def _start(self, namespace, *words):
        process = subprocess.Popen(
            in_ns(namespace, "/usr/bin/python3", "-I", _CONNECTIONS, *words),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n", words

    def stop(self):
        """Returns what the report says of each connection."""
        echo, hold = self.processes
        hold.send_signal(signal.SIGTERM)
        hold.wait(timeout=180)
        echo.kill()
        echo.wait()
        for process in self.processes:
            process.stdout.close()
        with open(self.report, encoding="utf-8") as file:
            return json.load(file)


def _counter(bench, name):
    """Sum over the series of that name whose labels hold every given text."""
    family, *labels = name
    total = 0.0
    for line in bench.api.request("GET", "/metrics")[2].splitlines():
        if re.match(rf"{family}[ {{]", line) and all(label in line for label in labels):
            total += float(line.rsplit(" ", 1)[1])
    return total


_KEPT, _LOST = ("sluice_flows_kept_total",), ("sluice_flows_lost_total",)
_PICKED_UP = ("sluice_observations_total", 'kind="flow_pickup"')


def _assert_unbroken(report, echoes_min=3):
    broken = [connection["broken"] for connection in report if connection["broken"]]
    assert not broken, f"{len(broken)} of {len(report)} connections broke: {broken[:5]}"
    assert min(connection["echoes"] for connection in report) >= echoes_min, report[:3]


def a2_kills_at_random_instants_keep_every_flow(bench):
    """A2, Q15: kill -9 under TCP and UDP traffic. At least 999 of 1,000 flows are kept, none is picked up in mid-stream,
    what is denied stays denied, and the counters say so."""
    dice = random.Random(seed_of_this_run())
    held = _Held(bench)
    denied, allowed = Traffic(bench, port=7001, rate=200), Traffic(bench, rate=500)
    kept, lost, picked_up = (_counter(bench, name) for name in (_KEPT, _LOST, _PICKED_UP))
    moments = []
    try:
        bench.wait_forwarding()
        start = time.monotonic()
        for _ in range(200 if bench.long else 20):
            until(lambda: daemons.services(bench.lab)["dataplane"]["ready"], "the dataplane", 20.0)
            time.sleep(dice.uniform(0.02, 0.3))
            pid, moment = bench.kill("dataplane")
            moments.append(moment)
            daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
            bench.wait_forwarding()
        bench.wait_in_sync()
        age_s = time.monotonic() - start
        flows = bench.api.json("GET", "/v1/flows?limit=1000")["flows"]
        status = bench.api.status()["flows"]
    finally:
        allowed.stop()
        denied.stop()
        report = held.stop()
    silences = [allowed.silence_after(moment) for moment in moments]
    figures("kill -9 of the dataplane to forwarding, flows kept", silences)
    # How many echoes there are says how often a repetition met a forwarding dataplane, which is down half of the time.
    _assert_unbroken(report, echoes_min=1)
    assert percentile(silences, 0.99) < FORWARDING_AGAIN_S_MAX, silences
    assert len(denied.sent) > 100 and not denied.answered, "denied packets got through"
    connections = [flow for flow in flows if flow["dport"] == _PORT]
    assert len(connections) == _COUNT and all(flow["age_s"] >= age_s - 1 for flow in connections), (age_s, connections[:3])
    echoes = max(flow["age_s"] for flow in flows if flow["dport"] == 7000)
    assert echoes >= age_s - 1, f"the UDP flow is {echoes} s old, the kills took {age_s:.0f} s"
    kept, lost = _counter(bench, _KEPT) - kept, _counter(bench, _LOST) - lost
    print(f"figure flows over {len(moments)} kills: kept {kept:.0f}, lost {lost:.0f}", flush=True)
    # Counters are collected once a second: of a process that lived shorter than that they may say nothing.
    assert kept >= _COUNT and lost * 999 <= kept, (kept, lost)
    assert status["kept"] >= _COUNT, status
    assert _counter(bench, _PICKED_UP) == picked_up, "flows were picked up in mid-stream"


def a_planned_restart_keeps_every_flow(bench):
    """The successor goes on with the flows of the old process."""
    held = _Held(bench)
    traffic = Traffic(bench)
    kept, lost = _counter(bench, _KEPT), _counter(bench, _LOST)
    try:
        for _ in range(3):
            pid = bench.pid("dataplane")
            daemons.ctl(bench.lab, "restart", "dataplane")
            assert bench.pid("dataplane") != pid
            bench.wait_forwarding()
        bench.wait_in_sync()
    finally:
        traffic.stop()
        report = held.stop()
    print(f"figure planned restart with flows: longest silence {traffic.longest_silence() * 1000:.0f} ms", flush=True)
    _assert_unbroken(report)
    assert traffic.longest_silence() < PLANNED_GAP_S_MAX
    assert _counter(bench, _KEPT) - kept >= 3 * _COUNT
    assert _counter(bench, _LOST) == lost


def another_size_of_the_table_keeps_the_flows(bench):
    """The configuration changes, the process dies: the flows are copied into the new table."""
    held = _Held(bench)
    path = f"{bench.lab.run_dir}/dataplane.yaml"
    with open(path, encoding="utf-8") as file:
        before = file.read()
    other, changes = re.subn(r'(entries_max"?: )\d+', r"\g<1>100000", before)
    assert changes == 1, before
    try:
        for text in (other, before):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            pid, _ = bench.kill("dataplane")
            daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
            bench.wait_forwarding()
            status = bench.wait_in_sync()
            flows = status["flows"]
            assert (flows["capacity"] == 100000) == (text is other), flows
            assert flows["kept"] >= _COUNT and flows["lost"] == 0, flows
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)
        report = held.stop()
    _assert_unbroken(report, echoes_min=1)  # two restarts right behind each other leave time for no more


def a_flow_denied_meanwhile_is_not_resurrected(bench):
    """A2: a flow is idle, a new policy denies it, the process dies: the sweep has ended it before, and what the process
    left behind does not bring it back. (A death before the sweep: FlowHome.A2_WhatThePolicyDeniesNow...)"""
    bench.put(bench.policy)
    bench.wait_in_sync()
    traffic = Traffic(bench, rate=100)
    try:
        time.sleep(0.5)
        # Stopped, so that no packet of the flow asks the old process about the new policy.
        traffic.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        bench.put(bench.with_rule("{id: no-more, from: internet, to: shop, service: udp/7000, action: deny}"))
        moment = time.monotonic()
        pid, _ = bench.kill("dataplane")
        daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
        bench.wait_in_sync()
        # Of this service: what other tests left behind may live on.
        left = [flow for flow in bench.api.json("GET", "/v1/flows?limit=1000")["flows"] if flow["dport"] == 7000]
        assert not left, left
        traffic.process.send_signal(signal.SIGCONT)
        time.sleep(1.0)
    finally:
        traffic.process.send_signal(signal.SIGCONT)
        traffic.stop()
        bench.put(bench.policy)
    sent = [number for number, when in enumerate(traffic.sent) if when > moment]
    assert len(sent) > 50 and len(traffic.answered) > 20, (len(sent), len(traffic.answered))
    assert not any(number in traffic.answered for number in sent), "a denied flow went on"


TESTS = [
    a2_kills_at_random_instants_keep_every_flow,
    a_planned_restart_keeps_every_flow,
    another_size_of_the_table_keeps_the_flows,
    a_flow_denied_meanwhile_is_not_resurrected,
]
