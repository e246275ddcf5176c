"""Who may include whom, tests beside their sources, file lengths."""
import os
import re

_INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)

# Folder -> project folders that it may include besides itself and <sluice/...>. Longest match wins.
_MAY = {
    "dataplane/abi/": (),
    "dataplane/acl/": (),
    "dataplane/flow/": ("dataplane/acl/", "dataplane/pipeline/"),
    "dataplane/steering/": ("dataplane/flow/",),
    "dataplane/pipeline/": ("dataplane/acl/", "dataplane/flow/", "dataplane/steering/"),
    "dataplane/manager/": ("dataplane/acl/", "dataplane/flow/", "dataplane/pipeline/", "dataplane/steering/"),
    "dataplane/": ("dataplane/",),
    "controlplane/": ("controlplane/", "dataplane/acl/"),
    "tools/sluicectl/": ("controlplane/policy/", "tools/sluicectl/"),
    "tools/sluice-inspect/": ("dataplane/acl/", "tools/sluice-inspect/"),
}
_WITHOUT_DPDK = (
    "dataplane/abi/",
    "dataplane/acl/",
    "dataplane/flow/",
    "dataplane/steering/",
    "dataplane/pipeline/",
    "dataplane/manager/",
)
_BEAST_FILES_MAX = 4
_LINES_MAX = 600
_TEST_LINES_MAX = 800  # a test file is a list: it is looked up, not read through


def _includes(tree, name):
    text = tree.text(name)
    for match in _INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1] == '"', match[2]


def arrows(tree):
    complaints = []
    for name in tree.matching(".hpp", ".cpp", ".h"):
        folder = max((folder for folder in _MAY if name.startswith(folder)), key=len, default=None)
        dpdk = not name.startswith(("tests/", "dataplane/port/")) and name != "dataplane/main.cpp"
        for line, quoted, target in _includes(tree, name):
            if target.startswith("rte_") and (dpdk or name.startswith(_WITHOUT_DPDK)):
                complaints.append(f"{name}:{line}: <{target}>: only dataplane/port and dataplane/main.cpp include DPDK")
            if folder is None or not quoted:
                continue
            if not target.startswith((folder, *_MAY[folder])):
                complaints.append(f'{name}:{line}: "{target}": {folder} does not depend on that')
    return complaints


def beast(tree):
    """Boost.Beast costs 20 s of compile time per file, so it stays behind plain interfaces."""
    users = [
        name
        for name in tree.matching(".hpp", ".cpp", under=("controlplane/", "dataplane/", "tools/"))
        if any(target.startswith("boost/beast") for _line, _quoted, target in _includes(tree, name))
    ]
    complaints = [f"{name}: a header includes Boost.Beast" for name in users if name.endswith(".hpp")]
    if len(users) > _BEAST_FILES_MAX:
        complaints.append(f"Boost.Beast in {len(users)} files, {_BEAST_FILES_MAX} allowed: {', '.join(users)}")
    return complaints


def _elsewhere(tree):
    """tests/twins: source -> the test that stands for it."""
    if "tests/twins" not in tree.known:
        return {}
    lines = [line.split("#")[0].split() for line in tree.text("tests/twins").split("\n")]
    return dict(words for words in lines if words)


def twins(tree):
    """Each source file has a test in the mirror folder: one of its name, or one that includes the header it implements,
    itself: what a test reaches through others is no test of it. What has neither is named in tests/twins with the test
    that stands for it."""
    covered = {}
    elsewhere = _elsewhere(tree)
    for name in tree.matching("_test.cpp", under=("tests/unit/",)):
        folder = os.path.dirname(name)[len("tests/unit/") :]
        included = {target for _line, quoted, target in _includes(tree, name) if quoted}
        covered.setdefault(folder, set()).update(included, {name[len("tests/unit/") : -len("_test.cpp")]})
    complaints = [
        f"tests/twins: {source} or {test} is not there"
        for source, test in elsewhere.items()
        if source not in tree.known or test not in tree.known
    ]
    for name in tree.matching(".cpp", under=("dataplane/", "controlplane/")):
        stem, folder = os.path.splitext(name)[0], os.path.dirname(name)
        # What a file implements is its own header or, where several files share one, the first that it includes.
        first = next((target for _line, quoted, target in _includes(tree, name) if quoted), None)
        if os.path.basename(stem) == "main" or {stem, stem + ".hpp", first} & covered.get(folder, set()):
            if name in elsewhere:
                complaints.append(f"tests/twins: {name} has a test of its own by now")
            continue
        if name in elsewhere:
            continue
        complaints.append(f"{name}: no tests/unit/{stem}_test.cpp, and no test there includes its header")
    return complaints


def length(tree):
    complaints = []
    for name in tree.matching(".hpp", ".cpp", ".py"):
        lines = tree.text(name).count("\n")
        most = _TEST_LINES_MAX if name.startswith("tests/") else _LINES_MAX
        if lines > most:
            complaints.append(f"{name}: {lines} lines; past {most} a second subject has moved in")
    return complaints
