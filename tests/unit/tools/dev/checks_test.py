#!/usr/bin/python3
"""tools/dev/check finds what it is for, and only that: trees of a few lines."""
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../../tools/dev"))

from checks import abi, cases, layout, scenarios, source, tidy, words  # noqa: E402


class Tree:
    def __init__(self, texts):
        self._texts = texts

    @property
    def files(self):
        return sorted(self._texts)

    known = property(lambda self: set(self._texts))

    def matching(self, *suffixes, under=()):
        return [n for n in self.files if n.endswith(suffixes) and (not under or n.startswith(tuple(under)))]

    def text(self, name):
        return self._texts[name]

    def is_text(self, _name):
        return True


class Matrix(unittest.TestCase):
    POLICY = {"default": {"action": "allow"}, "rules": [{"from": {"zone": "out"}, "action": "deny"}]}

    @staticmethod
    def record(interface, step, sport, comment=""):
        ip = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
        frame = bytes(12) + b"\x08\x00" + ip + sport.to_bytes(2, "big") + bytes([0, 53]) + bytes(4)
        return scenarios.pcapng.Record(interface, step, frame, comment)

    def cells(self, policy, sent, expected):
        return scenarios.cells_of(policy, sent, expected)

    def test_a_dropped_packet_is_a_denied_cell(self):
        cells, complaints = self.cells(self.POLICY, [self.record(0, 0, 7)], [])
        self.assertEqual((cells, complaints), ({("deny", "inward", "udp", 4)}, []))

    def test_what_comes_out_though_it_is_denied_is_no_cell(self):
        cells, complaints = self.cells(self.POLICY, [self.record(0, 0, 7)], [self.record(1, 0, 7)])
        self.assertEqual(cells, set())
        self.assertIn("allow, its policy says deny", complaints[0])

    def test_the_other_direction_is_not_the_rules(self):
        self.assertEqual(self.cells(self.POLICY, [self.record(1, 0, 7)], [self.record(0, 0, 7)]), (set(), []))

    def test_an_answer_makes_a_reject_and_observe_goes_by_the_default(self):
        rejects = {"default": {"action": "reject"}}
        cells, _ = self.cells(rejects, [self.record(1, 0, 7)], [self.record(1, 0, 7, "originated: no")])
        self.assertEqual(cells, {("default-reject", "outward", "udp", 4)})
        watched = {**self.POLICY, "rules": [{"from": {"zone": "out"}, "action": "deny", "mode": "observe"}]}
        cells, _ = self.cells(watched, [self.record(0, 0, 7)], [self.record(1, 0, 7)])
        self.assertEqual(cells, {("observe", "inward", "udp", 4)})


class Arrows(unittest.TestCase):
    def check(self, name, include):
        return layout.arrows(Tree({name: f"#pragma once\n#include {include}\n"}))

    def test_allowed(self):
        for name, include in (
            ("controlplane/api/a.cpp", '"controlplane/policy/model.hpp"'),
            ("controlplane/lifecycle/a.cpp", '"dataplane/acl/lookup.hpp"'),
            ("dataplane/pipeline/a.cpp", '"dataplane/flow/flow_table.hpp"'),
            ("dataplane/port/a.cpp", "<rte_ethdev.h>"),
            ("dataplane/main.cpp", "<rte_lcore.h>"),
            ("dataplane/flow/a.cpp", "<sluice/abi/tables.hpp>"),
        ):
            self.assertEqual(self.check(name, include), [], name)

    def test_refused(self):
        for name, include in (
            ("controlplane/api/a.cpp", '"dataplane/flow/flow_table.hpp"'),
            ("dataplane/manager/a.cpp", '"controlplane/policy/model.hpp"'),
            ("dataplane/acl/a.cpp", '"dataplane/pipeline/worker.hpp"'),
            ("dataplane/pipeline/a.cpp", "<rte_mbuf.h>"),
            ("controlplane/main.cpp", "<rte_eal.h>"),
            ("tools/sluicectl/a.cpp", '"controlplane/lifecycle/policy_service.hpp"'),
        ):
            complaints = self.check(name, include)
            self.assertEqual(len(complaints), 1, name)
            self.assertIn(f"{name}:2:", complaints[0])


