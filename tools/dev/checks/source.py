"""Format, headers that stand alone, scripts that parse."""
import ast
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def clang_format(tree):
    files = tree.matching(".hpp", ".cpp")
    done = subprocess.run(
        ["clang-format-14", "--dry-run", "-Werror", *files],
        cwd=tree.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return [line for line in done.stderr.splitlines() if "error:" in line]


def _flags(*packages):
    done = subprocess.run(["pkg-config", "--cflags", *packages], stdout=subprocess.PIPE, text=True, check=True)
    return [word.replace("-I", "-isystem", 1) if word.startswith("-I") else word for word in shlex.split(done.stdout)]


_FIRST_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
_INCLUDE_FOLDERS = ("", "dataplane/abi/include/")


def headers_built_first(tree, build):
    """Those with which a source of that build begins: the build has compiled them alone."""
    commands = os.path.join(build, "compile_commands.json")
    if not os.path.exists(commands):
        return set()
    with open(commands, encoding="utf-8") as file:
        entries = [entry for entry in json.load(file) if " -include " not in entry["command"]]
    sources = {os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.root) for entry in entries}
    first = set()
    for source in sources & tree.known:
        if found := _FIRST_INCLUDE.search(tree.text(source)):
            first.update(folder + found[1] for folder in _INCLUDE_FOLDERS)
    return first


def lone_headers(tree):
    """Each header compiles as the first thing in a file: it includes what it uses. Most are the first thing in the source
    that implements them; only the others are compiled here. Results are cached by ccache."""
    build = os.environ.get("BUILD", os.path.join(tree.root, "build"))
    out = os.path.join(build, "lone-headers")
    os.makedirs(out, exist_ok=True)
    built = headers_built_first(tree, build)
    base = ["ccache", "g++", "-std=c++20", "-O0", "-I.", "-Idataplane/abi/include", *_flags("libxxhash", "yaml-cpp")]
    dpdk = _flags("libdpdk")
    environment = {**os.environ, "CCACHE_BASEDIR": tree.root, "CCACHE_NOHASHDIR": "1"}

    def one(header):
        source = os.path.join(out, header.replace("/", "_") + ".cpp")
        with open(source, "w", encoding="utf-8") as file:
            file.write(f'#include "{header}"\n')
        flags = dpdk if "dataplane/port/" in header else []
        done = subprocess.run(
            [*base, *flags, "-c", source, "-o", source + ".o"], cwd=tree.root, env=environment, stderr=subprocess.PIPE, text=True
        )
        first = next((line for line in done.stderr.splitlines() if "error" in line), "")
        return f"{header}: {first}" if done.returncode else None

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return [complaint for complaint in pool.map(one, [h for h in tree.matching(".hpp") if h not in built]) if complaint]


_SEED_HEADER = "tests/harness/seed.hpp"
# What gives another number each time. `urandom` is payload that is compared with itself.
_CHANCE = re.compile(r"\b(?:SystemRandom|time_ns|random\.(?:random|randrange|randint|choices?|sample|shuffle|uniform))\b\(?")


def seeds(tree):
    """What is random in a test can be played again: its seed comes from SEED, through one helper in C++."""
    complaints = []
    for name in tree.matching(".cpp", ".hpp", ".py", under=("tests/",)):
        text = tree.text(name)
        if not name.endswith(".py"):
            for number, line in enumerate(text.split("\n"), 1):
                if name != _SEED_HEADER and "random_device" in line:
                    complaints.append(f"{name}:{number}: random_device: take seed_of_this_run() of {_SEED_HEADER}")
        elif (found := _CHANCE.search(text)) and '"SEED"' not in text:
            number = text.count("\n", 0, found.start()) + 1
            complaints.append(f"{name}:{number}: {found[0].rstrip('(')}: without the environment's SEED nobody can repeat this")
    return complaints


def scripts(tree):
    """Programs have their bit, Python and bash parse."""
    complaints = []
    for name in tree.files:
        path = os.path.join(tree.root, name)
        head = tree.text(name)[:100] if tree.is_text(name) else ""
        if head.startswith("#!") and not os.access(path, os.X_OK):
            complaints.append(f"{name}: has #! and is not executable")
        if name.endswith(".py") or "python3" in head.split("\n")[0]:
            try:
                ast.parse(tree.text(name))
            except SyntaxError as problem:
                complaints.append(f"{name}:{problem.lineno}: {problem.msg}")
        elif head.startswith("#!") and "bash" in head.split("\n")[0]:
            done = subprocess.run(["bash", "-n", path], stderr=subprocess.PIPE, text=True)
            complaints += done.stderr.splitlines()
    return complaints


_CORPUS = "tests/fuzz/corpus/"


def corpora(tree):
    """Each fuzz target is in the list of run.py and has inputs to begin with; each folder of inputs has its target."""
    targets = {os.path.basename(name)[: -len("_fuzz.cpp")] for name in tree.matching("_fuzz.cpp", under=("tests/fuzz/",))}
    listed = set(re.findall(r'^    "(\w+)": \(\d+,', tree.text("tests/fuzz/run.py"), re.MULTILINE))
    folders = {name[len(_CORPUS) :].split("/")[0] for name in tree.files if name.startswith(_CORPUS)}
    return [
        *(f"tests/fuzz/{name}_fuzz.cpp: not in TARGETS of tests/fuzz/run.py" for name in sorted(targets - listed)),
        *(f"tests/fuzz/run.py: {name} has no tests/fuzz/{name}_fuzz.cpp" for name in sorted(listed - targets)),
        *(f"{_CORPUS}{name}: no input; add one, then tests/fuzz/run.py {name} --merge" for name in sorted(targets - folders)),
        *(f"{_CORPUS}{name}: inputs without a target" for name in sorted(folders - targets)),
    ]


def planted(tree):
    """The bugs that tests and fuzzers have to find can still be planted into the sources, and each fuzzer has one."""
    sys.path[:0] = [os.path.join(tree.root, "tests/fuzz"), os.path.join(tree.root, "tools/dev")]
    from mutation.planted import planted as for_tests
    from planted import entries  # tests/fuzz/planted.py

    targets = {os.path.basename(name)[: -len("_fuzz.cpp")] for name in tree.matching("_fuzz.cpp", under=("tests/fuzz/",))}
    try:
        entries(tree.root, "", targets)
    except ValueError as problem:
        return [str(problem), *for_tests(tree.root)[1]]
    return for_tests(tree.root)[1]
