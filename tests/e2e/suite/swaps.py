"""CASES P1 and P2 through both processes: policies are switched over REST under packets that tell which one they met.

Each policy lets another half of 16 ports pass and says so in its own way (by ports, by what does not pass, with other
rules, another order of zones, other `wire` keys), so that a mixture of two is no third one's pattern. In one process,
with thousands of switches: tests/publish/swap_test.cpp.
"""
import json
import os
import signal
import subprocess
import time

from lab.names import SHOP
from lab.shell import in_ns

from .bench import HERE, figures

_TAGGED = os.path.join(HERE, "tagged.py")
_FIRST_PORT, _TAGS, _SETS_PER_S = 7100, 16, 100
_SWAPS, _SWAPS_LONG = 60, 1000
# What was sent this long before a PUT began has been decided before it: longer than any queue on the way.
_QUEUED_S = 0.5
_SHORT_S = 0.01
_RESTS_S = 3.5  # two seconds, and the keeper's round

# More policies than may be in doubt at a time: one that is over can't be taken for one that is to come.
_PATTERNS = (0xA6C5, 0x5B36, 0xCD6A, 0x3A93, 0x962D, 0x69D8, 0xE14B, 0x1CB7)


def _ports(pattern, passing):
    return ", ".join(f"udp/{_FIRST_PORT + tag}" for tag in range(_TAGS) if bool(pattern >> tag & 1) == passing)


def _policy(colour):
    pattern = _PATTERNS[colour]
    zones = ["internet: {ports: [outside]}", "servers: {ports: [inside]}"]
    if colour % 2:
        zones.reverse()
    if colour == 1:
        rules = [
            f"{{id: c{colour}-stop, from: internet, to: servers, service: [{_ports(pattern, False)}], action: deny}}",
            f"{{id: c{colour}-pass, from: internet, to: servers, service: udp/1-65535, action: allow}}",
        ]
    else:
        rules = [f"{{id: c{colour}-pass, from: internet, to: servers, service: [{_ports(pattern, True)}], action: allow}}"]
    lines = ["sluice: 1", f"name: colour{colour}", "default: {action: deny}", "zones:", *(f"  {zone}" for zone in zones)]
    lines += [f"wire: {{other: {'allow' if colour % 2 else 'deny'}}}", "rules:", *(f"  - {rule}" for rule in rules)]
    return "\n".join(lines) + "\n"