class Twins(unittest.TestCase):
    def test_own_name_shared_header_through_others_and_none(self):
        complaints = layout.twins(
            Tree(
                {
                    "dataplane/flow/one.cpp": '#include "dataplane/flow/one.hpp"\n',
                    "dataplane/flow/two.cpp": '#include "dataplane/flow/table.hpp"\n',
                    "dataplane/flow/three.cpp": '#include "dataplane/flow/three.hpp"\n',
                    "dataplane/flow/table.hpp": "",
                    "tests/unit/dataplane/flow/one_test.cpp": '#include "dataplane/flow/table.hpp"\n'
                    '#include "tests/unit/dataplane/flow/rig.hpp"\n',
                    "tests/unit/dataplane/flow/rig.hpp": '#include "dataplane/flow/three.hpp"\n',
                    "dataplane/flow/three.hpp": "",
                }
            )
        )
        self.assertEqual(len(complaints), 1)
        self.assertIn("three.cpp", complaints[0])


class Words(unittest.TestCase):
    def test_found_with_place(self):
        complaints = words.forbidden(Tree({"a.cpp": "int x;\n// TO" + "DO later\n"}))
        self.assertEqual(len(complaints), 1)
        self.assertTrue(complaints[0].startswith("a.cpp:2:"))

    def test_innocent_words(self):
        self.assertEqual(words.forbidden(Tree({"a.cpp": "// now for the rest: a stubborn place to hold\n"})), [])


class Seeds(unittest.TestCase):
    def test_a_seed_that_nobody_can_give_again(self):
        bare = {"tests/a_test.cpp": "\nstd::mt19937 r{std::random_device{}()};\n", "tests/b.py": "d = Random(time.time_ns())\n"}
        complaints = source.seeds(Tree(bare))
        self.assertEqual([complaint.split(": ")[0] for complaint in complaints], ["tests/a_test.cpp:2", "tests/b.py:1"])

    def test_the_helper_and_who_reads_SEED(self):
        good = {
            "tests/harness/seed.hpp": "std::random_device{}()\n",
            "tests/b.py": 'seed = os.environ.get("SEED") or random.SystemRandom().randrange(9)\n',
            "dataplane/a.cpp": "std::random_device{}()\n",
        }
        self.assertEqual(source.seeds(Tree(good)), [])


class LoneHeaders(unittest.TestCase):
    def test_a_header_is_built_alone_where_a_source_of_the_build_begins_with_it(self):
        tree = Tree(
            {
                "a/one.cpp": '/// What it is.\n#include "a/one.hpp"\n#include "a/two.hpp"\n',
                "a/abi.cpp": "#include <sluice/abi.hpp>\n",
                "a/not_built.cpp": '#include "a/three.hpp"\n',
                "a/behind_others.cpp": '#include "a/four.hpp"\n',
            }
        )
        tree.root = "/tree"
        entries = [
            {"directory": "/tree/build", "file": "../a/one.cpp", "command": "g++ -c ../a/one.cpp"},
            {"directory": "/tree/build", "file": "../a/abi.cpp", "command": "g++ -c ../a/abi.cpp"},
            {"directory": "/tree/build", "file": "../a/behind_others.cpp", "command": "g++ -include pch.hpp -c x"},
            {"directory": "/tree/build", "file": "generated.cpp", "command": "g++ -c generated.cpp"},
        ]
        with tempfile.TemporaryDirectory() as build:
            self.assertEqual(source.headers_built_first(tree, build), set())
            with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump(entries, file)
            built = source.headers_built_first(tree, build)
        self.assertIn("a/one.hpp", built)
        self.assertIn("dataplane/abi/include/sluice/abi.hpp", built)
        for alone in ("a/two.hpp", "a/three.hpp", "a/four.hpp"):
            self.assertNotIn(alone, built)


class Corpora(unittest.TestCase):
    LIST = 'TARGETS = {\n    "parse": (2048, None, 8, []),\n}\n'

    def test_a_target_has_inputs_and_inputs_have_a_target(self):
        good = {"tests/fuzz/run.py": self.LIST, "tests/fuzz/parse_fuzz.cpp": "", "tests/fuzz/corpus/parse/a": ""}
        self.assertEqual(source.corpora(Tree(good)), [])
        bad = {"tests/fuzz/run.py": self.LIST, "tests/fuzz/http_fuzz.cpp": "", "tests/fuzz/corpus/old/a": ""}
        complaints = source.corpora(Tree(bad))
        self.assertEqual(len(complaints), 4)
        self.assertIn("tests/fuzz/corpus/http: no input", complaints[2])


