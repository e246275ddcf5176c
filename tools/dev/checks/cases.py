"""tests/cases: what the firewall must survive, and which test answers for it. Also behind tools/dev/cases."""
import ast
import re

import yaml

_KEYS = {"id", "input", "expected", "counter", "linux", "source", "status", "waits_for", "gate", "by"}
_REQUIRED = {"id", "input", "expected", "source"}
_STATUSES = ("answered", "partly")
_GATES = ("ci", "long", "release")  # tools/test, tools/test --long, what nobody waits for

_ID = re.compile(r"(?<![A-Za-z0-9])([A-Z]\d+)(?![A-Za-z0-9])")
# In a test's name: at its start or behind an underscore, with a capital or an underscore behind it. T2_IllegalFlags,
# S1RefusesWrongMode, Reply_U1; in Python t34_no_connection_fails.
_IN_NAME = re.compile(r"(?:(?<=_)|^)([A-Z]\d+)(?=[A-Z_]|$)")
_IN_PYTHON_NAME = re.compile(r"(?:(?<=_)|^)([a-z]\d+)(?=_|$)")
_TEST = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*\w+,\s*(\w+)", re.MULTILINE)
_COMMENT = re.compile(r"(?:^//[^\n]*\n)+(?=TEST|TYPED_TEST|RC_GTEST|\n*#include)", re.MULTILINE)

# Not tests: the list itself, what tests are made of, and what tests the tools.
_NO_TESTS = (
    "tests/cases/", "tests/harness/", "tests/scenarios/rig/", "tests/unit/tools/", "tests/fuzz/corpus/",
    "tests/differential/duel/",
)  # fmt: skip


def rows(tree):
    """[(file, row)] of all sections."""
    found = []
    for name in tree.matching(".yaml", under=("tests/cases/",)):
        found += [(name, row) for row in yaml.safe_load(tree.text(name)) or []]
    return found


def _in_cpp(text):
    """In the names of tests, in the comment right above one, and in the one at the head of the file."""
    found = {case for name in _TEST.findall(text) for case in _IN_NAME.findall(name)}
    for comment in _COMMENT.findall(text):
        found.update(_ID.findall(comment))
    return found


def _in_python(text):
    """In the names and docstrings of functions and classes, and in the module's docstring."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
            found.update(_ID.findall(ast.get_docstring(node) or ""))
            if not isinstance(node, ast.Module):
                name = node.name
                found.update(case.upper() for case in _IN_PYTHON_NAME.findall(name))
                found.update(_IN_NAME.findall(name))
    return found


def named(tree):
    """id -> files of tests that are about it. A mere mention, in code or beside it, is no test."""
    found = {}
    for name in tree.files:
        if not name.startswith("tests/") or name.startswith(_NO_TESTS) or not name.endswith((".cpp", ".py")):
            continue
        ids = _in_cpp(tree.text(name)) if name.endswith(".cpp") else _in_python(tree.text(name))
        if name.startswith("tests/scenarios/"):
            folder = name.split("/")[2]
            ids |= {word.upper() for word in folder.split("-")[1:] if re.fullmatch(r"[a-z]\d+", word)}
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
    if "by" in row and not status:
        return [f"{what}: something plays it: answered, or partly?"]
    if row["id"].startswith("Q") and (not row.get("gate") or set(row["gate"]) - set(_GATES)):
        return [f"{what}: a goal has a gate, of: {', '.join(_GATES)}"]
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
        by = row.get("by", [])
        complaints += [f"{name}: {case}: {path} is not there" for path in by if path not in tree.known]
        if row.get("status") and case not in tests and not by:
            complaints.append(f"{name}: {case} is {row['status']}, but no test names it")
        elif not row.get("status") and case in tests:
            complaints.append(
                f"{name}: {case} waits for {row['waits_for']}, but {tests[case][0]} names it: answered, or partly?"
            )
    return complaints


_REASONS = "dataplane/abi/include/sluice/abi/drop_reasons.hpp"
_REASON = re.compile(r"^    X\((\w+),", re.MULTILINE)
# Where a packet is sent and its reason looked at.
_PACKETS = ("tests/unit/dataplane/", "tests/scenarios/", "tests/e2e/suite/")


def reasons(tree):
    """Each reason for a drop is expected by a test that sends such a packet."""
    wanted = _REASON.findall(tree.text(_REASONS))
    words = set()
    for name in tree.matching("_test.cpp", "/expect.counters", ".py", under=_PACKETS):
        words.update(re.findall(r"\w+", tree.text(name)))
    return [f"{_REASONS}: no test expects {reason}" for reason in wanted if reason not in words]
