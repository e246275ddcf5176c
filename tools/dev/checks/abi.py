"""The layout of what crosses the process boundary: complete in layout.hpp, and never changed under an old version.

`dataplane/abi/layout.history` holds one line per ABI version, `VERSION HASH`, oldest first. The last one must be what
the headers say now; a line that was ever committed stays. So a moved field needs a new line, and a new line needs a new
version.
"""
import os
import re
import subprocess

_HEADERS = "dataplane/abi/include/sluice/abi/"
_LAYOUT = _HEADERS + "layout.hpp"
_HISTORY = "dataplane/abi/layout.history"
# Types of these headers that stand in no shared memory and no message, with the reason.
_PRIVATE = {
    "NetOrder": "a template: seen through L4Port and Ipv4Addr wherever they are fields",
    "DropReasonInfo": "texts of this process; the enum and the count are what is shared",
    "FlowLossInfo": "the same",
}
_STRUCT = re.compile(r"\b(?:struct|class)\s+(?:alignas\([^)]*\)\s*)?(\w+)\s*(?:final\s*)?\{")
_LISTED = re.compile(r"SLUICE_LAYOUT\(\s*(\w+)\s*((?:,\s*\w+\s*)*)\)")
_BRACES = re.compile(r"\{[^{}]*\}")
_TEMPLATE = re.compile(r"<[^<>]*>")


def _without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"", "", text, flags=re.DOTALL)


def _body(text, start):
    """What stands between the brace before `start` and its partner."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at]
    return text[start:]


def _fields(body):
    """Names of the data members, in order. Functions and types are left out."""

    def close(match):
        statement = body[: match.start()].rpartition(";")[2]
        return ";" if "(" in statement else ""  # a function ends with its body; an initialiser is only left out

    while found := _BRACES.search(body):
        body = body[: found.start()] + close(found) + body[found.end() :]
    names = []
    for statement in body.split(";"):
        statement = statement.split("=")[0]
        while _TEMPLATE.search(statement):
            statement = _TEMPLATE.sub("", statement)
        statement = re.sub(r"^\s*(public|private|protected)\s*:(?!:)", "", statement).strip()
        if not statement or "(" in statement or re.match(r"(static|using|template|friend)\b|.*\boperator\b", statement):
            continue
        names += [re.findall(r"\w+", part)[-1] for part in statement.split(",")]
    return names


def structs(text):
    """Struct name -> data members, of one header."""
    text = _without_comments(text)
    return {found[1]: _fields(_body(text, found.end())) for found in _STRUCT.finditer(text)}


def listed(text):
    """Struct name -> members, as layout.hpp lists them."""
    return {name: re.findall(r"\w+", rest) for name, rest in _LISTED.findall(_without_comments(text))}


def complete(tree):
    complaints = []
    there = listed(tree.text(_LAYOUT))
    for header in tree.matching(".hpp", under=(_HEADERS,)):
        if header == _LAYOUT:
            continue
        for name, fields in structs(tree.text(header)).items():
            if name in _PRIVATE:
                continue
            if name not in there:
                complaints.append(f"{header}: {name} is not in layout.hpp: nobody would notice that it changed")
            elif missing := [field for field in fields if field not in there[name]]:
                complaints.append(f"{header}: {name}: layout.hpp does not list {', '.join(missing)}")
    return complaints


def lines_of(text):
    """(version, hash) of each line that is no comment."""
    words = [line.split("#")[0].split() for line in text.split("\n")]
    return [(int(line[0]), line[1]) for line in words if len(line) == 2 and line[0].isdigit()]


def judge(history, committed, version, hash_now):
    """`history` as it stands, `committed`: every line that was ever committed, and what the headers say now."""
    complaints = [
        f"{_HISTORY}: the line `{old[0]} {old[1]}` was changed or removed; versions that were handed out stay"
        for old in committed
        if old not in history
    ]
    numbers = [number for number, _hash in history]
    if numbers != list(range(1, len(numbers) + 1)):
        complaints.append(f"{_HISTORY}: versions are {numbers}, wanted 1, 2, 3, ...")
    if not history or history[-1] != (version, hash_now):
        last = f"{history[-1][0]} {history[-1][1]}" if history else "nothing"
        highest = max(numbers, default=0)
        cure = (
            f"raise kAbiVersion to {highest + 1} (tables.hpp), run this again and add the line that it asks for"
            if version <= highest
            else f"add the line `{version} {hash_now}`"
        )
        complaints.append(f"{_HISTORY}: ends in `{last}`, the headers say `{version} {hash_now}`; {cure}")
    return complaints


def _said_by_the_headers(tree):
    """(version, hash), or the compiler's complaint."""
    out = os.path.join(os.environ.get("BUILD", os.path.join(tree.root, "build")), "abi-layout")
    os.makedirs(out, exist_ok=True)
    source, program = os.path.join(out, "probe.cpp"), os.path.join(out, "probe")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <cstdio>\n#include <sluice/abi/layout.hpp>\n")
        file.write('int main() { std::printf("%u %016llx", sluice::abi::kAbiVersion, ')
        file.write("static_cast<unsigned long long>(sluice::abi::kLayoutHash)); }\n")
    include = os.path.join(tree.root, "dataplane/abi/include")
    done = subprocess.run(
        ["g++", "-std=c++20", "-I", include, source, "-o", program], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        return None, next((line for line in done.stderr.splitlines() if "error" in line), "does not compile")
    version, layout_hash = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return (int(version), layout_hash), None


def layout(tree):
    complaints = complete(tree)
    if _HISTORY not in tree.known:
        return complaints + [f"{_HISTORY} is not there"]
    now, problem = _said_by_the_headers(tree)
    if problem:
        return complaints + [f"{_LAYOUT}: {problem}"]
    log = subprocess.run(
        ["git", "-C", tree.root, "log", "--format=", "--unified=0", "--patch", "--", _HISTORY],
        stdout=subprocess.PIPE, text=True, check=False,
    ).stdout  # fmt: skip
    committed = lines_of("\n".join(line[1:] for line in log.split("\n") if re.match(r"\+\d", line)))
    return complaints + judge(lines_of(tree.text(_HISTORY)), sorted(set(committed)), *now)
