"""Would the fuzzers find the bugs that we fear? planted.yaml names some, at least one for each target:

    - bug: a count times its element's size may wrap
      file: dataplane/acl/check.hpp
      text: ref.count <= (bytes - ref.offset) / sizeof(T)          # how the lines are broken does not matter
      becomes: ref.count * sizeof(T) <= bytes - ref.offset
      targets: [validator]                                         # each of them has to find it

Each is built into a private copy of the tree and every target is run on it as tests/fuzz/run.py runs it; one that finds
nothing in its time is a failure. A text that no longer stands in its file exactly once is one, too.
"""
import os
import re
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools/dev"))

from mutation.copy import free_copies  # noqa: E402
from mutation.planted import mutant_of, slug  # noqa: E402


def entries(root, regex, targets):
    """[(mutant, targets)]; raises ValueError with the entry that is none."""
    with open(os.path.join(HERE, "planted.yaml"), encoding="utf-8") as file:
        listed = yaml.safe_load(file)
    for entry in listed:
        if set(entry) != {"bug", "file", "text", "becomes", "targets"} or not set(entry["targets"]) <= targets:
            raise ValueError(f"planted.yaml: `{entry.get('bug')}` has other keys or targets than planted.py says")
    if missing := targets - {target for entry in listed for target in entry["targets"]}:
        raise ValueError(f"planted.yaml has no bug for {' '.join(sorted(missing))}")
    found = []
    for entry in listed:
        with open(os.path.join(root, entry["file"]), encoding="utf-8") as file:
            mutant = mutant_of(entry, file.read())
        if re.search(regex, entry["bug"]) or regex in entry["targets"]:
            found.append((mutant, entry["targets"]))
    return found


def find(copy, mutant, targets, seconds):
    """(target, whether it was found, what was said) of each."""
    copy.break_with(mutant)
    try:
        for target in targets:
            done = subprocess.run(
                [os.path.join(copy.tree, "tests/fuzz/run.py"), target, "--seconds", str(seconds)],
                env={**os.environ, "FUZZ_BUILD": os.path.join(copy.tree, "build-asan")},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            said = done.stdout.split("\n")[0]
            yield target, done.returncode == 1 and said.startswith(f"FAIL fuzz/{target}: "), said
    finally:
        copy.restore(mutant.file)


def find_all(root, regex, seconds, targets):
    try:
        planted = entries(root, regex, targets)
    except ValueError as problem:
        print(f"FAIL fuzz/planted: {problem}")
        return 1
    (copy,) = free_copies(root, 1)
    copy.sync()
    missed = 0
    for mutant, by in planted:
        for target, found, said in find(copy, mutant, by, seconds):
            missed += not found
            print(f"{'ok' if found else 'FAIL'} fuzz/planted/{target}/{slug(mutant.what)}: {said}", flush=True)
    return 1 if missed or not planted else 0
