#!/usr/bin/python3
"""The differential rig's own judgement: frames, outcomes, intended differences, shrinking. No root, no network."""
import os
import random
import sys
import tempfile
import unittest
from types import SimpleNamespace

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENTIAL = os.path.join(HERE, "../../../differential")
sys.path[:0] = [DIFFERENTIAL, os.path.join(HERE, "../../../scenarios")]

from scapy.layers.inet import IP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402

from duel import headers, listing, mutations, tcp_talks  # noqa: E402
from duel.frames import ACK, FIN, ICMP, ICMP6, INSIDE, OUTSIDE, RST, SYN, TCP, UDP  # noqa: E402
from duel.frames import build, datagrams, l4_bytes  # noqa: E402
from duel.generator import Case, case, ident_of  # noqa: E402
from duel.intended import Intended, Mistake  # noqa: E402
from duel.judge import Verdict, judge, verdicts  # noqa: E402
from duel.outcome import Departures, read  # noqa: E402
from duel.shrink import shrink, without  # noqa: E402
from duel.steps import Ends, Step  # noqa: E402
from duel.tally import Tally  # noqa: E402

SEED = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))
PASS = Verdict(b"same")
READ_BY_SCAPY = (TCP, UDP, ICMP, ICMP6)


def byte_of(number):
    return bytes((number,))


def drop(reason="-"):
    return Verdict(None, reason)


def conversation(*kinds, talk=1, port=OUTSIDE):
    ends = Ends(talk, 4, port)
    packet = ends.packet(port, TCP, sport=4000, dport=443, flags=ACK)
    return tuple(Step(talk, port, packet, kind) for kind in kinds)


def a_case(*steps):
    return Case(1, 0, tuple(steps), {step.talk: "plain" for step in steps})


def an_entry(**changes):
    entry = {
        "id": "D0", "why": "why", "source": "CASES D0", "then": "judged",
        "when": {"style": "plain", "sluice": "tcp_closed", "linux": "pass"}, "clean": True,
    }  # fmt: skip
    return {**entry, **changes}


class Frames(unittest.TestCase):
    def test_scapy_agrees_on_every_length_and_checksum(self):
        print(f"SEED={SEED}")
        seen = set()
        for number in range(3):
            for place, step in enumerate(case(SEED, number).steps):
                p = step.packet
                # Of options that do not add up scapy makes others, and random bytes in IP it takes for headers.
                if p.odd or p.cuts or "tcp_options_bad" in step.labels or p.proto not in READ_BY_SCAPY:
                    continue
                # Nor does it leave alone what an error quotes of GRE and its like.
                if step.kind == "icmp_error" and p.payload[9 if p.family == 4 else 6 :][:1] not in map(byte_of, READ_BY_SCAPY):
                    continue
                frame = build(p, step.port, ident_of(step, place))[0]
                layers = Ether(frame)
                ip = layers[IP] if p.family == 4 else layers[IPv6]
                # What is deleted, scapy computes again.
                for layer in (ip, ip.payload):
                    for field in ("len", "plen", "chksum", "cksum", "dataofs", "ihl"):
                        if layer.fields.get(field) is not None and field in layer.default_fields:
                            layer.delfieldval(field)
                self.assertEqual(bytes(layers).hex(), frame.hex(), f"seed {SEED}, case {number}, step {place + 1}")
                seen.add((p.family, p.proto))
        self.assertTrue({(4, 6), (6, 6), (4, 17), (6, 17), (4, 1), (6, 58)} <= seen, seen)

    def test_a_udp_sum_of_zero_is_sent_as_ones(self):
        packet = Ends(1, 4, OUTSIDE).packet(OUTSIDE, UDP, sport=1, dport=53, payload=bytes(2))
        packet.payload = l4_bytes(packet)[6:8]  # what was missing to a sum of ones
        self.assertEqual(l4_bytes(packet)[6:8], b"\xff\xff", "RFC 768: 0 means that there is none")

    def test_the_same_seed_gives_the_same_frames(self):
        self.assertEqual(case(5, 3).arrivals(), case(5, 3).arrivals())
        self.assertNotEqual(case(5, 3).arrivals(), case(6, 3).arrivals())

    def test_every_mutation_and_every_odd_header_comes_up(self):
        labels = set()
        for number in range(80):
            for step in case(9, number).steps:
                labels.update(step.labels)
        wanted = {function.__name__ for function in mutations.MUTATIONS} - {"error", "header_odd", "fragmented"}
        wanted |= set(headers._V4) | set(headers._V6) | set(headers._TCP) | set(headers._UDP) | set(headers._ICMP)
        self.assertEqual(wanted - labels - {"swapped", "left_out"}, set())

    def test_no_label_without_a_mutation(self):
        for style in tcp_talks.STYLES:
            steps = style(tcp_talks.Tcp(random.Random(1), Ends(1, 4, INSIDE))).steps
            self.assertTrue(steps)
            self.assertFalse(any(step.labels for step in steps))