class _Tagged:
    """The sender and the receiver of the sets."""

    def __init__(self, bench):
        self.reports = [f"{bench.lab.run_dir}/tagged-{what}.json" for what in ("receive", "send")]
        common = [SHOP[0], str(_FIRST_PORT), str(_TAGS)]
        self.processes = [
            self._start(bench.lab.ns_inside, "receive", *common, self.reports[0]),
            self._start(bench.lab.ns_outside, "send", *common, str(_SETS_PER_S), self.reports[1]),
        ]

    @staticmethod
    def _start(namespace, *words):
        process = subprocess.Popen(
            in_ns(namespace, "/usr/bin/python3", "-I", _TAGGED, *words),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        return process

    def stop(self):
        """Returns (set number -> what passed, times of the sets)."""
        receiver, sender = self.processes
        sender.send_signal(signal.SIGTERM)
        sender.wait(timeout=30)
        time.sleep(_QUEUED_S)
        receiver.send_signal(signal.SIGTERM)
        receiver.wait(timeout=30)
        found = []
        for process, path in zip(self.processes, self.reports):
            process.stdout.close()
            with open(path, encoding="utf-8") as file:
                found.append(json.load(file))
        return {int(number): passed for number, passed in found[0].items()}, found[1]


def _patch(bench, colour):
    """The pattern by two edits of a policy that has a rule for what passes and one for what stops."""
    passes, stops = (_ports(_PATTERNS[colour], passing) for passing in (True, False))
    edits = [
        {"op": "replace", "id": rule, "rule": {"id": rule, "from": "internet", "to": "servers", "service": ports.split(", "), "action": action}}
        for rule, ports, action in (("passes", passes, "allow"), ("stops", stops, "deny"))
    ]
    return bench.api.json("PATCH", "/v1/policy", edits, {"If-Match": bench.etag()})


def _edited_policy():
    lines = _policy(0).split("rules:\n")[0] + "rules:\n"
    for rule, passing, action in (("passes", True, "allow"), ("stops", False, "deny")):
        lines += f"  - {{id: {rule}, from: internet, to: servers, service: [{_ports(_PATTERNS[0], passing)}], action: {action}}}\n"
    return lines


def _swap(bench, first, change):
    """`change(bench, colour)` answers the commit. Returns ([(colour, change began, was answered)], passed, times)."""
    bench.put(first)
    swaps = [(0, 0.0, time.monotonic())]
    tagged = _Tagged(bench)
    try:
        time.sleep(0.2)
        for turn in range(1, (_SWAPS_LONG if bench.long else _SWAPS) + 1):
            colour = turn % len(_PATTERNS)
            start = time.monotonic()
            answer = change(bench, colour)
            swaps.append((colour, start, time.monotonic()))
            assert answer["state"] == "adopted", answer
            time.sleep(_RESTS_S if turn % 20 == 0 else 0.05)
        time.sleep(2 * _QUEUED_S)
    finally:
        passed, times = tagged.stop()
        bench.put(bench.policy)
    return swaps, passed, times


def _explained(got, patterns):
    """Sent in the order of its ports, a set meets the policies in theirs: each packet the one of its predecessor or a newer."""
    at = 0
    for tag in range(_TAGS):
        while at < len(patterns) and (patterns[at] ^ got) >> tag & 1:
            at += 1
    return at < len(patterns)


def p1_p2_every_packet_meets_one_policy_and_the_acknowledged_one_at_least(bench):
    """P1: no set shows a mixture. P2: a set sent after an acknowledgement shows that policy, or a newer one."""
    _judge("PUT", *_swap(bench, _policy(0), lambda bench, colour: bench.put(_policy(colour))))


def p1_p2_of_edits_beside_the_tables_and_compiled_into_them(bench):
    """The same of PATCHes; after each twentieth they rest for so long that they are compiled into the tables."""
    def folds():
        lines = bench.api.request("GET", "/metrics")[2].splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("sluice_overlays_folded_total "))

    before = folds()
    _judge("PATCH", *_swap(bench, _edited_policy(), _patch))
    assert folds() >= before + 2, "edits rested, and were not compiled into the tables"


def _judge(method, swaps, passed, times):
    steady = between = 0
    for number, (first, last) in enumerate(times):
        got = passed.get(number, 0)
        # Policies that may have met it: the newest that was acknowledged before it, and those whose PUT had begun.
        oldest = max(index for index, (_, _, answered) in enumerate(swaps) if answered <= first or index == 0)
        newest = max(index for index, (_, began, _) in enumerate(swaps) if began <= last + _QUEUED_S)
        patterns = [_PATTERNS[colour] for colour, _, _ in swaps[oldest : newest + 1]]
        said = f"set {number}: {got:016b} passed; {' then '.join(f'{p:016b}' for p in patterns)} may have been in force"
        if len(patterns) == 1:
            steady += 1
            assert got == patterns[0], said
        else:
            between += 1
            # A set takes a fraction of a millisecond, unless its sender was held up: at most one switch fell into it.
            together = 2 if last - first < _SHORT_S else len(patterns)
            runs = [patterns[at : at + together] for at in range(len(patterns) - together + 1)]
            assert any(_explained(got, run) for run in runs), said
    assert between >= len(swaps) / 2 and steady > 0, (steady, between)
    print(f"figure {len(swaps) - 1} swaps, {len(times) * _TAGS} packets: {between} sets beside a switch, {steady} away from it")
    figures(f"{method} to adopted under tagged packets", [answered - began for _, began, answered in swaps[1:]])


TESTS = [
    p1_p2_every_packet_meets_one_policy_and_the_acknowledged_one_at_least,
    p1_p2_of_edits_beside_the_tables_and_compiled_into_them,
]