class AbiLayout(unittest.TestCase):
    HEADER = """
    /// struct Wrong { int a; };
    struct alignas(kCacheLine) One {
        MessageHeader header{.type = MessageType::hello};  // not a {brace
        std::array<WirePair, kPortsMax / 2> wires{};
        std::uint32_t a{}, b{};
        static One of(int v) noexcept { return {v}; }
        constexpr auto operator<=>(const One&) const = default;
    };
    class Two {
    public:
        constexpr Two() noexcept = default;
        bool good() const { return value_ != 0; }

    private:
        std::uint64_t value_{};
    };
    enum class Three : std::uint8_t { none = 0 };
    """

    def test_structs_and_fields_are_found(self):
        self.assertEqual(abi.structs(self.HEADER), {"One": ["header", "wires", "a", "b"], "Two": ["value_"]})

    def test_what_layout_leaves_out_is_named(self):
        folder = "dataplane/abi/include/sluice/abi/"
        listed = "    SLUICE_LAYOUT(One, header, wires,\n        a),\n"
        complaints = abi.complete(Tree({folder + "x.hpp": self.HEADER, folder + "layout.hpp": listed}))
        self.assertEqual(len(complaints), 2)
        self.assertIn("One: layout.hpp does not list b", complaints[0])
        self.assertIn("Two is not in layout.hpp", complaints[1])

    def test_a_new_hash_needs_a_new_version(self):
        old = [(1, "aa")]
        self.assertEqual(abi.judge(old, old, 1, "aa"), [])
        self.assertIn("raise kAbiVersion to 2", abi.judge(old, old, 1, "bb")[0])
        self.assertIn("add the line `2 bb`", abi.judge(old, old, 2, "bb")[0])
        self.assertEqual(abi.judge([*old, (2, "bb")], old, 2, "bb"), [])

    def test_an_old_line_stays(self):
        self.assertIn("`1 aa` was changed or removed", abi.judge([(1, "bb")], [(1, "aa")], 1, "bb")[0])
        self.assertIn("wanted 1, 2, 3", abi.judge([(1, "aa"), (3, "cc")], [(1, "aa")], 3, "cc")[0])


class Tidy(unittest.TestCase):
    TREE = {
        ".clang-tidy": "",
        "a/one.cpp": '#include "a/one.hpp"\n',
        "a/one.hpp": "#include <sluice/abi/x.hpp>\n",
        "a/two.cpp": '#include "a/one.hpp"\n#include <vector>\n',
        "dataplane/abi/include/sluice/abi/x.hpp": "",
    }

    def test_findings_are_those_of_the_project_once(self):
        line = "../a/one.hpp:7:3: warning: 'x' used after it was moved [bugprone-use-after-move]"
        output = f"{line}\n    x.f();\n../a/one.hpp:6:1: note: move occurred here\n{line}\n/usr/include/y.h:1:1: warning: z"
        self.assertEqual(
            tidy.findings(output, "/p/build", "/p"),
            ["a/one.hpp:7: 'x' used after it was moved [bugprone-use-after-move]"],
        )

    def test_the_key_follows_every_header_and_flag(self):
        def key(tree, flags=("g++", "-O2")):
            return tidy._key(tree, tidy._Includes(tree), "a/two.cpp", list(flags), "settings")

        first = key(Tree(self.TREE))
        self.assertEqual(first, key(Tree({**self.TREE, "a/one.cpp": "// another unit\n"})))
        self.assertNotEqual(first, key(Tree({**self.TREE, "dataplane/abi/include/sluice/abi/x.hpp": "int i;\n"})))
        self.assertNotEqual(first, key(Tree(self.TREE), ("g++", "-O3")))

    def test_a_changed_header_is_looked_at_through_its_source_or_a_user(self):
        tree = Tree(self.TREE)
        units, includes = {"a/one.cpp": [], "a/two.cpp": []}, tidy._Includes(tree)
        self.assertEqual(tidy._units_of({"a/one.hpp"}, units, includes), {"a/one.cpp"})
        self.assertEqual(tidy._units_of({"dataplane/abi/include/sluice/abi/x.hpp"}, units, includes), {"a/one.cpp"})
        self.assertEqual(tidy._units_of({"a/two.cpp", "README.md"}, units, includes), {"a/two.cpp"})