class Outcome(unittest.TestCase):
    def packet(self, family=4, length=200):
        return Ends(1, family, OUTSIDE).packet(OUTSIDE, UDP, sport=1, dport=53, payload=bytes(range(length % 256)))

    def out(self, frames):
        left = Departures()
        for frame in frames:
            left.take(frame)
        return left

    def test_a_frame_is_found_by_its_ident(self):
        for family, ident in ((4, 77), (6, 0x10077)):
            packet = self.packet(family)
            self.assertEqual(self.out(build(packet, OUTSIDE, ident)).l4(family, ident), l4_bytes(packet))
            self.assertIsNone(self.out(build(packet, OUTSIDE, ident)).l4(family, ident + 1))

    def test_pieces_make_a_whole_in_any_order_and_size(self):
        for family, ident in ((4, 7), (6, 0x10007)):
            packet = self.packet(family)
            end = len(l4_bytes(packet))
            for cuts in (((0, 64, True), (64, end, False)), ((64, end, False), (0, 64, True)),
                         ((0, 64, True), (0, 64, True), (64, end, False))):  # fmt: skip
                left = self.out(build(packet.but(cuts=cuts), OUTSIDE, ident))
                self.assertEqual(left.l4(family, ident), l4_bytes(packet))
            left = self.out(build(packet.but(cuts=((0, 64, True), (72, end, False))), OUTSIDE, ident))
            self.assertIsNone(left.l4(family, ident), "a hole")

    def test_padding_is_no_payload(self):
        packet = self.packet()
        frame = build(packet.oddly(padding=b"\xa5" * 30), OUTSIDE, 7)[0]
        self.assertEqual(read(frame)[3], l4_bytes(packet))

    def test_an_atomic_fragment_is_the_datagram(self):
        packet = self.packet(6)
        left = self.out(build(packet.oddly(ext=[(44, bytes(8))]), OUTSIDE, 0x10007))
        self.assertEqual(left.l4(6, 0x10007), l4_bytes(packet))

    def test_other_bytes_are_seen(self):
        packet = self.packet()
        one = a_case(Step(1, OUTSIDE, packet, "udp"))
        frame = build(packet, OUTSIDE, 1)[0]
        left = [Departures(), Departures()], [Departures(), Departures()]
        left[0][INSIDE].take(frame)
        left[1][INSIDE].take(frame[:-1] + b"\0")
        both = verdicts(one, left[0], ["-"], [0], left[1])
        found = judge(one, both, Intended([an_entry(when={"style": "plain", "sluice": "pass", "linux": "pass"})]))
        self.assertEqual(found.unexplained[0].text(), "both pass it, with different bytes")

    def test_what_leaves_where_it_came_from_has_not_passed(self):
        packet = self.packet()
        one = a_case(Step(1, OUTSIDE, packet, "udp"))
        left = Departures(), Departures()
        left[OUTSIDE].take(build(packet, OUTSIDE, 1)[0])
        self.assertIsNone(verdicts(one, left, ["-"], [0], left)[0][0].l4)


