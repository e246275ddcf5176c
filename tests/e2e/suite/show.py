"""The demo itself, on IPv4 and IPv6, and what a newcomer does next."""
import json
import os
import re
import subprocess

import yaml

from lab import demo, verdicts
from lab.names import OUTSIDE, ROOT, SHOP, binary
from lab.shell import in_ns, run, until


def demo_shows_each_verdict(bench):
    """`tools/demo` ends with code 0 only if every line is as the policy says."""
    done = run(os.path.join(ROOT, "tools/demo"), "--lab", bench.lab.name, check=False, timeout_s=300)
    assert done.returncode == 0, done.stderr or done.stdout
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("lab     outside 198.51.100.7 | sluice"))
    assert "4/4 tests" in lines[first] and "policy demo-edge@" in lines[first], lines[first]
    assert len(lines) == first + 8, done.stdout
    assert lines[-1].startswith("next    "), lines[-1]


def demo_up_twice_is_harmless(bench):
    pids = [bench.pid("dataplane"), bench.pid("controlplane")]
    demo_shows_each_verdict(bench)
    assert pids == [bench.pid("dataplane"), bench.pid("controlplane")]


def demo_verdicts_on_ipv6(bench):
    complaints = verdicts.show(bench.api, verdicts.more_checks(bench.lab))
    assert not complaints, complaints


def sluicectl_answers(bench):
    """Each word of the README does something, in table and JSON form."""
    policy = demo.POLICY
    for words in (["status"], ["get", "rules"], ["get", "flows"], ["get", "policy"]):
        assert bench.ctl(*words).stdout.strip(), words
    for words in (["status"], ["get", "rules"], ["get", "flows"]):
        json.loads(bench.ctl("-o", "json", *words).stdout)
    assert bench.ctl("plan", "-f", policy, check=False).returncode == 0
    shown = bench.ctl("explain", "--in", "outside", OUTSIDE[0], f"{SHOP[0]}:443/tcp").stdout
    assert "web-in" in shown, shown
    wrong = os.path.join(bench.lab.run_dir, "wrong.yaml")
    with open(policy, encoding="utf-8") as source, open(wrong, "w", encoding="utf-8") as target:
        target.write(source.read().replace("to: shop, service: ssh", "to: shp, service: ssh"))
    done = bench.ctl("plan", "-f", wrong, check=False)
    assert done.returncode == 1 and "shop" in done.stderr, (done.returncode, done.stderr)


def flows_are_followed(bench):
    """`flows -f` shows a connection as it happens; `GET /v1/flows` shows it while it lives."""
    path = os.path.join(bench.lab.run_dir, "followed.jsonl")
    argv = [binary("sluicectl"), *demo.sluicectl_flags(bench.lab), "-o", "json", "flows", "-f"]
    with open(path, "wb") as out:
        follower = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
    try:

        def look():
            # Connect again and again: the follower sees only what happens after it has connected itself.
            bench.tcp(443)
            with open(path, encoding="utf-8") as file:
                return "web-in" in file.read()

        until(look, "a flow event of rule web-in", 10.0, step_s=0.1)
    finally:
        follower.kill()
        follower.wait()
    listed = bench.api.json("GET", "/v1/flows?limit=1000")["flows"]
    mine = [flow for flow in listed if flow["dst"] == SHOP[0] and flow["dport"] == 443]
    assert mine and mine[0]["rule"] == "web-in", listed[:3]


def flow_log_is_json_lines(bench):
    path = os.path.join(bench.lab.log_dir, "flows.jsonl")

    def look():
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().splitlines()]

    assert until(look, "lines in the flow log", 5.0)


def metrics_pass_promtool(bench):
    for path in ("/metrics", "/metrics/rules"):
        status, _, text = bench.api.request("GET", path)
        assert status == 200 and "sluice_" in text, (status, text[:200])
        done = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, f"{path}: {done.stdout}"


_OF_PROMETHEUS = {"instance", "job"}  # it adds them to what it scrapes


def _scraped(text):
    """Name of a series -> the labels of each of its samples."""
    found = {}
    for name, labels in re.findall(r"^(sluice_\w+)(?:\{(.*)\})? \S+$", text, re.M):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))
    return found


