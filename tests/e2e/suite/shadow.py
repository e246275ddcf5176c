"""A shadow policy beside the one in force: real traffic is counted by what it would have met, and goes where it went."""
import json

from lab.shell import until


def _start(bench, text, *more):
    path = f"{bench.lab.run_dir}/shadow.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    bench.ctl("shadow", "start", "-f", path, *more)


def _shadow(bench):
    return json.loads(bench.ctl("shadow", "show", "-o", "json").stdout)["shadow"]


def _pair(bench, live, shadow):
    """Flows of a pair of (verdict, rule), or nothing."""
    for pair in _shadow(bench)["pairs"]:
        if (tuple(pair["live"].values()), tuple(pair["shadow"].values())) == (live, shadow):
            return pair
    return None


def _candidate(bench):
    """It denies what is allowed, by a rule that logs nothing, and allows what is denied."""
    closed = bench.policy.replace("{id: echo-in, from: internet, to: shop, service: udp/7000, action: allow}",
                                  "{id: echo-closed, from: internet, to: shop, service: udp/7000, action: reject}")
    assert closed != bench.policy
    return bench.with_rule("{id: second, from: internet, to: shop, service: udp/7001, action: allow}", closed)


def _one_runs(bench):
    """Also where a test runs alone."""
    if _shadow(bench) is None:
        bench.put(bench.policy)
        bench.wait_in_sync()
        _start(bench, _candidate(bench))
    return _shadow(bench)


def would_be_verdicts_are_counted_and_nothing_is_enforced(bench):
    """Flows are counted by what they would have met, and meet what the policy in force says."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    _start(bench, _candidate(bench), "--reason", "CHG-1")
    assert bench.udp_passes(7000) and not bench.udp_passes(7001), "the policy in force decides"
    until(lambda: _pair(bench, ("allow", "echo-in"), ("reject", "echo-closed")), "flows that it would reject", 5.0)
    until(lambda: _pair(bench, ("deny", "default"), ("allow", "second")), "flows that it would allow", 5.0)
    example = _pair(bench, ("deny", "default"), ("allow", "second"))["examples"][0]
    assert (example["dst"], example["dport"], example["in_port"]) == ("198.51.100.80", 7001, "outside"), example
    shown = bench.ctl("shadow", "show").stdout
    assert "allow by echo-in, would be reject by echo-closed" in shown, shown
    metrics = bench.api.request("GET", "/metrics")[2]
    assert "sluice_shadow_running 1\n" in metrics
    assert 'sluice_shadow_flows_total{live="allow",shadow="reject"} 0\n' not in metrics, "counted"


def it_outlives_both_processes(bench):
    """The text is kept; what is counted begins anew with the control plane, and goes on over a new dataplane."""
    before = _one_runs(bench)
    bench.kill("controlplane")
    bench.wait_in_sync()
    until(lambda: (_shadow(bench) or {}).get("watching"), "it is asked again", 10.0)
    again = _shadow(bench)
    assert (again["hash"], again["started_at"]) == (before["hash"], before["started_at"])
    assert again["since"] > before["since"] and again["flows"] == 0, again
    assert bench.udp_passes(7000)
    until(lambda: _pair(bench, ("allow", "echo-in"), ("reject", "echo-closed")), "it counts", 5.0)
    bench.kill("dataplane")
    bench.wait_forwarding()
    bench.wait_in_sync()
    until(lambda: _shadow(bench)["watching"], "the new dataplane tells too", 10.0)
    counted = _shadow(bench)["flows"]
    assert bench.udp_passes(7000)
    until(lambda: _shadow(bench)["flows"] > counted, "it counts what the new one tells", 5.0)
    assert _shadow(bench)["unwatched_s"] > 0


def it_stays_when_the_live_policy_changes_and_stops(bench):
    """Over the change that it was tried for, both agree; stopped, the audit has the last word."""
    _one_runs(bench)
    text = bench.policy.replace("service: udp/7000, action: allow}", "service: udp/7000, action: reject}")
    bench.put(text)
    bench.wait_in_sync()
    counted = _shadow(bench)["flows"]
    assert not bench.udp_passes(7000)

    def agrees():
        found = [v for v in _shadow(bench)["verdicts"] if (v["live"], v["shadow"]) == ("reject", "reject")]
        return found and _shadow(bench)["flows"] > counted
    until(agrees, "both would reject", 5.0)
    stopped = bench.ctl("shadow", "stop").stdout
    assert stopped.startswith("no longer asked"), stopped
    assert bench.ctl("shadow", "show").stdout == "no shadow policy runs\n"
    assert "sluice_shadow_running 0\n" in bench.api.request("GET", "/metrics")[2]
    audit = [json.loads(line) for line in bench.ctl("audit", "-o", "json", "--action", "shadow.stop").stdout.splitlines()]
    assert "would have been decided otherwise" in audit[0]["detail"], audit[0]
    bench.put(bench.policy)
    bench.wait_in_sync()
    assert bench.udp_passes(7000)


TESTS = [would_be_verdicts_are_counted_and_nothing_is_enforced, it_outlives_both_processes, it_stays_when_the_live_policy_changes_and_stops]
