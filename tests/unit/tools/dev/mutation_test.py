#!/usr/bin/python3
"""tools/dev/mutate breaks what it should and nothing else, and tells the four verdicts apart on a project of its own."""
import contextlib
import io
import os
import sys
import types
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../..")
sys.path.insert(0, os.path.join(ROOT, "tools/dev"))

from mutation import main as mutation_main  # noqa: E402
from mutation.explained import Explained  # noqa: E402
from mutation.operators import expression_mutants  # noqa: E402
from mutation.places import sampled, spread  # noqa: E402
from mutation.self_test import self_test  # noqa: E402
from mutation.statements import statement_mutants  # noqa: E402
from mutation.trial import Outcome  # noqa: E402


def broken(text):
    """Every broken form of a text of one line."""
    text += "\n"
    return [m.after for m in [*expression_mutants("a.cpp", text), *statement_mutants("a.cpp", text)]]


class Operators(unittest.TestCase):
    def test_comparison_boolean_arithmetic(self):
        self.assertEqual(broken("return a < b;"), ["return a <= b;"])
        self.assertEqual(broken("return a && !b;"), ["return a || !b;", "return a && b;"])
        self.assertEqual(broken("x = y + z;"), ["x = y - z;"])
        self.assertEqual(broken("return x & 0x0f;"), ["return x | 0x0f;", "return x & 0x10;", "return x & 0xe;"])

    def test_constants_go_both_ways_but_not_below_zero(self):
        self.assertEqual(broken("return 2U;"), ["return 3U;", "return 1U;"])
        self.assertEqual(broken("return 0;"), ["return 1;"])
        self.assertEqual(broken("return true;"), ["return false;"])

    def test_another_reason_of_the_same_file_and_always_the_same(self):
        text = "return c ? DropReason::tcp_bad_ack : DropReason::martian;"
        self.assertEqual(broken(text), ["return c ? DropReason::martian : DropReason::martian;",
                                        "return c ? DropReason::tcp_bad_ack : DropReason::tcp_bad_ack;"])
        self.assertEqual(broken("case P::a: f(P::b);")[0], "case P::a: f(P::a);")

    def test_what_is_no_code_or_nothing_to_a_test_stays(self):
        for text in ("// a < b", '"a < b"', "#include <vector>", "static_assert(a < b);", "template <typename T, int N = 3>",
                     "std::vector<T> v;", "const T& v;", "prefetch(a + 1);", "enum class A { b = 1, c };", "[[likely]]",
                     "SLUICE_ASSERT(a == b);"):
            self.assertEqual(broken(text), [], text)


class Statements(unittest.TestCase):
    def mutants(self, body):
        text = "void f() {\n" + body + "\n}\n"
        return [m.after for m in statement_mutants("a.cpp", text)]

    def test_calls_and_assignments_are_left_out_declarations_are_not(self):
        self.assertEqual(self.mutants("count(a);"), [";"])
        self.assertEqual(self.mutants("a.b[c] = d;"), [";"])
        self.assertEqual(self.mutants("++count_;"), [";"])
        for body in ("const auto a = b();", "FlowHot& e = f();", "T a{b};", "return f();", "std::array<T, 3> a = b();",
                     "return {f(a), b};"):
            self.assertEqual(self.mutants(body), [], body)

    def test_checks_are_left_out_and_conditions_turned(self):
        self.assertEqual(self.mutants("if (auto bad = look(a)) return bad;"), [";"])
        self.assertEqual(self.mutants("if (ready(a)) go(b);"), ["if (!(ready(a))) go(b);", "if (ready(a)) ;"])

    def test_the_head_of_a_loop_is_no_statement(self):
        self.assertEqual(self.mutants("for (int i = 0; i < n; ++i) go(i);"), ["for (int i = 0; i < n; ++i) ;"])


class Choice(unittest.TestCase):
    def test_the_same_seed_takes_the_same_sample(self):
        self.assertEqual(sampled(list(range(100)), 5, "7"), sampled(list(range(100)), 5, "7"))
        self.assertNotEqual(sampled(list(range(100)), 5, "7"), sampled(list(range(100)), 5, "8"))

    def test_an_entry_that_fits_no_line_any_more_is_an_error(self):
        entry = {"file": "a.cpp", "line": "return a < b;", "becomes": "return a <= b;", "why": "x"}
        known = Explained.__new__(Explained)
        known._entries = [entry]
        known._by_identity = {known._identity(entry): entry}
        same = list(expression_mutants("a.cpp", "\n\nreturn a < b;\n"))
        self.assertEqual(known.complaints(same), [], "lines above do not matter")
        self.assertEqual(known.why(same[0]), "x")
        self.assertIn("0 places", known.complaints(list(expression_mutants("a.cpp", "return a < c;\n")))[0])
        self.assertIn("2 places", known.complaints(same + same)[0])


class Planted(unittest.TestCase):
    def test_every_verdict_is_the_one_that_was_planted(self):
        self.assertEqual(self_test(os.path.realpath(ROOT)), 0)


class Judgement(unittest.TestCase):
    FILE = "dataplane/flow/tcp_state.cpp"

    def report(self, verdicts, **more):
        options = types.SimpleNamespace(**{"explained": False, "changed": None, "files": [], **more})
        mutant = types.SimpleNamespace(file=self.FILE, line=1, what="w", before="b", after="a")
        outcomes = [Outcome(mutant, verdict) for verdict in verdicts]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code = mutation_main.report(options, outcomes, [], len(outcomes))
        return code, said.getvalue()

    def test_a_sample_has_a_score_and_its_survivors_are_listed(self):
        code, said = self.report(["killed"] * 17 + ["survived"] * 3)
        self.assertEqual(code, 0, said)
        self.assertIn("ok mutation/flow: 85 % (17 of 20 noticed", said)
        self.assertEqual(said.count("survivor "), 3)

    def test_below_the_score_it_fails_and_without_a_test_is_not_noticed(self):
        code, said = self.report(["killed"] * 16 + ["timeout", "survived", "survived", "not reached", "survived"])
        self.assertEqual(code, 1, said)
        self.assertIn("FAIL mutation/flow: 81 % (17 of 21 noticed", said)

    def test_few_mutants_are_not_judged(self):
        code, said = self.report(["survived"] * 19 + ["not compiled"] * 5)
        self.assertEqual(code, 0, said)
        self.assertNotIn("mutation/flow:", said)

    def test_of_changed_lines_and_named_files_none_survives(self):
        for more in ({"changed": "main"}, {"files": [self.FILE]}):
            self.assertEqual(self.report(["killed"] * 99 + ["survived"], **more)[0], 1)
            self.assertEqual(self.report(["killed"] * 99, **more)[0], 0)

    def test_a_run_by_the_clock_takes_the_groups_in_turns(self):
        files = (self.FILE, "dataplane/acl/lookup.cpp")
        mutants = [types.SimpleNamespace(file=file, n=n) for file in files for n in range(50)]
        picked = spread(mutants, 20, "7")
        self.assertEqual([mutant.file for mutant in picked], [*files] * 10)
        self.assertEqual([m.n for m in picked], [m.n for m in spread(mutants, 20, "7")])
        self.assertNotEqual([m.n for m in picked], [m.n for m in spread(mutants, 20, "8")])
        self.assertEqual(len(spread(mutants, 0, "7")), 100)


if __name__ == "__main__":
    unittest.main()
