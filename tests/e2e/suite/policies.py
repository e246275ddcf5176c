"""The life of a policy over REST: conditions, refusals, confirmation, speed."""
import json
import threading
import time

from lab import daemons
from lab.shell import until

from .bench import Traffic, figures, percentile

# Hang limits: ten times the floor of a full policy and of a one-rule change for half of them; for the slowest, what only
# a hang takes: each waits for a disk that others write to as well.
_PUT_P50_S_MAX = 2.0
_PATCH_P50_S_MAX = 0.5
_SLOWEST_S_MAX = 20.0
_LATE_S_MAX = 10.0  # ten times the second within which P10 wants a policy taken back


def conditions_are_asked_for(bench):
    """428 without a condition, 412 with a stale one; nothing changes."""
    bench.put(bench.policy)
    etag = bench.etag()
    yaml = {"Content-Type": "application/yaml"}
    assert bench.api.request("PUT", "/v1/policy", bench.policy, yaml)[0] == 428
    stale = {**yaml, "If-Match": '"' + "0" * 64 + '"'}
    assert bench.api.request("PUT", "/v1/policy", bench.policy, stale)[0] == 412
    assert bench.api.request("PUT", "/v1/policy", bench.policy, {**yaml, "If-None-Match": "*"})[0] == 412
    assert bench.etag() == etag


