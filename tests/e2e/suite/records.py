"""The store of flow records: what rules logged is read back by time, over kills of the control plane and a full disk."""
import datetime
import json
import os
import random
import signal
import subprocess
import time

from lab import daemons
from lab.names import CONTROL_UID, OUTSIDE, SHOP
from lab.shell import in_ns, run, until

from .bench import seed_of_this_run
from .disk import fill
from .live_flows import Held, closing

_KILLS = 6

# Connects to the shop every so many seconds until standard input ends; prints the source ports that got through.
_CALLER = """
import select, socket, sys, time
ports = []
while not select.select([sys.stdin], [], [], float(sys.argv[3]))[0]:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as s:
            ports.append(s.getsockname()[1])
    except OSError:
        pass
print(ports)
"""


class _Caller:
    def __init__(self, bench, pause_s):
        words = ("/usr/bin/python3", "-I", "-c", _CALLER, SHOP[0], "443", str(pause_s))
        self.process = subprocess.Popen(
            in_ns(bench.lab.ns_outside, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def stop(self):
        """The source ports of its connections, in order."""
        return json.loads(self.process.communicate("\n", timeout=60)[0])


def _now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _recorded(bench, since, *more):
    done = bench.ctl("flows", "--since", since, "-o", "json", *more)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _metric(bench, name):
    for line in bench.api.request("GET", "/metrics")[2].splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"there is no metric {name}")


def what_rules_log_is_read_back(bench):
    """By time and filter, in the words of the flow log, by sluicectl and as JSON lines over REST."""
    bench.put(bench.policy + "timeouts: {tcp_closing: 1s}\n")
    bench.wait_in_sync()
    since = _now()
    caller = _Caller(bench, 0.02)
    time.sleep(0.5)
    ports = caller.stop()
    assert len(ports) > 5, ports
    assert bench.tcp(22) == "reject" and bench.tcp(5432, timeout_s=0.3) == "deny"

    def look():
        ends = _recorded(bench, since, "--filter", "rule == web-in and event == flow_end")
        return ends if set(ports) <= {end["sport"] for end in ends} else None

    ends = until(look, "the end of each connection in the store", 60.0, step_s=0.2)
    mine = [end for end in ends if end["sport"] in ports]
    assert len(mine) == len(ports) and all(end["packets"][0] >= 3 and end["duration_ms"] >= 0 for end in mine), mine[:3]
    starts = [record["sport"] for record in _recorded(bench, since, "--filter", "event==flow_start and dport==443")]
    assert [port for port in starts if port in ports] == ports, "starts are told in their order"
    rejected = _recorded(bench, since, "--filter", "verdict == reject")
    assert [record["rule"] for record in rejected] == ["ops-closed"], rejected
    denied = _recorded(bench, since, "--filter", f"verdict == deny and dst == {SHOP[0]} and dport == 5432")
    assert denied and denied[0]["event"] == "flow_denied" and denied[0]["from"] == "internet", denied
    assert not _recorded(bench, since, "--until", since.replace("Z", "001Z"), "--filter", "dport == 443")
    shown = bench.ctl("flows", "--since", since, "--limit", "3").stdout.splitlines()
    assert len(shown) == 3 and shown[0].startswith(since[:10]), shown
    status, headers, text = bench.api.request("GET", f"/v1/flows?since={since}", headers={"Accept": "application/jsonl"})
    assert status == 200 and headers["Content-Type"] == "application/jsonl", (status, headers)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line for line in lines if line["event"] == "flow_end" and line["sport"] in ports] == mine
    wrong = bench.ctl("flows", "--since", "yesterday", check=False)
    assert wrong.returncode == 1 and "how long ago" in wrong.stderr, wrong.stderr
    bench.put(bench.policy)


