"""clang-tidy over the compile commands of a build, in parallel, with a cache.

A unit's result depends on its text, the project's headers that it reaches, its flags, `.clang-tidy` and the tool's
version; the hash of all that names a file under `$BUILD/tidy`, and a unit that was clean is not looked at again. What
was found is not remembered: it is to be fixed.

Three sizes. `changed` (a plain `tools/dev/check`): what differs from the branch `main`. `whole` (tools/test): all units
but those of tests. `analyzer` (`--long`): all units, with clang's path-sensitive analyzer.
"""
import hashlib
import json
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

_TIDY = "clang-tidy-14"
_INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<(sluice/[^>]+)>)', re.MULTILINE)
_FINDING = re.compile(r"^([^\s:]+):(\d+):\d+: (?:warning|error): (.*)$")
_ABI = "dataplane/abi/include/"
# gcc's options that clang does not know say nothing about our code.
_EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-everything"]


def _build_dir(tree):
    build = os.environ.get("BUILD", "build")
    return build if os.path.isabs(build) else os.path.join(tree.root, build)


def _units(tree, build):
    """Project file -> its compile command as words, without output and dependency files."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    units = {}
    for entry in entries:
        name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.root)
        if name in tree.known and name not in units:
            units[name] = shlex.split(entry["command"])
    return units


class _Includes:
    """What a file reaches inside the project; each file is read once."""

    def __init__(self, tree):
        self.tree = tree
        self.direct = {}

    def of(self, name):
        if name not in self.direct:
            found = (quoted or _ABI + angled for quoted, angled in _INCLUDE.findall(self.tree.text(name)))
            self.direct[name] = [target for target in found if target in self.tree.known]
        return self.direct[name]

    def closure(self, name):
        seen, todo = {name}, [name]
        while todo:
            for target in self.of(todo.pop()):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return sorted(seen)


def _key(tree, includes, name, flags, settings):
    digest = hashlib.sha256("\0".join([settings, name, *flags]).encode())
    for file in includes.closure(name):
        digest.update(f"\0{file}\0{tree.text(file)}".encode())
    return digest.hexdigest()


def _changed(tree):
    """Files that differ from where this branch left `main`, committed or not."""
    def git(*words):
        done = subprocess.run(["git", "-C", tree.root, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.split() if done.returncode == 0 else []

    base = git("merge-base", "HEAD", "main")
    return {*git("diff", "--name-only", *(base or ["HEAD"])), *git("ls-files", "--others", "--exclude-standard")}


def _units_of(changed, units, includes):
    """The changed sources, and for each changed header the source of its name, else the first that includes it."""
    chosen = {name for name in changed if name in units}
    for header in (name for name in changed if name.endswith(".hpp")):
        own = header[: -len(".hpp")] + ".cpp"
        users = [own] if own in units else [name for name in sorted(units) if header in includes.closure(name)][:1]
        chosen.update(users)
    return chosen


def findings(output, build, root):
    """`file:line: what [check]` of each finding in the project, once. The tool names files as the build does."""
    found = []
    for line in output.splitlines():
        if match := _FINDING.match(line):
            path = os.path.relpath(os.path.join(build, match[1]), root)
            finding = f"{path}:{match[2]}: {match[3]}"
            if not path.startswith("..") and finding not in found:
                found.append(finding)
    return found


def _run(tree, size):
    build = _build_dir(tree)
    if not os.path.exists(os.path.join(build, "compile_commands.json")):
        return [f"no compile_commands.json in {build}: run tools/dev/build first"]
    version = subprocess.run([_TIDY, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    checks = [] if size == "analyzer" else ["--checks=-clang-analyzer-*"]
    settings = "\0".join([version, tree.text(".clang-tidy"), *checks, *_EXTRA])
    cache = os.path.join(build, "tidy")
    os.makedirs(cache, exist_ok=True)
    units, includes = _units(tree, build), _Includes(tree)
    wanted = {
        "changed": lambda: _units_of(_changed(tree), units, includes),
        "whole": lambda: {name for name in units if not name.startswith("tests/")},
        "analyzer": lambda: set(units),
    }[size]()
    keys = {name: _key(tree, includes, name, units[name], settings) for name in sorted(units)}

    def one(name):
        done = subprocess.run(
            [_TIDY, "--quiet", "-p", build, *checks, *_EXTRA, name],
            cwd=tree.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        found = findings(done.stdout, build, tree.root)
        if done.returncode and not found:
            found = [f"{name}: {_TIDY} ended with code {done.returncode}: {done.stdout.strip().splitlines()[-1:]}"]
        if not found:
            with open(os.path.join(cache, keys[name]), "w", encoding="utf-8"):
                pass
        return found

    todo = [name for name in sorted(wanted) if not os.path.exists(os.path.join(cache, keys[name]))]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        complaints = [finding for found in pool.map(one, todo) for finding in found]
    return sorted(set(complaints))


def changed(tree):
    return _run(tree, "changed")


def whole(tree):
    return _run(tree, "whole")


def analyzer(tree):
    return _run(tree, "analyzer")
