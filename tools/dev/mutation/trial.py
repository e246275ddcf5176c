"""One mutant against the tests that its file reaches."""
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

# A broken program may loop, or ask for all memory. A test gets ten times what it took unbroken, and more than a busy
# machine needs.
_TIMEOUT_FACTOR, TIMEOUT_MORE_S = 10, 20
_MEMORY_BYTES_MAX = 8 << 30

KILLED, SURVIVED, TIMEOUT, NOT_COMPILED, NOT_REACHED = "killed", "survived", "timeout", "not compiled", "not reached"


@dataclass
class Outcome:
    mutant: object
    verdict: str
    by: str = ""  # the test program that noticed, or the compiler's complaint
    case: str = ""  # the test in it that failed first
    ran: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def noticed(self):
        return self.verdict in (KILLED, TIMEOUT)


def _failed_case(output):
    """The first test of the program that GoogleTest calls failed, or nothing."""
    output.seek(0)
    found = re.search(rb"^\[  FAILED  \] ([\w./]+)", output.read(1 << 20), re.MULTILINE)
    return found[1].decode() if found else ""


def _limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))


def run_test(program, copy, timeout_s, output=subprocess.DEVNULL):
    """True: passed. False: failed. None: did not end."""
    process = subprocess.Popen(
        [os.path.join(copy.build, program.target)], cwd=copy.build, env=copy.environment, stdin=subprocess.DEVNULL,
        stdout=output, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=_limits,
    )  # fmt: skip
    try:
        return process.wait(timeout=timeout_s) == 0
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Its children too: the group is its own.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


class Baseline:
    """Every test must pass unbroken, else its failure says nothing; how long each took orders them."""

    def __init__(self, copy, programs, timeout_more_s=TIMEOUT_MORE_S):
        self.seconds, self.failing, self._timeout_more_s = {}, [], timeout_more_s
        for program in programs:
            start = time.monotonic()
            if run_test(program, copy, program.timeout_s * 10) is not True:
                self.failing.append(program.name)
            self.seconds[program.name] = time.monotonic() - start

    def timeout_s(self, program):
        return self.seconds[program.name] * _TIMEOUT_FACTOR + self._timeout_more_s

    def in_order(self, programs):
        return sorted(programs, key=lambda program: self.seconds[program.name])


def attempt(mutant, copy, reach, baseline):
    start = time.monotonic()
    outcome = Outcome(mutant, SURVIVED)
    programs = baseline.in_order(reach.tests_of(mutant.file))
    programs.sort(key=lambda program: program.name != mutant.first)
    if not programs:
        outcome.verdict = NOT_REACHED
        return outcome
    copy.break_with(mutant)
    try:
        for objects in reach.objects_of(mutant.file):
            if complaint := copy.make(objects):
                outcome.verdict, outcome.by = NOT_COMPILED, complaint
                return outcome
        for program in programs:
            if complaint := copy.make(program.target):
                outcome.verdict, outcome.by = NOT_COMPILED, complaint
                return outcome
            outcome.ran.append(program.name)
            with tempfile.TemporaryFile() as output:
                passed = run_test(program, copy, baseline.timeout_s(program), output)
                if passed is not True:
                    outcome.verdict, outcome.by = (TIMEOUT if passed is None else KILLED), program.name
                    outcome.case = _failed_case(output)
                    return outcome
        return outcome
    finally:
        copy.restore(mutant.file)
        outcome.seconds = time.monotonic() - start
