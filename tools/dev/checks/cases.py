"""tests/cases: what the firewall must survive, and which test answers for it. Also behind tools/dev/cases."""
import re

import yaml

_KEYS = {"id", "input", "expected", "counter", "linux", "source", "status", "waits_for"}
_REQUIRED = {"id", "input", "expected", "source"}
_STATUSES = ("answered", "partly")

_ID = re.compile(r"(?<![A-Za-z0-9])([A-Z]\d+)(?![A-Za-z0-9])")
# In a name of C++ an id stands beside an underscore: T2_IllegalFlags, Reply_U1. `L4` alone is a layer.
_JOINED = re.compile(r"(?<=_)[A-Z]\d+(?![A-Za-z0-9])|(?<![A-Za-z0-9])[A-Z]\d+(?=_)")
_NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)

# Not tests: the list itself, what tests are made of, and what tests the tools.
_NO_TESTS = ("tests/cases/", "tests/harness/", "tests/scenarios/rig/", "tests/unit/tools/", "tests/fuzz/corpus/")


def rows(tree):
    """[(file, row)] of all sections."""
    found = []
    for name in tree.matching(".yaml", under=("tests/cases/",)):
        found += [(name, row) for row in yaml.safe_load(tree.text(name)) or []]
    return found


def named(tree):
    """id -> files of tests that name it."""
    found = {}
    for name in tree.files:
        if not name.startswith("tests/") or name.startswith(_NO_TESTS) or not tree.is_text(name):
            continue
        text = tree.text(name)
        if name.endswith((".cpp", ".hpp")):
            ids = set(_JOINED.findall(text))
            for part in _NOT_CODE.findall(text):
                ids.update(_ID.findall(part))
        elif name.endswith(".py"):
            ids = set(_ID.findall(text)) | set(_JOINED.findall(text))
        else:
            continue
        for case in ids:
            found.setdefault(case, []).append(name)
    return found


def _shape(name, row):
    what = f"{name}: {row.get('id', row)}"
    if unknown := set(row) - _KEYS:
        return [f"{what}: unknown key {', '.join(sorted(unknown))}"]
    if missing := _REQUIRED - set(row):
        return [f"{what}: without {', '.join(sorted(missing))}"]
    status, waits = row.get("status"), row.get("waits_for")
    if status not in (None, *_STATUSES):
        return [f"{what}: status {status}; expected one of: {', '.join(_STATUSES)}"]
    if (status == "answered") == bool(waits):
        return [f"{what}: answered, or waits for something: one of the two"]
    return []


def cases(tree):
    """Rows that are answered have a test that names them; rows that a test names say so."""
    all_rows, tests = rows(tree), named(tree)
    complaints = [complaint for name, row in all_rows for complaint in _shape(name, row)]
    if complaints:
        return complaints
    seen = set()
    for name, row in all_rows:
        case = row["id"]
        if case in seen:
            complaints.append(f"{name}: {case} stands twice")
        seen.add(case)
        if row.get("status") and case not in tests:
            complaints.append(f"{name}: {case} is {row['status']}, but no test names it")
        elif not row.get("status") and case in tests:
            complaints.append(
                f"{name}: {case} waits for {row['waits_for']}, but {tests[case][0]} names it: answered, or partly?"
            )
    return complaints
