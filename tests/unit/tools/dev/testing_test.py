#!/usr/bin/python3
"""tools/test judges suites: one that hangs, dies, says nothing or leaves processes behind is a failure, never silence."""
import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../.."))
sys.path.insert(0, os.path.join(ROOT, "tools/dev"))

from testing import main  # noqa: E402
from testing.results import Results, skipped_cases  # noqa: E402


def taken(argv, timeout_s=20, skips=()):
    """(results, what was printed, seconds)."""
    results, said, start = Results(dict.fromkeys(skips, "")), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(said):
        results.take_output_of("s", argv, timeout_s, teardown_s=1.0, held_s=1.0)
    return results, said.getvalue(), time.monotonic() - start


def bash(text, **more):
    return taken(["bash", "-c", text], **more)


class Suites(unittest.TestCase):
    def test_its_lines_are_counted_and_others_passed_through(self):
        results, said, _ = bash("echo ok a; echo hello; echo FAIL b: why; echo skip c: root; exit 1", skips=["c"])
        self.assertEqual((results.passed, results.failed, results.skipped), (1, ["b"], 1))
        self.assertIn("hello\n", said)

    def test_a_skip_that_is_not_listed_is_a_failure(self):
        self.assertEqual(bash("echo ok a; echo skip c: root")[0].failed, ["c"])

    def test_a_death_without_a_failed_result_is_a_failure(self):
        results, said, _ = bash("echo ok a; exit 3")
        self.assertEqual(results.failed, ["s"])
        self.assertIn("FAIL s: ended with code 3", said)

    def test_no_result_at_all_is_a_failure_with_a_remedy(self):
        results, said, _ = bash("echo all is well")
        self.assertEqual(results.failed, ["s"])
        self.assertIn("FAIL s: ended well without one result: run `bash -c echo all is well`", said)

    def test_the_last_line_may_lack_its_end(self):
        self.assertEqual(bash("printf 'ok a'")[0].passed, 1)


class Hangs(unittest.TestCase):
    """What must not hold a run for ever. In each, a process notes its number, and must be gone afterwards."""

    def setUp(self):
        self.note = tempfile.NamedTemporaryFile("r", prefix="sluice-testing-")
        self.addCleanup(self.note.close)

    def expect_gone(self):
        pid = int(self.note.read())
        for _ in range(50):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    if file.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except FileNotFoundError:
                return
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        self.fail(f"process {pid} is still there")

    def test_a_suite_that_hangs(self):
        results, said, seconds = bash(f"echo ok a; echo $$ >{self.note.name}; exec sleep 600", timeout_s=1)
        self.assertEqual((results.passed, results.failed), (1, ["s"]))
        self.assertIn("FAIL s: did not end within 1 s and was killed", said)
        self.assertLess(seconds, 30)
        self.expect_gone()

    def test_one_that_will_not_hear_and_has_closed_its_output(self):
        results, said, seconds = bash(
            f"trap '' INT; echo ok a; echo $$ >{self.note.name}; exec >&-; while :; do sleep 1; done", timeout_s=1
        )
        self.assertEqual(results.failed, ["s"])
        self.assertIn("did not end within", said)
        self.assertLess(seconds, 30)
        self.expect_gone()

    def test_one_that_never_stops_talking(self):
        results, _said, seconds = bash("while :; do echo word; sleep 0.01; done", timeout_s=1)
        self.assertEqual(results.failed, ["s"])
        self.assertLess(seconds, 30)

    def test_a_grandchild_that_holds_the_pipe_of_a_suite_that_hangs(self):
        _results, said, _ = bash(f"(trap '' INT; sleep 600 & echo $! >{self.note.name}; wait) & wait", timeout_s=1)
        self.assertIn("FAIL s: did not end within 1 s", said)
        self.expect_gone()

    def test_a_grandchild_that_holds_the_pipe_of_a_suite_that_has_ended(self):
        results, said, seconds = bash(f"echo ok a; sleep 600 & echo $! >{self.note.name}", timeout_s=60)
        self.assertEqual((results.passed, results.failed), (1, ["s"]))
        self.assertIn("FAIL s: ended with code 0, but left a process that holds its output", said)
        self.assertLess(seconds, 30)
        self.expect_gone()

    def test_a_grandchild_in_a_session_of_its_own_holds_nobody(self):
        results, _said, seconds = bash(f"echo ok a; setsid sleep 30 & echo $! >{self.note.name}", timeout_s=60)
        self.assertEqual(results.failed, ["s"])
        self.assertLess(seconds, 20)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.note.read()), signal.SIGKILL)


