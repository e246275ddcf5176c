"""Sets whose members come over the API: both processes, the CLI, live connections, and either process killed in
between."""
import json
import os
import tempfile
import time

from lab import daemons
from lab.shell import until

from .live_flows import Held

_CLIENT = "198.51.100.7"


def _policy(bench):
    with_set = bench.policy.replace("sets:\n", "sets:\n  blocked: {members: api, max_ips: 1000}\n", 1)
    return bench.with_rule("{id: blocked-out, from: blocked, to: any, action: deny, log: start}", with_set)


def _members(bench):
    return [m["member"] for m in bench.api.json("GET", "/v1/sets/blocked/members")["members"]]


def _flows_of(bench, address):
    return [f for f in bench.api.json("GET", "/v1/flows?limit=1000")["flows"] if f["src"] == address]


def blocked_address_loses_its_live_flow(bench):
    """Blocked over the CLI: the connection that stands is silent from then on, new ones are denied; taken out, new ones
    pass. `explain` and the counters of the member see it."""
    bench.put(_policy(bench))
    with Held(bench) as held:
        assert held.process.poll() is None and _flows_of(bench, _CLIENT)
        assert bench.tcp(443) == "allow"
        said = bench.ctl("set", "add", "blocked", _CLIENT, "203.0.113.0/24").stdout
        assert said == "2 added, 0 removed, 2 members\n", said
        assert bench.tcp(443) == "deny"
        assert not bench.udp_passes()
        explained = bench.ctl("explain", "outside", _CLIENT, "198.51.100.80:443/tcp").stdout
        assert "blocked-out" in explained, explained
        until(lambda: not _flows_of(bench, _CLIENT), "its flows gone, the idle connection among them", 10.0)
    hits = {m["member"]: m["hits"] for m in bench.api.json("GET", "/v1/sets/blocked/members")["members"]}
    assert hits[_CLIENT] > 0 and hits["203.0.113.0/24"] == 0, hits
    bench.ctl("set", "remove", "blocked", _CLIENT)
    assert bench.tcp(443) == "allow"
    bench.put(bench.policy)
    bench.ctl("set", "remove", "blocked", "203.0.113.0/24")


def members_outlive_either_process(bench):
    """kill -9 of the dataplane with the control plane stopped, then of the control plane: nobody who was blocked gets
    through, nobody is forgotten, and changes go on."""
    bench.put(_policy(bench))
    bench.ctl("set", "add", "blocked", _CLIENT)
    assert bench.tcp(443) == "deny"
    bench.stop_service("controlplane")
    pid, _ = bench.kill("dataplane")
    daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
    assert bench.tcp(443) == "deny", "a member was lost with the dataplane"
    bench.start_service("controlplane")
    bench.wait_api()
    bench.wait_in_sync()
    pid, _ = bench.kill("controlplane")
    daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
    bench.wait_api()
    bench.wait_in_sync()
    assert _members(bench) == [_CLIENT]
    assert bench.tcp(443) == "deny"
    bench.ctl("set", "remove", "blocked", _CLIENT)
    assert bench.tcp(443) == "allow"
    bench.put(bench.policy)


def nobody_cuts_off_whom_never_block_protects(bench):
    """The client's network in never_block, in a layer's file: blocked over the CLI with a warning, its live connection
    and new ones go on, and a test of the policy has said so before. Without never_block the same member is blocked."""
    test = '  - {from: 198.51.100.7@internet, to: "198.51.100.80@servers:443/tcp", given: {blocked: [198.51.100.0/24]}, expect: '
    policy = _policy(bench).replace("tests:\n", "tests:\n" + test + "allow, by: web-in}\n", 1)
    bench.put(policy, expect=422)  # the test expects what never_block alone brings
    with tempfile.TemporaryDirectory() as folder:
        guard = "sluice: 1\nname: guard\nlayer: 10\nnever_block: [198.51.100.0/28]\n"
        for name, text in (("50-edge.yaml", policy), ("10-guard.yaml", guard)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        bench.ctl("apply", "-f", folder)
    with Held(bench) as held:
        said = bench.ctl("set", "add", "blocked", _CLIENT, "203.0.113.0/24")
        assert said.stdout == "2 added, 0 removed, 2 members\n", said.stdout
        assert said.stderr.startswith(f"warning: {_CLIENT} stands in never_block"), said.stderr
        assert bench.tcp(443) == "allow"
        assert held.process.poll() is None and _flows_of(bench, _CLIENT), "its live flow was ended"
        explained = bench.ctl("explain", "outside", _CLIENT, "198.51.100.80:443/tcp").stdout
        assert "allow  by web-in" in explained and "from: never_block" in explained, explained
        bench.put(_policy(bench))
        assert bench.tcp(443) == "deny", "never_block has gone"
    bench.ctl("set", "remove", "blocked", _CLIENT, "203.0.113.0/24")
    bench.put(bench.policy)


def time_to_live_runs_out_without_the_control_plane(bench):
    bench.put(_policy(bench))
    bench.ctl("set", "add", "blocked", _CLIENT, "--for", "5s")
    added = time.monotonic()
    assert bench.tcp(443) == "deny"
    bench.stop_service("controlplane")
    until(lambda: bench.tcp(443) == "allow", "the end of the block", 30.0, step_s=0.2)
    assert time.monotonic() - added > 4.0
    bench.start_service("controlplane")
    bench.wait_api()
    bench.wait_in_sync()
    until(lambda: _members(bench) == [], "the store forgets it too", 30.0)
    bench.put(bench.policy)


def a_replacement_is_at_once_and_what_is_wrong_is_refused(bench):
    bench.put(_policy(bench))
    path = f"{bench.lab.run_dir}/feed.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.write("# a feed\n" + "".join(f"192.0.2.{i}\n" for i in range(200)) + f"{_CLIENT}  # the one that counts\n")
    said = bench.ctl("set", "replace", "blocked", path).stdout
    assert said == "201 added, 0 removed, 201 members\n", said
    assert bench.tcp(443) == "deny"
    many = [f"10.0.{i // 250}.{i % 250}" for i in range(900)]
    too_many = bench.api.request("POST", "/v1/sets/blocked/members", json.dumps({"members": many}), {"Content-Type": "application/json"})
    assert too_many[0] == 409, too_many
    host_bits = bench.ctl("set", "add", "blocked", "198.51.100.7/8", check=False)
    assert host_bits.returncode != 0 and "has bits set behind its length" in host_bits.stderr + host_bits.stdout, host_bits.stderr
    with open(path, "w", encoding="utf-8") as file:
        file.write("192.0.2.1\n")
    assert "1 members" in bench.ctl("set", "replace", "blocked", path).stdout
    assert bench.tcp(443) == "allow"
    assert _members(bench) == ["192.0.2.1"]
    bench.put(bench.policy)
    bench.ctl("set", "remove", "blocked", "192.0.2.1")


TESTS = (
    blocked_address_loses_its_live_flow,
    members_outlive_either_process,
    nobody_cuts_off_whom_never_block_protects,
    time_to_live_runs_out_without_the_control_plane,
    a_replacement_is_at_once_and_what_is_wrong_is_refused,
)