def _listed(value):
    return value if isinstance(value, list) else [value]


class IntendedList(unittest.TestCase):
    def test_the_list_in_use_reads(self):
        self.assertGreater(len(Intended.read(os.path.join(DIFFERENTIAL, "intended.yaml")).entries), 20)

    def test_mistakes_are_refused(self):
        for changes, said in (
            ({"when": {"sluice": "pass"}}, "needs both"),
            ({"when": {"proto": "tcp", "sluice": "pass", "linux": "drop"}}, "names no cause"),
            ({"when": {"sluice": "pass", "linux": "drop", "lables": "x"}}, "unknown fact lables"),
            ({"unless": {"lables": "x"}}, "unknown fact lables"),
            ({"then": "whatever"}, "neither"),
            ({"wen": {}}, "unknown key wen"),
            ({"rare": "seldom"}, "neither .SEED:CASE. nor unknown"),
        ):
            with self.assertRaisesRegex(Mistake, said):
                Intended([an_entry(**changes)])
        with self.assertRaisesRegex(Mistake, "source is missing"):
            Intended([{key: value for key, value in an_entry().items() if key != "source"}])
        with self.assertRaisesRegex(Mistake, "more than once"):
            Intended([an_entry(), an_entry()])

    def test_all_of_when_and_none_of_unless(self):
        entry = Intended([
            an_entry(when={"sluice": ["a", "b"], "linux": "pass", "labels": ["x", "y"]}, unless={"labels": "z"})
        ]).entries[0]  # fmt: skip
        good = {"sluice": "a", "linux": "pass", "labels": {"x", "w"}, "disturbed": True}
        self.assertTrue(entry.explains(good))
        self.assertTrue(entry.explains({**good, "sluice": "b"}))
        self.assertFalse(entry.explains({**good, "sluice": "c"}))
        self.assertFalse(entry.explains({**good, "linux": "drop"}))
        self.assertFalse(entry.explains({**good, "labels": {"w"}}))
        self.assertFalse(entry.explains({**good, "labels": {"x", "z"}}))

    def test_nothing_is_excused_where_no_mutation_was(self):
        """Whatever a broken Sluice drops of undisturbed conversations, or lets pass that Linux drops, is a failure: but
        for the few entries that say so."""
        intended = Intended.read(os.path.join(DIFFERENTIAL, "intended.yaml"))
        reasons = sorted({r for e in intended.entries for r in _listed(e.when["sluice"]) if r != "pass"})
        wrong = [(drop(reason), PASS) for reason in reasons] + [(PASS, drop())]
        allowed = {entry.id for entry in intended.entries if entry.clean}
        self.assertLess(len(allowed), 6, "these weigh heavily")
        judged = 0
        for number in range(2):
            whole = case(SEED, number)
            touched = {step.talk for step in whole.steps if step.labels}
            clean = tuple(step for step in whole.steps if step.talk not in touched)
            for talk in {step.talk for step in clean}:
                steps = tuple(step for step in clean if step.talk == talk)
                for place in range(len(steps)):
                    one = Case(SEED, number, steps[: place + 1], {talk: whole.styles[talk]})
                    for pair in wrong:
                        found = judge(one, [(PASS, PASS)] * place + [pair], intended)
                        judged += 1
                        self.assertLessEqual({entry.id for entry, _difference in found.intended}, allowed, f"SEED={SEED}")
        self.assertGreater(judged, 5_000)


