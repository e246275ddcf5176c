"""Which test programs does a file reach? Asked of the build: ninja knows what each program is linked from, and after a
build also which headers each object has read.

Tests of the other process are left out (tests/unit/controlplane for a file of the dataplane, and the other way round):
a line of the classifier that nothing but a test of the API would notice has no test. `far` takes them all.
"""
import json
import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class TestProgram:
    name: str
    target: str  # as ninja calls it
    timeout_s: int


def _output(argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_programs(build):
    """Tests that are compiled programs of this build, in the order of the build files."""
    found = []
    for test in json.loads(_output(["meson", "introspect", "--tests", build])):
        target = os.path.relpath(test["cmd"][0], build)
        if not target.startswith("..") and len(test["cmd"]) == 1:
            found.append(TestProgram(test["name"], target, test["timeout"]))
    return found


def objects_by_header(build):
    """file, relative to the build -> objects that have read it."""
    objects, current = {}, None
    for line in _output(["ninja", "-C", build, "-t", "deps"]).split("\n"):
        if line and not line.startswith((" ", "ninja:")):
            current = line.split(":")[0]
        elif line.startswith("    "):
            objects.setdefault(line.strip(), set()).add(current)
    return objects


class Reach:
    def __init__(self, build, far=False):
        self._build, self._far, self._headers = build, far, None
        self._programs = test_programs(build)
        self._inputs = {
            program: set(_output(["ninja", "-C", build, "-t", "inputs", program.target]).split("\n"))
            for program in self._programs
        }

    def _made_from(self, file):
        """The file itself, or the objects that read it: one of these among a program's inputs means that it is reached."""
        if file.endswith(".cpp"):
            return {f"../{file}"}
        if self._headers is None:
            self._headers = objects_by_header(self._build)
        return self._headers.get(f"../{file}", set())

    def tests_of(self, file):
        made = self._made_from(file)
        return [
            program
            for program in self._programs
            if made & self._inputs[program] and (self._far or _near(file, program.target))
        ]

    def objects_of(self, file):
        """Objects of a source, to see that a mutant compiles before anything is linked."""
        ends = (f"/{os.path.basename(file)}.o",)
        return sorted({name for inputs in self._inputs.values() for name in inputs if name.endswith(ends)})


def _near(file, target):
    sides = ("dataplane", "controlplane")
    side = file.split("/")[0]
    return not any(target.startswith(f"tests/unit/{other}/") for other in sides if other != side and side in sides)