def a1_kills_of_the_control_plane_lose_no_record(bench):
    """A1: the rings hold what happens while it is away; nothing is missing and nothing is there twice."""
    dice = random.Random(seed_of_this_run())
    bench.put(bench.policy)
    bench.wait_in_sync()
    since = _now()
    caller = _Caller(bench, 0.01)
    try:
        for _ in range(_KILLS):
            time.sleep(0.2 + dice.random() * 0.6)
            pid, _moment = bench.kill("controlplane", signal.SIGKILL)
            daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
        bench.wait_api()
    finally:
        ports = caller.stop()
    bench.wait_in_sync()

    def starts():
        found = [record["sport"] for record in _recorded(bench, since, "--filter", "event == flow_start and rule == web-in")]
        return found if ports[-1] in found else None

    seen = until(starts, "the last connection in the store", 30.0, step_s=0.2)
    twice = sorted(port for port in set(seen) if seen.count(port) > 1)
    missing = sorted(set(ports) - set(seen))
    print(f"figure {_KILLS} kills of the control plane under {len(ports)} connections: records missing {len(missing)}", flush=True)
    assert not missing and not twice, (missing[:5], twice[:5])


def a6_a_full_disk_loses_records_and_nothing_else(bench):
    """A6: on a small tmpfs that is full records are lost, counted and told; traffic and API go on, and so do records
    once there is room."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    folder = os.path.join(bench.lab.log_dir, "records")
    bench.stop_service("controlplane")
    run("mount", "-t", "tmpfs", "-o", f"size=256k,mode=0700,uid={CONTROL_UID},gid={CONTROL_UID}", "tmpfs", folder)
    try:
        bench.start_service("controlplane")
        bench.wait_api()
        bench.wait_in_sync()
        since = _now()
        assert bench.tcp(443) == "allow"
        until(lambda: _recorded(bench, since), "a record", 10.0, step_s=0.1)
        fill(os.path.join(folder, "filler"))

        def told():
            assert bench.tcp(443) == "allow"
            return bench.api.status()["flow_records"]["trouble"]

        trouble = until(told, "the status tells that records are lost", 30.0, step_s=0.1)
        assert "No space left on device" in trouble, trouble
        assert "records    are being lost" in bench.ctl("status").stdout
        assert bench.api.status()["flow_records"]["lost"] > 0
        assert _metric(bench, 'sluice_flow_records_lost_total{reason="disk"}') > 0
        assert bench.api.request("GET", "/readyz")[0] == 200
        assert _recorded(bench, since), "what was recorded before can be read"
        os.unlink(os.path.join(folder, "filler"))
        room = _now()

        def again():
            assert bench.tcp(443) == "allow"
            return _recorded(bench, room, "--filter", "rule == web-in")

        until(again, "records again", 30.0, step_s=0.2)
        assert bench.api.status()["flow_records"]["trouble"] == ""
    finally:
        bench.stop_service("controlplane")
        run("umount", folder)
        bench.start_service("controlplane")
        bench.wait_api()
    bench.wait_in_sync()


def a_plan_tells_what_becomes_of_flows(bench):
    """Live connections, and those of before, met by a policy that would reject them."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    since = _now()
    caller = _Caller(bench, 0.02)
    time.sleep(0.5)
    ports = caller.stop()
    until(lambda: len(_recorded(bench, since, "--filter", "event==flow_start and dport==443")) >= len(ports), "its starts", 30.0, step_s=0.2)
    with Held(bench):
        closed = closing(bench, ", on_change: keep")
        plan = bench.api.json("PUT", f"/v1/policy?dry_run=true&flows_since={since}", closed, {"Content-Type": "application/yaml"})
        live, recorded = plan["live"], plan["recorded"]
        assert live["kept"] >= 1 and live["ended"] == 0 and live["complete"], live
        assert live["groups"][0]["before"] == {"verdict": "allow", "rule": "web-in"}, live
        assert live["groups"][0]["after"] == {"verdict": "deny", "rule": "closed"} and live["groups"][0]["on_change"] == "keep", live
        assert recorded["changed"] >= len(ports) and recorded["complete"] and recorded["unplaced"] == 0, recorded
        (group,) = [g for g in recorded["groups"] if g["before"]["rule"] == "web-in"]
        assert group["peers"][0]["src"] == OUTSIDE[0] and group["after"]["rule"] == "closed", group
        asked = {key: value for key, value in group["peers"][0]["example"].items() if not key.endswith("_zone")}
        assert bench.api.json("POST", "/v1/explain", asked)["rule"] == "web-in"


TESTS = [
    a_plan_tells_what_becomes_of_flows,
    what_rules_log_is_read_back,
    a1_kills_of_the_control_plane_lose_no_record,
    a6_a_full_disk_loses_records_and_nothing_else,
]