class Judgement(unittest.TestCase):
    def test_agreement_needs_no_entry(self):
        one = a_case(*conversation("syn", "data"))
        found = judge(one, [(PASS, PASS), (drop("policy_deny"), drop())], Intended([]))
        self.assertEqual((found.agreed_pass, found.agreed_drop, found.unexplained), (1, 1, []))
        self.assertEqual(found.agreed, {"policy_deny": 1})

    def test_what_nothing_explains_is_found_once_a_conversation(self):
        one = a_case(*conversation("syn", "data", "ack"), *conversation("syn", talk=2))
        both = [(PASS, PASS), (PASS, drop()), (PASS, drop()), (drop("policy_deny"), PASS)]
        found = judge(one, both, Intended([an_entry()]))
        self.assertEqual([d.place for d in found.unexplained], [1, 3])
        self.assertEqual(found.unjudged, 1, "after a difference the two sides may remember different things")

    def test_an_entry_explains_and_counts(self):
        one = a_case(*conversation("syn", "data", "ack"))
        intended = Intended([an_entry(), an_entry(id="never")])
        found = judge(one, [(PASS, PASS), (drop("tcp_closed"), PASS), (PASS, drop())], intended)
        self.assertEqual(intended.entries[0].hits, 1)
        self.assertEqual([entry.id for entry in intended.idle()], ["never"])
        self.assertEqual([d.place for d in found.unexplained], [2], "judged as before")

    def test_unjudged_ends_the_conversation_and_no_other(self):
        one = a_case(*conversation("data", "ack"), *conversation("data", talk=2))
        both = [(drop("tcp_closed"), PASS), (PASS, drop()), (PASS, drop())]
        found = judge(one, both, Intended([an_entry(then="unjudged")]))
        self.assertEqual((found.unjudged, [d.place for d in found.unexplained]), (1, [2]))

    def test_history_is_known(self):
        one, two, three = conversation("rst", "data", "ack")
        entry = an_entry(when={"sluice": "tcp_closed", "linux": "pass", "after": "rst"})
        both = [(PASS, PASS), (drop("tcp_closed"), PASS), (PASS, PASS)]
        self.assertFalse(judge(a_case(one, two, three), both, Intended([entry])).unexplained)
        forged = one.mutated("rst_wild")
        self.assertTrue(judge(a_case(forged, two, three), both, Intended([entry])).unexplained, "no RST of theirs")
        entry = an_entry(when={"sluice": "tcp_closed", "linux": "pass", "after": "rst_wild", "disturbed": True})
        self.assertFalse(judge(a_case(forged, two, three), both, Intended([entry])).unexplained)
        self.assertTrue(judge(a_case(one, two, three), both, Intended([entry])).unexplained)

    def test_different_bytes_are_never_intended(self):
        entry = an_entry(when={"style": "plain", "sluice": "pass", "linux": "pass"})
        found = judge(a_case(*conversation("data")), [(PASS, Verdict(b"other"))], Intended([entry]))
        self.assertEqual(len(found.unexplained), 1)


class Shares(unittest.TestCase):
    def tally(self, both, *, entries=(), repeat=1):
        tally = Tally()
        one = a_case(*conversation(*["data"] * len(both)))
        for _turn in range(repeat):
            tally.add(SimpleNamespace(case=one, findings=judge(one, both, Intended(entries)), frames=len(both), bursts=""))
        return list(tally.too_little())

    def test_a_run_that_says_something_is_none(self):
        self.assertEqual(self.tally([(PASS, PASS)] * 3 + [(drop("policy_deny"), drop())]), [])

    def test_nothing_passes(self):
        self.assertRegex(self.tally([(drop("no_policy"), drop())] * 9)[0], "only 0 of 9 datagrams of tcp pass")

    def test_all_is_excused(self):
        entry = an_entry()
        said = self.tally([(drop("tcp_closed"), PASS)] + [(PASS, PASS)] * 9, entries=[entry])
        self.assertRegex(said[0], "1 of 10 datagrams differ on purpose")
        said = self.tally([(drop("tcp_closed"), PASS)] + [(PASS, PASS)] * 9, entries=[an_entry(then="unjudged")])
        self.assertRegex(said[0], "9 of 10 datagrams are not judged")