class Meson(unittest.TestCase):
    def test_no_test_of_the_suite_and_a_case_that_skips_itself_are_failures(self):
        with tempfile.TemporaryDirectory(prefix="sluice-testing-") as folder:
            source, build = os.path.join(folder, "source"), os.path.join(folder, "build")
            os.makedirs(source)
            with open(os.path.join(source, "meson.build"), "w", encoding="utf-8") as file:
                file.write(
                    "project('p')\ntest('t', find_program('true'), suite: 'other')\n"
                    "test('s', find_program('echo'), args: '[  SKIPPED ] A.B (0 ms)', suite: 'other')\n"
                )
            subprocess.run(["meson", "setup", build, source], stdout=subprocess.DEVNULL, check=True)
            results, said = Results({}), io.StringIO()
            with mock.patch.dict(os.environ, {"BUILD": build}), contextlib.redirect_stdout(said):
                main.meson_suite(results, "unit", False)
                main.meson_suite(results, "other", False)
            self.assertEqual((results.passed, results.failed), (2, ["unit", "other/s/A.B"]))
            self.assertIn("no test of that suite", said.getvalue())

    def test_a_case_that_skips_itself_is_seen(self):
        output = (
            "[ RUN      ] Attach.S1Owner\n../a_test.cpp:186: Skipped\nneeds root\n\n[  SKIPPED ] Attach.S1Owner (0 ms)\n"
            "[ RUN      ] Attach.Two\n[       OK ] Attach.Two (0 ms)\n"
            "[ RUN      ] Attach.Three\n[  SKIPPED ] Attach.Three (0 ms)\n"
            "[  PASSED  ] 1 test.\n[  SKIPPED ] 2 tests, listed below:\n[  SKIPPED ] Attach.S1Owner\n"
        )
        cases = [("Attach.S1Owner", "needs root"), ("Attach.Three", "said so itself")]
        self.assertEqual(skipped_cases({"stdout": output}), cases)
        self.assertEqual(skipped_cases({"stderr": "Ran 9 tests\n\nOK (skipped=2)\n"}), [("unittest", "2 of its cases")])
        self.assertEqual(skipped_cases({"stderr": "Ran 9 tests\n\nOK\n"}), [])


class Words(unittest.TestCase):
    """A word that nobody knows ends the run before it installs or builds."""

    def run_it(self, *words):
        return subprocess.run([os.path.join(ROOT, "tools/test"), *words], capture_output=True, text=True, timeout=30)

    def test_help_and_typos_cost_nothing(self):
        done = self.run_it("--help")
        self.assertEqual((done.returncode, done.stdout.startswith("usage: tools/test")), (0, True), done.stdout)
        for words in (["--only", "typo"], ["--only", ""], ["--only", "unit,"], ["--fats"], ["--fast", "--only", "unit"]):
            done = self.run_it(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), f"{words}: {done.stdout}")
            self.assertIn("tools/test: error:", done.stderr)

    def test_every_suite_has_a_command(self):
        for suite in set(main.LONG_SUITES) - set(main.MESON_SUITES):
            for _seconds, (program, *_words) in main.commands_of(suite, True):
                self.assertTrue(os.access(os.path.join(ROOT, program), os.X_OK), program)


if __name__ == "__main__":
    unittest.main()
