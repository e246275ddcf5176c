"""Changes that wait, with both real processes and packets as the judges: four eyes, and a time of their own."""
import datetime
import http.client
import json
import threading
import time

from lab import daemons
from lab.shell import until

_MORE = "{id: more, from: internet, to: shop, service: udp/7001, action: allow}"
_OTHER = "{id: other, from: internet, to: shop, service: udp/7003, action: deny}"
_TWO = "approvals: {needed: 2}\n"


def _person(bench, name, role):
    made = json.loads(bench.ctl("token", "create", name, "--role", role, "--expires", "1h", "-o", "json").stdout)

    def ask(method, path, reason=None, **headers):
        sent = {"Authorization": "Bearer " + made["token"]} | {key.replace("_", "-"): value for key, value in headers.items()}
        if reason:
            sent["Sluice-Reason"] = reason
        status, _, text = bench.api.request(method, path, headers=sent, token=False, timeout_s=60)
        return status, json.loads(text)

    return ask


def _state(bench, change):
    return bench.api.json("GET", f"/v1/changes/{change}")["change"]["state"]


def _ends(bench, change, state, deadline_s=20.0):
    until(lambda: bench.api.alive() and _state(bench, change) == state, f"change {change} is {state}", deadline_s)


def _kill(bench):
    pid, _ = bench.kill("controlplane")
    daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
    bench.wait_api()