class Missing(unittest.TestCase):
    """Which steps of its own conversation a step comes without."""

    def asked(self, *steps, dropped=()):
        """Of the last step, which differs."""
        both = [(drop("policy_deny"), drop()) if place in dropped else (PASS, PASS) for place in range(len(steps) - 1)]
        return judge(a_case(*steps), [*both, (drop("x"), PASS)], Intended([])).unexplained[-1].facts["missing"]

    def test_what_was_dropped_or_left_out(self):
        syn, syn_ack, ack = conversation("syn", "syn_ack", "ack")
        self.assertEqual(self.asked(syn, syn_ack, ack), set())
        self.assertEqual(self.asked(syn, syn_ack, ack, dropped=[1]), {"syn_ack"})
        self.assertEqual(self.asked(*without((syn, syn_ack, ack), 1, 2)), {"syn_ack"})

    def test_what_was_changed_on_its_way(self):
        syn, syn_ack, ack = conversation("syn", "syn_ack", "ack")
        other = syn_ack.mutated("foreign_port", syn_ack.packet.but(sport=9))
        self.assertEqual(self.asked(syn, other, ack), {"syn_ack"})
        self.assertEqual(self.asked(syn, syn_ack.mutated("wrong_side", port=1 - syn_ack.port), ack), {"syn_ack"})

    def test_what_is_still_to_come(self):
        syn, syn_ack, ack = conversation("syn", "syn_ack", "ack")
        both = [(PASS, PASS), (drop("x"), PASS), (PASS, PASS)]
        late = a_case(syn, ack.placed("overtaking"), syn_ack.placed("swapped"))
        self.assertEqual(judge(late, both, Intended([])).unexplained[0].facts["missing"], {"syn_ack"})

    def test_what_never_comes_though_it_was_overtaken(self):
        class Last:
            @staticmethod
            def choice(places):
                return places[-1]

        syn, echo, ack, data = conversation("syn", "cookie_echo", "cookie_ack", "data")
        steps = [syn, ack.placed("overtaking"), data.placed("overtaking"), echo.placed("swapped")]
        rest = mutations.left_out(Last, None, steps)
        self.assertEqual([step.labels for step in rest], [(), ("overtaking", "left_out_cookie_echo"), ("overtaking",)])
        self.assertEqual(self.asked(*rest[:2]), {"cookie_echo"})
        rest = mutations.left_out(Last, None, [syn, ack.placed("overtaking"), data])
        self.assertEqual([step.labels for step in rest], [(), ("overtaking",)], "nothing comes behind it")

    def test_what_nobody_meant_is_not_missed(self):
        syn, rst, ack = conversation("syn", "rst", "ack")
        rst.labels = ("rst_wild",)
        self.assertEqual(self.asked(syn, rst, ack, dropped=[1]), set())


