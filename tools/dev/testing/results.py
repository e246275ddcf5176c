"""One line per result, the same from every suite: `ok NAME`, `FAIL NAME: why`, `skip NAME: why`."""
import os
import re
import select
import signal
import subprocess
import time

_LINE = re.compile(r"^(ok|FAIL|skip) ([^\s:]+)(?:: (.*))?$")

# GoogleTest's words for a case that skipped itself: the reason stands before them. The list at the end has no time.
_SKIPPED_CASE = re.compile(r"^\[  SKIPPED \] ([\w./]+) \(", re.MULTILINE)
_REASON = re.compile(r"^.*: Skipped\n(.*)\n(?:.*\n)*?\[  SKIPPED \] ([\w./]+) \(", re.MULTILINE)
# Python's unittest names them only if asked to.
_SKIPPED_COUNT = re.compile(r"^OK \(.*\bskipped=(\d+)", re.MULTILINE)

_TEARDOWN_S = 10.0  # between the request to end and SIGKILL: a lab is taken down in that time
_HELD_S = 10.0  # how long a suite's output may be held open by others behind its end


def read_skips(path):
    """The named list: name -> reason."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return dict(line.split(None, 1) for line in lines if line)


def skipped_cases(test):
    """[(case, reason)] of a program that passed, from meson's log: its exit code does not say that a case skipped itself."""
    output, beside = test.get("stdout") or "", test.get("stderr") or ""
    reasons = {case: reason.strip() for reason, case in _REASON.findall(output)}
    found = [(case, reasons.get(case, "said so itself")) for case in _SKIPPED_CASE.findall(output)]
    return found + [("unittest", f"{count} of its cases") for count in _SKIPPED_COUNT.findall(output + beside)]


class _Suite:
    """A suite's process, which leads a group of its own, so that its end is the end of all that it has started."""

    def __init__(self, argv, timeout_s, teardown_s, held_s, more):
        self._end = time.monotonic() + timeout_s
        self._timeout_s, self._teardown_s, self._held_s = timeout_s, teardown_s, held_s
        self.trouble = None
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, **more
        )

    def lines(self):
        """Until the output ends or time is over; `trouble` says which. A read never blocks: who hangs says nothing."""
        fd, rest, ended = self._process.stdout.fileno(), b"", None
        while self.trouble is None:
            if select.select([fd], [], [], 0.2)[0]:
                if not (data := os.read(fd, 1 << 16)):
                    break
                *whole, rest = (rest + data).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
            if ended is None and self._process.poll() is not None:
                ended = time.monotonic()
            if time.monotonic() > self._end:
                self.trouble = f"did not end within {self._timeout_s:g} s and was killed"
            elif ended and time.monotonic() > ended + self._held_s:
                self.trouble = f"ended with code {self._process.poll()}, but left a process that holds its output"
        if rest:
            yield rest.decode("utf-8", "replace")

    def code(self):
        """After lines(): the exit code, or None if it had to be killed."""
        try:
            return self._process.wait(timeout=max(0.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.trouble = self.trouble or f"did not end within {self._timeout_s:g} s and was killed"
            return None

    def close(self):
        """Nothing of it runs on. First the wish that Ctrl-C has, so that a lab is taken down, then the end."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if number == signal.SIGKILL or self._process.poll() is None:
                try:
                    os.killpg(self._process.pid, number)
                except ProcessLookupError:
                    break
            try:
                self._process.wait(timeout=self._teardown_s)
            except subprocess.TimeoutExpired:
                pass
        self._process.wait()
        self._process.stdout.close()


class Results:
    def __init__(self, allowed_skips):
        self.allowed_skips = allowed_skips
        self.passed = 0
        self.failed = []
        self.skipped = 0

    def count(self):
        return self.passed + len(self.failed) + self.skipped

    def take(self, kind, name, why="", echo=True):
        if kind == "skip" and name not in self.allowed_skips:
            kind, why = "FAIL", f"skipped, but not in tests/skips: {why}"
        if kind == "ok":
            self.passed += 1
        elif kind == "skip":
            self.skipped += 1
        else:
            self.failed.append(name)
        if echo:
            print(f"{kind} {name}" + (f": {why}" if why else ""), flush=True)

    def take_output_of(self, suite, argv, timeout_s, teardown_s=_TEARDOWN_S, held_s=_HELD_S, **more):
        """Runs a suite that prints result lines; other lines are passed through. A suite that dies, hangs, leaves
        processes with its output or has no result is a failure."""
        before, failed_before = self.count(), len(self.failed)
        process = _Suite(argv, timeout_s, teardown_s, held_s, more)
        try:
            for line in process.lines():
                if found := _LINE.match(line):
                    self.take(found[1], found[2], found[3] or "")
                else:
                    print(line, flush=True)
            code = process.code()
        finally:
            process.close()
        if process.trouble:
            self.take("FAIL", suite, process.trouble)
        elif code != 0 and len(self.failed) == failed_before:
            self.take("FAIL", suite, f"ended with code {code}")
        elif self.count() == before:
            self.take("FAIL", suite, f"ended well without one result: run `{' '.join(argv)}` and see what it looks for")

    def last_line(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped"