class Cases(unittest.TestCase):
    ROW = "- {{id: {}, input: i, expected: e, source: s, {}}}\n"

    def check(self, rows, tests):
        text = "".join(self.ROW.format(case, rest) for case, rest in rows)
        return cases.cases(Tree({"tests/cases/a.yaml": text, **tests}))

    def test_an_answered_row_needs_a_test_that_names_it(self):
        test = {"tests/a_test.cpp": "TEST(Parse, T2_IllegalFlags)\n", "tests/b_test.cpp": "// F10: too long\nTEST(Parse, Long)\n"}
        rows = [("T2", "status: answered"), ("F10", "status: answered")]
        self.assertEqual(self.check(rows, test), [])
        complaint = self.check([*rows, ("T1", "status: answered")], test)
        self.assertEqual(complaint, ["tests/cases/a.yaml: T1 is answered, but no test names it"])

    def test_an_open_row_that_a_test_names_is_to_be_marked(self):
        test = {"tests/a_test.cpp": "TEST(Parse, T2_IllegalFlags)\n"}
        self.assertIn("T2 waits for more, but tests/a_test.cpp names it", self.check([("T2", "waits_for: more")], test)[0])
        self.assertEqual(self.check([("T2", "{status: partly, waits_for: more}".strip("{}"))], test), [])

    def test_a_type_called_L4_and_the_tests_of_tools_name_no_case(self):
        test = {"tests/a_test.cpp": "using L4 = int;\n", "tests/unit/tools/dev/a.py": "L4\n"}
        self.assertEqual(self.check([("L4", "waits_for: more")], test), [])

    def test_a_mention_is_no_test(self):
        for name, text in (
            ("tests/a_test.cpp", 'TEST(Parse, Flags) {\n    // T1: and more\n    play("T1");  // T1\n}\n'),
            ("tests/a.py", 'def test_flags():  # T1\n    say("T1")\n'),
            ("tests/a.hpp", "/// T1\n"),
            ("tests/differential/duel/a.py", '"""T1."""\n'),
        ):
            self.assertEqual(cases.named(Tree({name: text})), {}, name)

    def test_where_a_test_names_its_case(self):
        for name, text in (
            ("tests/a_test.cpp", "TEST(Parse, T1RefusesFlags) {\n"),
            ("tests/a_test.cpp", "TYPED_TEST(Parse, G3_T1_Flags) {\n"),
            ("tests/a_test.cpp", "// Flags (T1).\nTEST(Parse, Flags) {\n"),
            ("tests/a_test.cpp", "/// T1, at the head.\n#include <a>\n"),
            ("tests/a.py", "def t1_flags(bench):\n    pass\n"),
            ("tests/a.py", 'def flags():\n    """T1: flags."""\n'),
            ("tests/scenarios/020-t1-flags/make.py", ""),
        ):
            self.assertIn("T1", cases.named(Tree({name: text})), f"{name}: {text}")

    def test_a_goal_has_a_gate_and_what_plays_it(self):
        there = {"tests/x/run.py": ""}
        self.assertEqual(self.check([("Q1", "gate: [ci], by: [tests/x/run.py], status: answered")], there), [])
        self.assertIn("a goal has a gate", self.check([("Q1", "waits_for: more")], there)[0])
        self.assertIn("a goal has a gate", self.check([("Q1", "gate: [never], waits_for: more")], there)[0])
        self.assertIn("answered, or partly", self.check([("Q1", "gate: [ci], by: [a], waits_for: more")], there)[0])
        self.assertIn("b.py is not there", self.check([("Q1", "gate: [ci], by: [b.py], status: answered")], there)[0])

    def test_rows_have_a_shape(self):
        self.assertIn("unknown key", self.check([("T1", "stauts: answered")], {})[0])
        self.assertIn("one of the two", self.check([("T1", "note: x".replace("note", "counter"))], {})[0])
        self.assertIn("stands twice", self.check([("T1", "waits_for: a"), ("T1", "waits_for: a")], {})[0])


if __name__ == "__main__":
    unittest.main()
