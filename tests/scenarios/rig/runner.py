"""Runs one scenario folder against a running firewall and says what differed."""
import os
import re
import time

from . import compare, pcapng
from .build import PORTS

_STEP_DEADLINE_S = 5.0
_COUNTERS_DEADLINE_S = 1.0


class Mismatch(Exception):
    pass


class Scenario:
    """The files of one folder."""

    def __init__(self, folder):
        self.name = os.path.basename(folder)
        with open(os.path.join(folder, "policy.yaml"), encoding="utf-8") as file:
            self.policy = file.read()
        self.sent = pcapng.read(os.path.join(folder, "send.pcapng"))
        self.expected = pcapng.read(os.path.join(folder, "expect.pcapng"))
        with open(os.path.join(folder, "expect.counters"), encoding="utf-8") as file:
            self.counters = {name: int(value) for name, value in (line.rsplit(" ", 1) for line in file)}


def unbalanced(counters):
    """The conservation law, per port: rx + originated = forwarded + drops + consumed + held. Returns a complaint."""
    for port in PORTS:
        value = lambda name: counters.get(f'{name}{{port="{port}"}}', 0)  # noqa: E731
        drops = sum(count for name, count in counters.items() if name.startswith(f'drop{{port="{port}",'))
        arrived = value("rx_packets") + value("originated")
        gone = value("forwarded") + drops + value("consumed") + value("held")
        if arrived != gone:
            return f"port {port}: rx + originated = {arrived}, forwarded + drops + consumed + held = {gone}"
    return None


class Runner:
    def __init__(self, ports, read_counters):
        """`ports`: wire.Port by index; `read_counters()`: name -> value, at once and exact."""
        self.ports = ports
        self.read_counters = read_counters

    def run(self, scenario):
        """Raises Mismatch. The scenario's policy is in force already."""
        for port in self.ports:
            port.drain()
        before = self.read_counters()
        sent_at = {port: 0 for port in PORTS}
        for record in scenario.sent:
            name = PORTS[record.interface]
            self.ports[record.interface].send(record.frame)
            sent_at[name] += 1
            self._wait_accounted(before, name, sent_at[name], record)
            self._expect_frames(scenario, record)
        self._nothing_left(scenario)
        self._compare_counters(before, scenario.counters)

    def _wait_accounted(self, before, port, count, record):
        key = f'rx_packets{{port="{port}"}}'
        end = time.monotonic() + _STEP_DEADLINE_S
        while True:
            now = self.read_counters()
            arrived = now.get(key, 0) - before.get(key, 0)
            if arrived >= count and unbalanced(now) is None:
                return
            if time.monotonic() > end:
                raise Mismatch(
                    f"step {record.step} ({record.comment}): {arrived} of {count} packets received at {port}; "
                    f"{unbalanced(now) or 'balance right'}"
                )

    def _expect_frames(self, scenario, record):
        """The frames that this step must bring, in order at each port."""
        for expected in scenario.expected:
            if expected.step != record.step:
                continue
            at = f"step {record.step} ({record.comment}): at {PORTS[expected.interface]}"
            got = self.ports[expected.interface].receive(2.0)
            if got is None:
                raise Mismatch(f"{at}: nothing came; {self._dropped(record)}")
            if complaint := compare.complaint(expected, got):
                raise Mismatch(f"{at}: {complaint}")

    def _dropped(self, record):
        port = PORTS[record.interface]
        drops = {
            re.search(r'reason="(\w+)"', name)[1]: count
            for name, count in self.read_counters().items()
            if name.startswith(f'drop{{port="{port}",') and count
        }
        return f"drops at {port} so far: {drops}"

    def _nothing_left(self, scenario):
        for index, port in enumerate(self.ports):
            if extra := port.drain():
                raise Mismatch(f"{len(extra)} frames too many at {PORTS[index]}, first: {extra[0].hex()}")

    def _compare_counters(self, before, expected):
        """Exact, both ways: what is not named must not have moved. Rule counters may follow their packet a moment late."""
        end = time.monotonic() + _COUNTERS_DEADLINE_S
        while True:
            after = self.read_counters()
            complaint = _difference(before, after, expected) or unbalanced(after)
            if complaint is None:
                return
            if time.monotonic() > end:
                raise Mismatch(complaint)


def _difference(before, after, expected):
    moved = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    return "; ".join(
        f"{name} moved by {moved.get(name, 0)}, expected {expected.get(name, 0)}"
        for name in sorted(set(moved) | set(expected))
        if moved.get(name, 0) != expected.get(name, 0)
    ) or None