def token_is_asked_for(bench):
    assert bench.api.request("GET", "/v1/policy", token=False)[0] == 401
    assert bench.api.request("GET", "/v1/policy", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert bench.api.request("GET", "/livez", token=False)[0] == 200


def refused_policy_leaves_the_old_one(bench):
    """A failing test, errors by the dozen, and a port that the dataplane does not have."""
    bench.put(bench.policy)
    before = bench.wait_in_sync()["dataplane"]
    failing = bench.policy.replace("expect: deny, by: default", "expect: allow, by: default")
    answer = bench.put(failing, expect=422)
    assert answer["errors"], answer
    broken = bench.policy.replace("from: internet", "from: internat")
    answer = bench.put(broken, expect=422)
    assert len(answer["errors"]) >= 5 and all(error["line"] for error in answer["errors"]), answer
    status, answer = bench.api.put_policy(bench.policy.replace("ports: [outside]", "ports: [outsider]"))
    assert status in (409, 422), (status, answer)
    after = bench.wait_in_sync()["dataplane"]
    assert (after["generation"], after["hash"]) == (before["generation"], before["hash"])
    assert bench.udp_passes() and not bench.udp_passes(7001)


def dry_run_changes_nothing(bench):
    bench.put(bench.policy)
    etag = bench.etag()
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    answer = bench.put(text, query="?dry_run=true")
    assert answer["ok"] and answer["rules_added"] == ["more"], answer
    assert bench.etag() == etag and not bench.udp_passes(7001)


def patch_changes_one_rule(bench):
    bench.put(bench.policy)
    rule = {"id": "more", "from": "internet", "to": "shop", "service": "udp/7001", "action": "allow"}
    for edits, passes in (
        ([{"op": "insert", "before": "web-in", "rule": rule}], True),
        ([{"op": "replace", "id": "more", "rule": {**rule, "action": "deny"}}], False),
        ([{"op": "remove", "id": "more"}], False),
    ):
        answer = bench.api.json("PATCH", "/v1/policy", edits, {"If-Match": bench.etag()})
        assert answer["state"] == "adopted", answer
        assert bench.udp_passes(7001) == passes, edits
    status, _, text = bench.api.request("PATCH", "/v1/policy", [{"op": "remove", "id": "absent"}], {"If-Match": bench.etag()})
    assert status == 422, (status, text)


def observed_rule_is_counted(bench):
    """It counts, its event says what would have been, and the connection is denied all the same."""
    bench.put(bench.policy)
    before = bench.api.rules()["trial"]["hits"]
    assert bench.tcp(8080, timeout_s=0.3) == "deny"
    until(lambda: bench.api.rules()["trial"]["hits"] > before, "a hit of the observe rule", 5.0, step_s=0.1)


def live_flow_follows_the_policy(bench):
    """A flow that the new policy denies ends with its next packet; one that it allows lives on (D10)."""
    bench.put(bench.policy)
    assert bench.udp_passes()
    bench.put(bench.with_rule("{id: cut, from: internet, to: shop, service: udp/7000, action: deny}"))
    assert not bench.udp_passes()
    bench.put(bench.policy)
    bench.wait_forwarding()


def confirmed_policy_stays(bench):
    bench.put(bench.policy)
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    answer = bench.put(text, expect=202, confirm_s=3)
    assert answer["state"] == "pending_confirmation", answer
    bench.api.json("POST", f"/v1/commits/{answer['generation']}:confirm")
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        assert bench.udp_passes(7001)
    bench.put(bench.policy)


def unconfirmed_policy_is_taken_back(bench):
    """P10: with the control plane dead, at the deadline +-1 s, by the dataplane alone; a restart agrees."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    start = time.monotonic()
    answer = bench.put(text, expect=202, confirm_s=4)
    assert answer["state"] == "pending_confirmation", answer
    bench.stop_service("controlplane")
    assert bench.udp_passes(7001), "the unconfirmed policy is in force until its deadline"
    # Each look is a new flow, so that no old verdict lingers.
    until(lambda: not bench.udp_passes(7001, within_s=0.15), "the old policy back", 4.0 + _LATE_S_MAX)
    after = time.monotonic() - start
    assert after >= 3.0, f"taken back after {after:.1f} s, asked for 4 s"
    print(f"figure commit-confirm of 4 s: taken back after {after:.2f} s", flush=True)
    bench.start_service("controlplane")
    status = bench.wait_in_sync()
    assert bench.api.request("GET", "/v1/policy")[2] == bench.policy
    assert status["policy"]["hash"] == status["dataplane"]["hash"]
    assert not bench.udp_passes(7001)


def unconfirmed_policy_is_taken_back_from_a_restarted_control_plane(bench):
    """P10: killed and back before the deadline, the control plane neither keeps what nobody confirmed nor forgets it."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    for confirm_s in (4, 40):  # the longer one only where the machine took all of the first to start a process
        start = time.monotonic()
        answer = bench.put(text, expect=202, confirm_s=confirm_s)
        path = f"/v1/commits/{answer['generation']}"
        state = lambda: bench.api.json("GET", path)["state"]  # noqa: E731
        pid, _ = bench.kill("controlplane")
        daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
        bench.wait_api()
        until(lambda: state() != "unsettled", "what the dataplane says of it", 20.0)
        if state() == "pending_confirmation":
            break
        bench.wait_in_sync()
    else:
        raise AssertionError(f"back within {confirm_s} s, the control plane says: {state()}")
    until(lambda: not bench.udp_passes(7001), "the old policy back", confirm_s + _LATE_S_MAX)
    after = time.monotonic() - start
    assert after >= confirm_s - 1.0, f"taken back after {after:.1f} s, asked for {confirm_s} s"
    print(f"figure commit-confirm of {confirm_s} s over a kill of the control plane: taken back after {after:.2f} s", flush=True)
    until(lambda: state() == "reverted", "the commit's end", 10.0)
    status = bench.wait_in_sync()
    assert status["policy"]["confirm_deadline"] is None and status["dataplane"]["source"] == "reverted", status
    assert status["policy"]["hash"] == status["dataplane"]["hash"]
    assert bench.api.request("GET", "/v1/policy")[2] == bench.policy
    status, _, problem = bench.api.request("POST", f"{path}:confirm")
    assert status == 409, (status, problem)


def rollback_is_as_fast_as_a_change(bench):
    """From the request to the answer, which comes when every worker runs the policy before; and nothing is lost."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    traffic = Traffic(bench)
    took = []
    for turn in range(100 if bench.long else 20):
        answer = bench.put(text, expect=202, confirm_s=60)
        assert turn or bench.udp_passes(7001)
        start = time.monotonic()
        bench.api.json("POST", f"/v1/commits/{answer['generation']}:rollback")
        took.append(time.monotonic() - start)
        assert turn or not bench.udp_passes(7001)
    assert traffic.stop().lost() == 0, f"{traffic.lost()} of {len(traffic.sent)} packets lost"
    figures("rollback to adopted", took)
    assert max(took) < _SLOWEST_S_MAX, "a rollback hangs"
    gone = bench.api.json("GET", f"/v1/commits/{answer['generation']}")
    assert gone["state"] == "rolled_back" and gone["by"].startswith("token:"), gone


def guard_takes_back_what_harms_traffic(bench):
    """A stream that passes is denied by a new policy: its guard goes back long before the deadline, and says why."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    before = bench.etag()
    stream = Traffic(bench, rate=500)
    try:
        time.sleep(2.5)
        text = bench.with_rule("{id: cut, from: internet, to: shop, service: udp/7000, action: deny}")
        harmless = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
        answer = bench.put(harmless, expect=202, confirm_s=60, guard="drop-rate=30, refused-flows=60")
        time.sleep(3.0)
        bench.api.json("POST", f"/v1/commits/{answer['generation']}:confirm")
        before = bench.etag()
        start = time.monotonic()
        answer = bench.put(text, expect=202, confirm_s=60, guard="drop-rate=30")
        until(lambda: bench.api.status()["dataplane"]["source"] == "reverted", "the policy before, back", 20.0, step_s=0.05)
        after = time.monotonic() - start
        time.sleep(1.0)
    finally:
        stream.stop()
    print(f"figure guard: taken back after {after:.2f} s, packets lost meanwhile {stream.lost()}", flush=True)
    assert stream.lost() > 50, "the stream was denied"
    assert max(stream.answered) > len(stream.sent) - 200, "and passes again"
    status, _, text = bench.api.request("POST", f"/v1/commits/{answer['generation']}:confirm")
    assert status == 409 and json.loads(text)["code"] == "left-by-guard", text
    left = bench.api.json("GET", f"/v1/commits/{answer['generation']}")
    assert left["state"] == "left_by_guard" and "drop-rate went from" in left["detail"], left
    (entry,) = bench.api.json("GET", "/v1/audit?action=policy.guard&limit=1")["entries"]
    assert "drop-rate went from" in entry["detail"] and entry["before"]["generation"] == answer["generation"], entry
    bench.wait_in_sync()
    assert bench.etag() == before
    bench.put(bench.policy)


def guard_outlives_the_control_plane(bench):
    """Killed while it watches, it goes on watching, against the time before the commit: connections that nobody answers."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    before = bench.etag()
    refused = bench.with_rule("{id: cut, from: internet, to: shop, service: http, action: reject}")
    answer = bench.put(refused, expect=202, confirm_s=120, guard="failed-handshakes=50")
    pid, _ = bench.kill("controlplane")
    daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
    bench.wait_api()
    until(lambda: bench.api.status()["policy"]["guard"] == "failed-handshakes=50", "the guard, again", 10.0)
    for _ in range(25):
        assert bench.tcp(80) == "reject"
    until(lambda: bench.api.status()["dataplane"]["source"] == "reverted", "the policy before, back", 20.0, step_s=0.05)
    left = until(lambda: bench.api.json("GET", f"/v1/commits/{answer['generation']}")["state"] == "left_by_guard", "its end", 10.0)
    assert left and bench.etag() == before
    bench.wait_in_sync()
    assert bench.tcp(80) == "allow"


def two_writers_one_wins(bench):
    """P9: the same base, at the same time: one 200, one 412 or 409."""
    bench.put(bench.policy)
    etag = bench.etag()
    results = []

    def write(number):
        text = bench.with_rule(f"{{id: writer-{number}, from: internet, to: shop, service: tcp/{9000 + number}, action: deny}}")
        headers = {"Content-Type": "application/yaml", "If-Match": etag}
        results.append(bench.api.request("PUT", "/v1/policy", text, headers)[0])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(results) in ([200, 412], [200, 409]), results


def _policy_of(count, first_port):
    """A rule that lets the traffic through, and `count` more; the first of those is about another port each time."""
    rules = [{"id": "stream", "from": "internet", "to": "servers", "service": "udp/7000", "action": "allow"}]
    for number in range(count):
        port = first_port if number == 0 else 1000 + number % 50_000
        net = f"10.{number // 62_500}.{number // 250 % 250}.{number % 250}"
        rules.append({"id": f"r{number}", "from": "internet", "to": net, "service": f"tcp/{port}", "action": "deny"})
    zones = {"internet": {"ports": ["outside"]}, "servers": {"ports": ["inside"]}}
    return json.dumps({"sluice": 1, "name": "speed", "default": {"action": "deny"}, "zones": zones, "rules": rules})


def _restart_dataplane(bench):
    bench.stop_service("dataplane")
    bench.start_service("dataplane")
    bench.wait_in_sync()


def put_and_patch_to_adopted(bench):
    """PUTs and PATCHes under a stream of which nothing may be lost; the figures are printed, only a hang fails."""
    if bench.long:
        before = bench.reconfigure(rule_slots_max=131_072)
        _restart_dataplane(bench)
    for count, put_count in ((10, 100), (1000, 100), (10_000, 100), *(((100_000, 100),) if bench.long else ())):
        json_text = {"Content-Type": "application/json"}
        status, _, answer = bench.api.request("PUT", "/v1/policy", _policy_of(count, 999), {**json_text, "If-Match": bench.etag()})
        assert status == 200, answer
        adopted = json.loads(answer)
        puts, patches = [], []
        traffic = Traffic(bench)
        for turn in range(put_count):
            text = _policy_of(count, 2000 + turn)
            start = time.monotonic()
            status, _, answer = bench.api.request("PUT", "/v1/policy", text, {**json_text, "If-Match": f'"{adopted["hash"]}"'})
            puts.append(time.monotonic() - start)
            adopted = json.loads(answer)
            assert status == 200 and adopted["state"] == "adopted", answer
        for turn in range(100):
            rule = {"id": f"r{turn % 10}", "from": "internet", "to": f"10.0.1.{turn}", "service": f"tcp/{2000 + turn}", "action": "deny"}
            edits = [{"op": "replace", "id": rule["id"], "rule": rule}]
            start = time.monotonic()
            adopted = bench.api.json("PATCH", "/v1/policy", edits, {"If-Match": f'"{adopted["hash"]}"'})
            patches.append(time.monotonic() - start)
            assert adopted["state"] == "adopted", adopted
        assert traffic.stop().lost() == 0, f"{traffic.lost()} of {len(traffic.sent)} packets lost at {count} rules"
        figures(f"PUT to adopted, {count} rules", puts)
        figures(f"PATCH of one rule to adopted, {count} rules", patches)
        assert percentile(puts, 0.5) < max(_PUT_P50_S_MAX, count * _PUT_P50_S_MAX / 10_000), "PUT hangs"
        assert percentile(patches, 0.5) < _PATCH_P50_S_MAX, "PATCH hangs"
        assert max(puts + patches) < _SLOWEST_S_MAX, "a commit hangs"
    bench.put(bench.policy)
    if bench.long:
        bench.reconfigure(**before)
        _restart_dataplane(bench)


TESTS = [
    conditions_are_asked_for,
    token_is_asked_for,
    refused_policy_leaves_the_old_one,
    dry_run_changes_nothing,
    patch_changes_one_rule,
    observed_rule_is_counted,
    live_flow_follows_the_policy,
    confirmed_policy_stays,
    unconfirmed_policy_is_taken_back,
    unconfirmed_policy_is_taken_back_from_a_restarted_control_plane,
    rollback_is_as_fast_as_a_change,
    guard_takes_back_what_harms_traffic,
    guard_outlives_the_control_plane,
    two_writers_one_wins,
    put_and_patch_to_adopted,
]
