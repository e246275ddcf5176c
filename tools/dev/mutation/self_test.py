"""Does the tool find what it is for? A project of two sources, mutants whose fate is known, and the list of this tree.

Planted are one mutant for each verdict: one that a test notices, one that none does, one that never ends and one that
no compiler takes. If the tool says anything else of them, its word about the product is worth nothing.
"""
import contextlib
import io
import os
import subprocess
import tempfile

from .copy import free_copies
from .explained import Explained
from .main import try_all
from .places import GROUPS, mutants_of
from .planted import planted
from .trial import KILLED, NOT_COMPILED, SURVIVED, TIMEOUT

_FILES = {
    "meson.build": """project('planted', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=plain'])
lib = static_library('clamp', 'dataplane/clamp.cpp')
test('near', executable('near_test', 'near_test.cpp', link_with: lib), timeout: 1)
""",
    "meson_options.txt": "option('dataplane', type: 'feature')\n",
    "dataplane/clamp.cpp": """// Comments with 1 < 2 are not broken.
enum class Kind { low = 0, high = 1 };
int clamp(int value) {
    if (value > 10) return 10;
    int steps = 0;
    while (steps < value) ++steps;
    const int unused = 7;
    static_assert(1 < 2, "1 < 2");
    return value;
}
int twice(int value) noexcept { return value + value; }
""",
    "near_test.cpp": """int clamp(int);
int main() { return clamp(11) == 10 && clamp(3) == 3 && clamp(10) == 10 ? 0 : 1; }
""",
}

# (what, on a line with) -> verdict.
_EXPECTED = {
    ("comparison `>` -> `>=`", "if (value > 10)"): SURVIVED,  # 10 stays 10: the classic equivalent
    ("constant `10` -> `11`", "if (value > 10)"): KILLED,
    ("removed `++steps`", "while (steps < value)"): TIMEOUT,
    ("constant `7` -> `8`", "const int unused = 7"): SURVIVED,
    ("arithmetic `+` -> `-`", "int twice"): SURVIVED,  # reached by a program, looked at by none
}


@contextlib.contextmanager
def _planted():
    with tempfile.TemporaryDirectory() as root:
        for name, text in _FILES.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["git", "init", "-q", root], check=True)
        yield root


def _verdicts(root, mutants):
    with contextlib.redirect_stdout(io.StringIO()):
        outcomes = try_all(mutants, free_copies(root, 1), timeout_more_s=3)
    return outcomes


def _planted_complaints(root):
    mutants = mutants_of(root, "dataplane/clamp.cpp")
    chosen = [m for m in mutants if any(m.what == what and at in m.before for what, at in _EXPECTED)]
    broken = next(m for m in mutants if "return value;" in m.before or "value + value" in m.before)
    nonsense = type(broken)(**{**vars(broken), "new": "(((", "what": "nonsense"})
    outcomes = _verdicts(root, [*chosen, nonsense])
    for outcome in outcomes:
        if outcome.mutant.what == "nonsense":
            wanted = NOT_COMPILED
        else:
            wanted = next(v for (what, at), v in _EXPECTED.items()
                          if outcome.mutant.what == what and at in outcome.mutant.before)
        if outcome.verdict != wanted:
            yield f"planted `{outcome.mutant.what}` in `{outcome.mutant.before}`: {outcome.verdict}, should be {wanted}"
    if len(outcomes) < len(_EXPECTED) + 1:
        yield f"only {len(outcomes)} of {len(_EXPECTED) + 1} planted mutants were made"
    for untouched in ("1 < 2", "static_assert", "enum class"):
        if any(untouched in mutant.before for mutant in mutants):
            yield f"`{untouched}` was broken, though no test could see it"
    text = _FILES["dataplane/clamp.cpp"]
    with open(os.path.join(root, "build-mutation/0/dataplane/clamp.cpp"), encoding="utf-8") as file:
        if file.read() != text:
            yield "the copy was not put right afterwards"
    with open(os.path.join(root, "dataplane/clamp.cpp"), encoding="utf-8") as file:
        if file.read() != text:
            yield "the tree itself was touched"


def _list_complaints(root):
    for name, files in GROUPS.items():
        for file in files:
            if not os.path.isfile(os.path.join(root, file)):
                yield f"group {name}: {file} is not there any more"
    yield from planted(root)[1]
    explained = Explained(root)
    yield from explained.complaints([mutant for file in explained.files() for mutant in mutants_of(root, file)])


def self_test(root):
    """Prints result lines as every suite does; returns the exit code."""
    failed = 0
    with _planted() as project:
        for name, complaints in (("planted", list(_planted_complaints(project))), ("list", list(_list_complaints(root)))):
            print(f"FAIL mutation/{name}: {len(complaints)} places" if complaints else f"ok mutation/{name}")
            for complaint in complaints:
                print(f"    {complaint}")
            failed += bool(complaints)
    return 1 if failed else 0

