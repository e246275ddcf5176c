#!/usr/bin/python3
"""The scenario rig's own judgement: files, frame comparison, the conservation law. No root, no network."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../scenarios"))

from rig import compare, pcapng  # noqa: E402
from rig.build import IP, TCP, UDP, IPv6, Raw, Scenario  # noqa: E402
from rig.runner import Mismatch, Runner, unbalanced  # noqa: E402

POLICY = "name: {name}"


def scenario(folder="060-x"):
    return Scenario(f"/nowhere/{folder}/make.py", POLICY)


class Pcapng(unittest.TestCase):
    def test_what_was_written_is_read(self):
        records = [
            pcapng.Record(0, 0, b"\x01" * 61, "odd length"),
            pcapng.Record(1, 1, b"\x02" * 60),
            pcapng.Record(0, 5000, b"", "empty, late"),
        ]
        with tempfile.NamedTemporaryFile() as file:
            pcapng.write(file.name, ("outside", "inside"), records)
            self.assertEqual(pcapng.read(file.name), records)


class Compare(unittest.TestCase):
    def setUp(self):
        s = scenario()
        self.syn = s.ip("outside") / TCP(sport=4000, dport=22, flags="S", seq=41)
        self.reset = s.reset_for(self.syn)
        self.unreachable = s.unreachable_for(s.ip("outside", 6) / UDP(sport=1, dport=2) / Raw(b"x"))

    def expect(self, frame, comment=compare.ORIGINATED):
        return pcapng.Record(0, 0, bytes(frame).ljust(60, b"\0"), comment)

    def test_forwarded_frame_must_be_the_same_to_the_byte(self):
        frame = bytes(self.syn)
        self.assertIsNone(compare.complaint(self.expect(self.syn, "syn"), frame.ljust(60, b"\0")))
        self.assertIn("byte 22", compare.complaint(pcapng.Record(0, 0, frame, "syn"), frame[:22] + b"\x01" + frame[23:]))

    def test_reset_has_the_numbers_of_the_rfc(self):
        self.assertEqual((self.reset[TCP].seq, self.reset[TCP].ack, str(self.reset[TCP].flags)), (0, 42, "RA"))

    def test_free_fields_of_an_answer_are_levelled(self):
        other = self.reset.copy()
        other[IP].ttl, other[IP].id, other[IP].flags, other[TCP].window = 255, 77, "DF", 5
        self.assertIsNone(compare.complaint(self.expect(self.reset), bytes(other)))
        other = self.unreachable.copy()
        other[IPv6].hlim, other[IPv6].fl = 255, 9
        self.assertIsNone(compare.complaint(self.expect(self.unreachable), bytes(other)))

    def test_other_fields_are_not(self):
        other = self.reset.copy()
        other[TCP].ack += 1
        self.assertIn("differs", compare.complaint(self.expect(self.reset), bytes(other)))

    def test_checksums_of_an_answer_must_be_right(self):
        for field in ("chksum",):
            other = self.reset.copy()
            other[TCP].setfieldval(field, 1)
            self.assertIn("transport", compare.complaint(self.expect(self.reset), bytes(other)))
            other = self.reset.copy()
            other[IP].setfieldval(field, 1)
            self.assertIn("IPv4", compare.complaint(self.expect(self.reset), bytes(other)))


class FakeWire:
    """Two ports joined by a wire that does what `change` says, with counters as the firewall would have them."""

    def __init__(self, change=lambda frame: frame, lie=None):
        self.queues = {"outside": [], "inside": []}
        self.counters = {}
        self.change = change
        self.lie = lie

    def add(self, name, by=1):
        self.counters[name] = self.counters.get(name, 0) + by

    def port(self, name):
        wire, peer = self, {"outside": "inside", "inside": "outside"}[name]

        class Port:
            def send(self, frame):
                out = wire.change(frame)
                wire.add(f'rx_packets{{port="{name}"}}')
                wire.add(f'rx_bytes{{port="{name}"}}', len(frame))
                wire.add(f'forwarded{{port="{name}"}}')
                wire.add(f'tx_packets{{port="{peer}"}}')
                wire.add(f'tx_bytes{{port="{peer}"}}', len(frame))
                if wire.lie:
                    wire.add(wire.lie)
                wire.queues[peer].append(out)

            def receive(self, timeout_s):
                del timeout_s
                return wire.queues[name].pop(0) if wire.queues[name] else None

            def drain(self):
                taken, wire.queues[name] = wire.queues[name], []
                return taken

        return Port()

    def run(self, what):
        Runner([self.port("outside"), self.port("inside")], lambda: dict(self.counters)).run(what)


class Run(unittest.TestCase):
    def setUp(self):
        s = scenario()
        s.send("outside", s.ip("outside") / UDP(sport=1, dport=2), "one")
        s.send("inside", s.ip("inside", 6) / UDP(sport=1, dport=2), "two")
        s.expected, s.name = s.expected, "060-x"
        self.scenario = s

    def test_wire_passes(self):
        FakeWire().run(self.scenario)

    def test_changed_frame_is_found(self):
        with self.assertRaisesRegex(Mismatch, "step 0 .*differs at byte 0"):
            FakeWire(lambda frame: b"\x55" + frame[1:]).run(self.scenario)

    def test_counter_that_moved_unasked_is_found(self):
        with self.assertRaisesRegex(Mismatch, "flows_created moved by 2, expected 0"):
            FakeWire(lie="flows_created").run(self.scenario)

    def test_balance(self):
        right = {'rx_packets{port="outside"}': 2, 'forwarded{port="outside"}': 1, 'drop{port="outside",reason="x"}': 1}
        self.assertIsNone(unbalanced(right))
        self.assertIn("outside", unbalanced({**right, 'originated{port="outside"}': 1}))


if __name__ == "__main__":
    unittest.main()
