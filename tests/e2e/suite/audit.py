"""The history of what was in force and the audit of who did it, by sluicectl and by a verifier of our own; and both
after kill -9 at random instants."""
import hashlib
import json
import os
import random
import shutil
import sqlite3
import threading
import time

from lab import daemons
from lab.shell import until

from .bench import Traffic, figures, seed_of_this_run

_FIELDS = ("prev", "number", "at_ns", "actor", "origin", "action", "before_hash", "before_generation", "after_hash",
           "after_generation", "approval", "reason", "result", "detail", "request_id")  # fmt: skip


def entries(bench, *arguments):
    lines = bench.ctl("audit", "--limit", "100000", "-o", "json", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def hash_of(entry):
    """As docs/OPERATING.md says it, written from that page and not from the product."""
    flat = dict(entry)
    for name in ("before", "after"):
        flat[f"{name}_hash"], flat[f"{name}_generation"] = entry[name]["hash"], entry[name]["generation"]
    lines = b""
    for name in _FIELDS:
        value = str(flat[name]).encode()
        lines += f"{name} {len(value)}\n".encode() + value + b"\n"
    return hashlib.sha256(lines).hexdigest()


def verify_by_hand(found):
    for before, entry in zip([None, *found], found):
        assert hash_of(entry) == entry["hash"], entry
        if before is not None:
            assert entry["prev"] == before["hash"] and entry["number"] == before["number"] + 1, entry


def history_and_audit_say_who_and_why(bench):
    """apply, confirm, rollback N; history, diff and audit tell the story; any language that has SHA-256 verifies it."""
    bench.put(bench.policy)
    first = bench.wait_in_sync()["policy"]["generation"]
    with open(f"{bench.lab.run_dir}/more.yaml", "w", encoding="utf-8") as file:
        file.write(bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}"))
    bench.ctl("apply", "-f", file.name, "--confirm", "1m", "--reason", "CHG-20418: 放行测试端口")
    bench.ctl("confirm", "--reason", "looks good")
    second = bench.wait_in_sync()["policy"]["generation"]
    assert bench.udp_passes(7001)
    assert f"+ rule more" in bench.ctl("diff", str(first), str(second)).stdout
    shown = bench.ctl("history", "show", str(second)).stdout
    assert "CHG-20418: 放行测试端口" in shown and "approved   by token:" in shown and "+ rule more" in shown, shown
    assert bench.ctl("history", "show", str(first), "--text").stdout == bench.policy
    bench.ctl("rollback", str(first), "--reason", "back again")
    status = bench.wait_in_sync()["policy"]
    assert status["generation"] > second and not bench.udp_passes(7001)
    assert bench.api.request("GET", "/v1/policy")[2] == bench.policy
    table = bench.ctl("history").stdout
    assert "back again" in table and "policy.restore" in table, table
    story = [(e["action"], e["result"], e["reason"]) for e in entries(bench, "--action", "policy")][-6:]
    assert story == [("policy.put", "begun", "CHG-20418: 放行测试端口"), ("policy.put", "pending", "CHG-20418: 放行测试端口"),
                     ("policy.confirm", "begun", "looks good"), ("policy.confirm", "adopted", "looks good"),
                     ("policy.restore", "begun", "back again"), ("policy.restore", "adopted", "back again")], story  # fmt: skip
    verify_by_hand(entries(bench))
    assert "the audit is whole" in bench.ctl("audit", "verify").stdout


def strangers_stand_in_the_audit_and_secrets_do_not(bench):
    """P7: a wrong token, one in the query, one in the path: 401, an entry, and not a byte of it anywhere."""
    canary = "canary-5f1c0ffee5ecre7"
    requests = [("GET", "/v1/policy", {"Authorization": f"Bearer {canary}"}), ("PUT", f"/v1/policy?token={canary}", {}),
                ("GET", f"/v1/{canary}", {}), ("POST", f"/v1/commits/1:confirm?x={canary}", {"Cookie": canary})]  # fmt: skip
    for method, path, headers in requests:
        assert bench.api.request(method, path, headers=headers, token=False)[0] == 401
    refused = {"token-wrong: GET /v1/policy", "token-missing: PUT /v1/policy"}

    def strangers():
        found = entries(bench, "--user", "anonymous", "--since", "60s")
        return found if refused <= {entry["detail"] for entry in found} else None  # each is stored behind its answer

    found = until(strangers, "the entries", 10.0)
    assert all(e["origin"] == "127.0.0.1" and e["result"] == "refused" for e in found), found
    secrets = [canary.encode(), bench.api.token().encode()]
    for folder in (bench.lab.state_dir, bench.lab.log_dir):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name == "token" or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            assert not any(secret in content for secret in secrets), path


def tampering_is_found_at_start_and_by_verify(bench):
    """A row changed behind our back: said in the log, in status and by `audit verify`, with its number; traffic goes on."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    bench.stop_service("controlplane")
    state = f"{bench.lab.state_dir}/state.db"
    shutil.copy2(state, f"{bench.lab.run_dir}/state.db.kept")
    with sqlite3.connect(state) as database:
        database.execute("DROP TRIGGER audit_is_not_changed")
        database.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2")
    database.close()
    bench.start_service("controlplane")
    bench.wait_in_sync()
    done = bench.ctl("audit", "verify", check=False)
    assert done.returncode == 1 and "entry 2 is not what its hash says" in done.stderr, done.stderr
    assert "entry 2" in bench.ctl("status").stdout
    assert bench.udp_passes()
    bench.stop_service("controlplane")
    with open(f"{bench.lab.run_dir}/state.db.kept", "rb") as kept, open(state, "r+b") as file:
        file.truncate()
        shutil.copyfileobj(kept, file)
    bench.start_service("controlplane")
    bench.wait_in_sync()
    done = bench.ctl("audit", "verify", check=False)
    assert done.returncode == 1 and "audit-head" in done.stderr, f"an old copy put back is seen: {done.stderr}"
    # Whoever knows why says so by taking the second place away; from then on the chain is whole again.
    bench.stop_service("controlplane")
    os.unlink(f"{bench.lab.state_dir}/audit-head")
    bench.start_service("controlplane")
    bench.wait_in_sync()
    assert bench.ctl("audit", "verify").returncode == 0


def killed_at_random_instants_the_chain_is_whole(bench):
    """A1: kill -9 while policies change all the time: what was acknowledged is stored, else old or new; the chain whole."""
    bench.put(bench.policy)
    dice = random.Random(seed_of_this_run())
    texts = [bench.with_rule("{id: more, from: internet, to: shop, service: tcp/%d, action: deny}" % port) for port in range(9000, 9020)]
    stop, back = threading.Event(), []
    acknowledged = {}

    def change():
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                status, answer = bench.api.put_policy(texts[turn % len(texts)])
                if status == 200:
                    acknowledged[answer["generation"]] = answer["hash"]
            except Exception:  # noqa: BLE001  whatever a dying server does to its client
                time.sleep(0.01)

    publisher = threading.Thread(target=change)
    traffic = Traffic(bench)
    publisher.start()
    try:
        for turn in range(1000 if bench.long else 8):
            time.sleep(dice.uniform(0.02, 0.3))
            pid, moment = bench.kill("controlplane")
            daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
            bench.wait_api()
            back.append(time.monotonic() - moment)
            stored = bench.api.request("GET", "/v1/policy")[2]
            assert stored in texts or stored == bench.policy, "neither an old policy nor a new one"
            if turn % 50 == 0:
                assert bench.ctl("audit", "verify").returncode == 0
    finally:
        stop.set()
        publisher.join()
        traffic.stop()
    figures("kill -9 amid changes to REST answers", back)
    assert traffic.lost() == 0, f"{traffic.lost()} of {len(traffic.sent)} packets lost"
    bench.wait_in_sync()
    done = bench.ctl("audit", "verify", check=False)
    assert done.returncode == 0, done.stderr
    adopted = {}
    for entry in entries(bench, "--action", "policy"):
        if entry["result"] == "adopted":
            adopted[entry["after"]["generation"]] = entry["after"]["hash"]
    lost = {g: h for g, h in acknowledged.items() if adopted.get(g) != h}
    print(f"figure changes between kills: {len(acknowledged)} acknowledged, {len(lost)} of them not in the audit", flush=True)
    assert acknowledged and not lost, lost
    verify_by_hand(entries(bench))
    bench.put(bench.policy)


TESTS = [history_and_audit_say_who_and_why, strangers_stand_in_the_audit_and_secrets_do_not,
         killed_at_random_instants_the_chain_is_whole, tampering_is_found_at_start_and_by_verify]  # fmt: skip
