"""What the demo shows: real connections, each compared with what the policy says, and the rule that decided."""
import json
import re

from .names import DB, OUTSIDE, SHOP, Trouble
from .shell import in_ns, run, until

_PROBE = __file__.replace("verdicts.py", "probe.py")


class Check:
    """One line. `way` is (from, to) as shown; `explain` asks the control plane which rule decides."""

    def __init__(self, text, expect, rule, measure, explain):
        self.text = text
        self.expect = expect
        self.rule = rule
        self.measure = measure
        self.explain = explain


def _http(namespace, url, address, port, lab=None):
    host = url.split("/")[2]
    bracketed = f"[{address}]" if ":" in address else address
    trust = ["--cacert", f"{lab.run_dir}/shop.pem"] if lab else []
    done = run(
        *in_ns(namespace, "curl", "-sS", "-o", "/dev/null", *trust, "--noproxy", "*", "--max-time", "3"),
        "--resolve", f"{host}:{port}:{bracketed}", "-w", "%{http_code} %{time_total}", url,
        check=False,
    )  # fmt: skip
    code, _, seconds = (done.stdout or "000 0").partition(" ")
    milliseconds = float(seconds or 0) * 1000
    if code == "200":
        return "allow", "200 OK", milliseconds
    if "refused" in done.stderr:
        return "reject", "refused", milliseconds
    if "timed out" in done.stderr.lower():
        return "deny", "timed out", milliseconds
    return "error", done.stderr.strip().split("\n")[-1][:60] or f"HTTP {code}", milliseconds


def tcp(namespace, address, port, timeout_s=1.0):
    done = run(*in_ns(namespace, "/usr/bin/python3", "-I", _PROBE, address, str(port), str(timeout_s)))
    outcome, _, milliseconds = done.stdout.strip().partition("|")
    verdict = {"connected": "allow", "refused": "reject", "timed out": "deny"}.get(outcome, "error")
    return verdict, outcome, float(milliseconds)


def _ping(namespace, address):
    done = run(*in_ns(namespace, "ping", "-n", "-c", "1", "-W", "1", address), check=False)
    found = re.search(r"time=([0-9.]+)", done.stdout)
    return ("allow", "reply", float(found[1])) if found else ("deny", "no reply", 1000.0)


def _question(port, src, dst, proto, **more):
    return {"in_port": port, "src": src, "dst": dst, "proto": proto, **more}


def checks(lab):
    """The lines of CONTRACTS, in order."""
    out, ins = lab.ns_outside, lab.ns_inside
    tcp_of = lambda port, src, dst, dport: _question(port, src, dst, "tcp", sport=49152, dport=dport)  # noqa: E731
    return [
        Check("outside -> shop:443/tcp", "allow", "web-in",
              lambda: _http(out, "https://shop/", SHOP[0], 443, lab), tcp_of("outside", OUTSIDE[0], SHOP[0], 443)),
        Check("outside -> shop:443/tcp6", "allow", "web-in",
              lambda: _http(out, "https://shop/", SHOP[1], 443, lab), tcp_of("outside", OUTSIDE[1], SHOP[1], 443)),
        Check("outside -> shop:22/tcp", "reject", "ops-closed",
              lambda: tcp(out, SHOP[0], 22), tcp_of("outside", OUTSIDE[0], SHOP[0], 22)),
        Check("outside -> db:5432/tcp", "deny", "default",
              lambda: tcp(out, DB[0], 5432), tcp_of("outside", OUTSIDE[0], DB[0], 5432)),
        Check("outside -> shop icmp", "allow", "ping-in",
              lambda: _ping(out, SHOP[0]),
              _question("outside", OUTSIDE[0], SHOP[0], "icmp", icmp_type=8, icmp_code=0)),
        Check("inside  -> outside:80/tcp", "allow", "egress-web",
              lambda: _http(ins, "http://outside/", OUTSIDE[0], 80), tcp_of("inside", SHOP[0], OUTSIDE[0], 80)),
    ]  # fmt: skip


def more_checks(lab):
    """Not shown, but measured by the end-to-end test: the other halves of the same policy on IPv6."""
    out, ins = lab.ns_outside, lab.ns_inside
    tcp_of = lambda port, src, dst, dport: _question(port, src, dst, "tcp", sport=49152, dport=dport)  # noqa: E731
    return [
        Check("outside -> shop:22/tcp6", "reject", "ops-closed",
              lambda: tcp(out, SHOP[1], 22), tcp_of("outside", OUTSIDE[1], SHOP[1], 22)),
        Check("outside -> db:5432/tcp6", "deny", "default",
              lambda: tcp(out, DB[1], 5432), tcp_of("outside", OUTSIDE[1], DB[1], 5432)),
        Check("outside -> shop icmp6", "allow", "ping-in",
              lambda: _ping(out, SHOP[1]),
              _question("outside", OUTSIDE[1], SHOP[1], "icmp6", icmp_type=128, icmp_code=0)),
        Check("inside  -> outside:80/tcp6", "allow", "egress-web",
              lambda: _http(ins, "http://outside/", OUTSIDE[1], 80), tcp_of("inside", SHOP[1], OUTSIDE[1], 80)),
    ]  # fmt: skip


def measure(api, check):
    """Returns (line, complaint or None)."""
    verdict, result, milliseconds = check.measure()
    answer = api.json("POST", "/v1/explain", check.explain)
    line = f"  {check.text:<25} {verdict:<8} {answer['rule']:<13} {result:<11} {milliseconds:.0f} ms"
    if verdict != check.expect:
        return line, f"{check.text}: expected {check.expect}, measured {verdict} ({result})"
    if answer["verdict"] != check.expect or answer["rule"] != check.rule:
        return line, f"{check.text}: explain says {answer['verdict']} by {answer['rule']}, expected {check.rule}"
    return line, None


def hits(api):
    return {rule: row["hits"] for rule, row in api.rules().items()}


def wait_hits(api, before, expected):
    """Counters are collected once a second; every rule that decided above must show it."""

    def look():
        now = hits(api)
        return all(now.get(rule, 0) >= before.get(rule, 0) + count for rule, count in expected.items())

    try:
        until(look, "rule hits", 5.0, step_s=0.1)
    except Trouble:
        now = hits(api)
        grown = {rule: now.get(rule, 0) - before.get(rule, 0) for rule in expected}
        return f"rule hits grew by {json.dumps(grown)}, expected at least {json.dumps(expected)}"
    return None


def show(api, wanted, out=print):
    """Measures and prints all lines; returns the complaints."""
    before = hits(api)
    expected, complaints = {}, []
    for check in wanted:
        line, complaint = measure(api, check)
        out(line)
        if complaint:
            complaints.append(complaint)
        else:
            expected[check.rule] = expected.get(check.rule, 0) + 1
    if complaint := wait_hits(api, before, expected):
        complaints.append(complaint)
    return complaints