def _soon(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(bench, name, text):
    path = f"{bench.lab.run_dir}/{name}.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _open_again(bench):
    """The policy of all other tests, by the glass: every approval would do as well."""
    answer = bench.api.put_policy(bench.policy)[1]
    if answer["state"] == "waiting":
        bench.ctl("changes", "apply", str(answer["change"]["id"]), "--break-glass", "--reason", "the test is over")
    bench.wait_in_sync()


def four_eyes_over_kills(bench):
    """Handed in, approved by two others, each once, with a kill -9 between the steps; the packets follow the last one."""
    anna, bert = _person(bench, "e2e-anna", "approver"), _person(bench, "e2e-bert", "approver")
    bench.put(bench.policy)
    bench.put(bench.policy + _TWO)
    try:
        text = bench.with_rule(_MORE) + _TWO
        run = bench.ctl("apply", "-f", _write(bench, "eyes", text), "--reason", "CHG-1", check=False)
        assert run.returncode == 3 and "nothing is changed yet" in run.stdout, run.stdout + run.stderr
        change = bench.api.json("GET", "/v1/changes?limit=1")["changes"][0]["id"]
        path = f"/v1/changes/{change}:approve"
        assert bench.api.request("POST", path)[0] == 403, "its author approves it"
        _kill(bench)
        assert anna("POST", path, "read it")[0] == 202
        assert anna("POST", path)[1]["code"] == "approved-already"
        _kill(bench)
        assert bench.api.json("GET", f"/v1/changes/{change}")["text"] == text
        assert not bench.udp_passes(7001), "one of two is enough"
        stale = bench.put(bench.with_rule(_OTHER) + _TWO, expect=202)["change"]["id"]
        bench.wait_in_sync()
        status, answer = bert("POST", path, "me too")
        assert (status, answer["state"], answer["change"]["state"]) == (200, "adopted", "applied"), answer
        assert bench.udp_passes(7001)
        _ends(bench, stale, "stale")
        assert bert("POST", f"/v1/changes/{stale}:approve")[0] == 409
        assert "+ rule more" in bench.ctl("history", "show", str(answer["generation"])).stdout
        shown = bench.ctl("history", "show", str(answer["generation"])).stdout
        assert "CHG-1" in shown and "approved   by token:e2e-anna/" in shown and ", token:e2e-bert/" in shown, shown
        said = bench.ctl("audit", "--action", "policy.put", "--limit", "5", "-o", "json").stdout.splitlines()[-1]
        assert "read it" in said and "me too" in said, said

        # The protection itself, and the way back, need both as well.
        without = bench.put(bench.with_rule(_MORE), expect=202)["change"]["id"]
        assert bert("POST", f"/v1/changes/{without}:reject", "not now")[1]["change"]["state"] == "rejected"
        back = bench.ctl("rollback", "--reason", "INC-7", check=False)
        assert back.returncode == 3, back.stdout + back.stderr
        undo = bench.api.json("GET", "/v1/changes?limit=1")["changes"][0]
        assert undo["kind"] == "rollback" and bench.udp_passes(7001), undo
        for who in (anna, bert):
            status, answer = who("POST", f"/v1/changes/{undo['id']}:approve")
        assert status == 200 and not bench.udp_passes(7001), answer
        assert bench.ctl("audit", "verify").stdout.startswith("the audit is whole")
    finally:
        _open_again(bench)
        for name in ("e2e-anna", "e2e-bert"):
            bench.ctl("token", "revoke", name)


def unapproved_it_expires(bench):
    bench.put(bench.policy + "approvals: {needed: 1, within: 2s}\n")
    try:
        change = bench.put(bench.with_rule(_MORE), expect=202)["change"]["id"]
        _ends(bench, change, "expired")
        assert bench.api.request("POST", f"/v1/changes/{change}:apply", headers={"Break-Glass": "true", "Sluice-Reason": "late"})[0] == 409
        assert not bench.udp_passes(7001)
    finally:
        _open_again(bench)


def at_its_time_over_a_restart(bench):
    """Due in a few seconds, the control plane killed in between: applied once, by the packets and by the history."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    path = _write(bench, "later", bench.with_rule(_MORE))
    said = bench.ctl("apply", "-f", path, "--at", _soon(4), "--reason", "CHG-2").stdout
    assert "it is applied at " in said, said
    change = bench.api.json("GET", "/v1/changes?limit=1")["changes"][0]["id"]
    assert not bench.udp_passes(7001)
    _kill(bench)
    _ends(bench, change, "applied")
    bench.wait_in_sync()
    assert bench.udp_passes(7001)
    rows = bench.api.json("GET", "/v1/history?limit=1000")["history"]
    _kill(bench)
    time.sleep(2)
    again = bench.api.json("GET", "/v1/history?limit=1000")["history"]
    assert [row["reason"] for row in again].count("CHG-2") == [row["reason"] for row in rows].count("CHG-2") == 1, again[:3]

    # Another policy by then, a freeze, and a change that is taken back: nothing of them comes into force.
    stale = json.loads(bench.ctl("apply", "-f", _write(bench, "stale", bench.policy), "--at", _soon(3600), "-o", "json").stdout)["change"]["id"]
    bench.put(bench.with_rule(_OTHER))
    _ends(bench, stale, "stale")
    mine = json.loads(bench.ctl("apply", "-f", path, "--at", _soon(3600), "-o", "json").stdout)["change"]["id"]
    assert "is withdrawn" in bench.ctl("changes", "withdraw", str(mine)).stdout
    frozen = json.loads(bench.ctl("apply", "-f", path, "--at", _soon(3), "-o", "json").stdout)["change"]["id"]
    bench.ctl("freeze", "set", _soon(3600), "--reason", "year's end")
    try:
        _ends(bench, frozen, "failed")
    finally:
        bench.ctl("freeze", "lift")
    assert "change-freeze" in bench.ctl("changes", "show", str(frozen)).stdout
    assert not bench.udp_passes(7001)
    assert "sluice_changes_missed_total 2\n" in bench.api.request("GET", "/metrics")[2]
    bench.put(bench.policy)


def a_kill_at_any_moment_of_the_last_approval(bench):
    """kill -9 so and so long behind the last approval: in force and applied, or neither and still due; then once."""
    bert = _person(bench, "e2e-bert", "approver")
    bench.put(bench.policy + "approvals: {needed: 1}\n")
    rounds = 30 if bench.long else 6
    try:
        for number in range(rounds):
            rule = _MORE.replace("id: more", f"id: more-{number}")
            change = bench.put(bench.with_rule(rule) + "approvals: {needed: 1}\n", expect=202)["change"]
            pid = bench.pid("controlplane")
            # The answer does not matter, and may never come.
            timer = threading.Timer(0.004 * number, bench.kill, ("controlplane",))
            timer.start()
            try:
                bert("POST", f"/v1/changes/{change['id']}:approve", "read it")
            except (OSError, http.client.HTTPException):
                pass
            timer.join()
            daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
            bench.wait_api()
            bench.wait_in_sync()
            found = bench.api.json("GET", f"/v1/changes/{change['id']}")["change"]
            if not found["approvals"]:  # it died before the approval was written
                assert found["state"] == "pending", found
                bert("POST", f"/v1/changes/{change['id']}:approve", "read it")
            _ends(bench, change["id"], "applied")
            hashes = [row["hash"] for row in bench.api.json("GET", "/v1/history?limit=50")["history"]]
            assert hashes.count(change["hash"]) == 1 and hashes[0] == change["hash"], hashes[:4]
        assert bench.ctl("audit", "verify").stdout.startswith("the audit is whole")
    finally:
        _open_again(bench)
        bench.ctl("token", "revoke", "e2e-bert")


TESTS = [four_eyes_over_kills, unapproved_it_expires, at_its_time_over_a_restart, a_kill_at_any_moment_of_the_last_approval]