def _queries():
    """(where, expression, labels that people are shown) of the dashboard and of the alert rules that ship."""
    with open(os.path.join(ROOT, "docs/grafana/sluice.json"), encoding="utf-8") as file:
        for panel in json.load(file)["panels"]:
            for target in panel.get("targets", []):
                yield f"panel {panel['title']!r}", target["expr"], re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    with open(os.path.join(ROOT, "docs/prometheus/alerts.yaml"), encoding="utf-8") as file:
        for rule in (rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]):
            yield f"alert {rule['alert']}", rule["expr"], re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))


def _sums(expression):
    """(begin, end, labels that are left) of each aggregation."""
    for match in re.finditer(r"\b(?:sum|min|max|avg|count)(?: by \(([\w, ]+)\) )?\(", expression):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(expression[end], 0)
            end += 1
        yield match.start(), end, re.findall(r"\w+", match[1] or "")


def _missing(expression, shown, scraped):
    """What the expression asks for and its series do not have."""
    for number, asked in enumerate(re.finditer(r"\b(sluice_\w+)(?:\{([^}]*)\})?", expression)):
        name = asked[1]
        if name not in scraped:
            yield name
            continue
        labels = _OF_PROMETHEUS | set.intersection(*({*sample} for sample in scraped[name]))
        sums = [left for begin, end, left in _sums(expression) if begin < asked.start() < end]
        wanted = {label for left in sums for label in left}
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', asked[2] or ""):
            wanted.add(label)
            there = {sample.get(label) for sample in scraped[name]}
            if label not in _OF_PROMETHEUS:
                yield from (f'{name}{{{label}="{each}"}}' for each in (value.split("|") if "~" in operator else [value]) if each not in there)
        if number == 0:  # what an operator leaves has the labels of its left side
            wanted |= set(shown)
            yield from (f"{label} (summed up)" for label in shown if sums and label not in sums[0])
        yield from (f"label {label} of {name}" for label in wanted - labels)


def what_dashboard_and_alerts_ask_for_is_scraped(bench):
    """Each series, each label of that very series and each value of it that a query names, against what a firewall that has
    a policy and traffic really tells."""
    bench.put(bench.policy)
    bench.wait_forwarding()
    scraped = {}
    for path in ("/metrics", "/metrics/rules"):
        scraped.update(_scraped(bench.api.request("GET", path)[2]))
    queries = list(_queries())
    assert len(queries) > 50, len(queries)
    missing = [f"{where}: {what}" for where, expression, shown in queries for what in _missing(expression, shown, scraped)]
    assert not missing, missing


def inspect_prints_the_live_generation(bench):
    done = run(binary("sluice-inspect"), "--socket", bench.lab.tables_socket, "generation")
    assert "web-in" in done.stdout, done.stdout[:400]


def offloaded_checksums_are_counted(bench):
    """With the sender's checksum offload on, frames carry half a checksum: TCP is dropped and counted, not passed."""
    set_to = lambda word: run(*in_ns(bench.lab.ns_outside, "ethtool", "-K", "c0", "tx", word))  # noqa: E731
    key = 'sluice_drop_reasons_total{port="outside",reason="bad_l4_csum"}'

    def counted():
        for line in bench.api.request("GET", "/metrics")[2].splitlines():
            if line.startswith("sluice_drop_reasons_total") and 'reason="bad_l4_csum"' in line and 'port="outside"' in line:
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    before = counted()
    set_to("on")
    try:
        assert bench.tcp(443) == "deny"
    finally:
        set_to("off")
    until(lambda: counted() > before, f"{key} counts", 5.0)
    assert bench.tcp(443) == "allow"


TESTS = [
    demo_shows_each_verdict,
    demo_up_twice_is_harmless,
    demo_verdicts_on_ipv6,
    sluicectl_answers,
    flows_are_followed,
    flow_log_is_json_lines,
    metrics_pass_promtool,
    what_dashboard_and_alerts_ask_for_is_scraped,
    inspect_prints_the_live_generation,
    offloaded_checksums_are_counted,
]