class Shrinking(unittest.TestCase):
    def test_only_what_matters_is_left(self):
        steps = [*conversation(*["data"] * 20), *conversation(*["ack"] * 20, talk=2)]
        steps[7], steps[13] = steps[7].mutated("needed"), steps[13].mutated("needed too")

        def still_differs(one):
            labels = [label for step in one.steps for label in step.labels if label.startswith("needed")]
            return labels == ["needed", "needed too"]

        small = shrink(a_case(*steps), still_differs)
        self.assertEqual([step.talk for step in small.steps], [1, 1])
        self.assertTrue(still_differs(small))

    def test_mutations_that_do_not_matter_are_undone(self):
        packet = conversation("data")[0]
        odd = packet.mutated("odd", packet.packet.but(window=1))
        small = shrink(a_case(odd), lambda one: True)
        self.assertEqual(small.steps, (packet,))

    def test_injected_steps_have_nothing_to_be_undone_to(self):
        injected = conversation("rst")[0]
        injected.labels = ("rst_wild",)
        self.assertIsNone(injected.mutated("checksum_wrong").clean)

    def test_a_gap_is_marked(self):
        steps = (*conversation("syn", "ack", "data"), *conversation("syn", talk=2))
        self.assertEqual([step.labels for step in without(steps, 0, 1)], [("left_out_syn",), (), ()])
        self.assertEqual([step.labels for step in without(steps, 1, 3)], [(), ()])

    def test_place_and_packet_are_undone_apart(self):
        step = conversation("data")[0].placed("swapped")
        odd = step.mutated("odd").placed("left_out_syn")
        self.assertEqual((odd.labels, odd.clean.labels), (("swapped", "odd", "left_out_syn"), ("swapped", "left_out_syn")))

    def test_it_ends(self):
        runs = []
        steps = conversation(*["data"] * 64)
        shrink(a_case(*steps), lambda one: runs.append(1) or len(one.steps) == 64, tries_max=50)
        self.assertLessEqual(len(runs), 50)


class Listing(unittest.TestCase):
    def test_it_reads_like_a_capture(self):
        tcp = tcp_talks.Tcp(random.Random(3), Ends(1, 4, OUTSIDE)).handshake().rst(INSIDE, seq=5)
        one = a_case(*tcp.steps)
        both = [(PASS, PASS)] * 3 + [(PASS, drop())]
        difference = judge(one, both, Intended([])).unexplained[0]
        lines = listing.lines(one, both, difference.place)
        self.assertRegex(lines[0], r"^    1 outside 10\.1\.0\.1 > 10\.2\.0\.1 tcp \d+ > \d+ S   seq 0 len 0 win")
        self.assertRegex(lines[2], r"A   seq 1 len 0 ack 1 ")
        self.assertRegex(lines[3], r"^>   4 inside .* sluice pass, linux drop$")
        with tempfile.NamedTemporaryFile() as file:
            listing.write_pcapng(file.name, one, both)
            records = listing.pcapng.read(file.name)
        self.assertEqual([record.frame for record in records], [frame for _port, frame in one.arrivals()[0]])
        self.assertEqual(records[3].comment, "sluice pass, linux drop")

    def test_flags_in_the_order_of_captures(self):
        self.assertEqual(listing.flag_text(SYN | ACK), "SA")
        self.assertEqual(listing.flag_text(FIN | RST), "FR")


class Fragments(unittest.TestCase):
    def test_a_good_train_carries_all_bytes(self):
        rng = random.Random(SEED)
        for _round in range(200):
            payload = rng.randbytes(rng.randrange(32, 900))
            packet = Ends(1, rng.choice((4, 6)), OUTSIDE).packet(OUTSIDE, UDP, dport=53, payload=payload)
            label, cut = headers.cut(rng, packet)
            if label not in ("fragments", "fragments_mixed", "fragments_twice", "fragments_tiny"):
                continue
            left = Departures()
            for frame in build(cut, OUTSIDE, 9):
                left.take(frame)
            self.assertEqual(left.l4(packet.family, 9), l4_bytes(packet), f"SEED={SEED}")
            self.assertGreater(len(datagrams(cut, 9)), 1)

    def test_ah_is_cut_with_what_it_authenticates(self):
        packet = Ends(1, 6, OUTSIDE).packet(OUTSIDE, UDP, dport=53, payload=bytes(range(200)))
        packet = packet.oddly(ext=[headers._authentication()]).but(cuts=((0, 64, True), (64, 208, False)))
        left = Departures()
        for frame in build(packet, OUTSIDE, 0x10009):
            self.assertEqual(frame[20], 44, "the fragment header comes first")
            left.take(frame)
        whole = build(packet.but(cuts=()), OUTSIDE, 0x10009)[0]
        self.assertEqual(left.l4(6, 0x10009), whole[54:])


if __name__ == "__main__":
    unittest.main(verbosity=1)
