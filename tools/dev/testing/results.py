"""One line per result, the same from every suite: `ok NAME`, `FAIL NAME: why`, `skip NAME: why`."""
import re
import subprocess

_LINE = re.compile(r"^(ok|FAIL|skip) ([^\s:]+)(?:: (.*))?$")


def read_skips(path):
    """The named list: name -> reason."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return dict(line.split(None, 1) for line in lines if line)


class Results:
    def __init__(self, allowed_skips):
        self.allowed_skips = allowed_skips
        self.passed = 0
        self.failed = []
        self.skipped = 0

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

    def take_output_of(self, suite, argv, timeout_s, **more):
        """Runs a suite that prints result lines; other lines are passed through. A suite that dies is a failure."""
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more)
        seen_failure = False
        try:
            for line in process.stdout:
                if found := _LINE.match(line.rstrip("\n")):
                    seen_failure |= found[1] == "FAIL"
                    self.take(found[1], found[2], found[3] or "")
                else:
                    print(line, end="", flush=True)
            code = process.wait(timeout=timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
        if code != 0 and not seen_failure:
            self.take("FAIL", suite, f"ended with code {code}")

    def last_line(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped"
