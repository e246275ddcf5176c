"""Policy changes and live flows, flows found and ended by filter: both processes, real connections."""
import json
import subprocess
import urllib.parse

from lab.names import SHOP, binary
from lab.shell import in_ns, run, until

# A connection that says nothing until it is told to: then whether it is alive, reset, or met with silence.
_HOLDER = """
import socket, sys
s = socket.create_connection((sys.argv[1], 443), 5)
s.settimeout(2)
print("ready", flush=True)
for line in sys.stdin:
    try:
        s.send(b"G")
        s.recv(1)
        print("alive", flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
    except TimeoutError:
        print("silent", flush=True)
"""
_TEST_OF_443 = '  - {from: 198.51.100.7@internet, to: "198.51.100.80@servers:443/tcp", expect: allow, by: web-in}\n'


class Held:
    """An idle TCP connection to the shop. nginx waits for the rest of a request, so silence means that packets pass."""

    def __init__(self, bench):
        self.process = subprocess.Popen(
            in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", _HOLDER, SHOP[0]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def _flows(bench, text):
    return bench.api.json("GET", "/v1/flows?limit=1000&filter=" + urllib.parse.quote(text))["flows"]


def closing(bench, on_change=""):
    """The policy, with what the connections came in by closed."""
    assert _TEST_OF_443 in bench.policy
    line = "{id: closed, from: internet, to: any, service: tcp/443, action: deny%s}" % on_change
    return bench.with_rule(line, bench.policy.replace(_TEST_OF_443, ""))


def _rejudged(bench):
    # Exit code 1 says that it caught a moment of imbalance; the numbers are there all the same.
    done = run(binary("sluice-inspect"), "--socket", bench.lab.tables_socket, "--json", "counters", check=False)
    return sum(value for name, value in json.loads(done.stdout)["counters"].items() if name.startswith("flows_rejudged"))


_HTTPS = "proto==tcp and dport==443 and state in {established, killed}"


def idle_flow_loses_its_rights(bench):
    """It sends nothing, and it is gone all the same."""
    bench.put(bench.policy)
    with Held(bench):
        until(lambda: _flows(bench, _HTTPS), "the connection among the flows", 5.0, step_s=0.1)
        bench.put(closing(bench))
        until(lambda: not _flows(bench, _HTTPS), "the idle flow gone", 10.0, step_s=0.1)
    bench.put(bench.policy)


def kept_flow_goes_on(bench):
    bench.put(bench.policy)
    with Held(bench) as held:
        answer = bench.put(closing(bench, ", on_change: keep"))
        until(lambda: any(flow.get("kept") for flow in _flows(bench, _HTTPS)), "a kept flow", 10.0, step_s=0.1)
        (flow,) = [flow for flow in _flows(bench, _HTTPS) if flow.get("kept")]
        assert flow["generation"] == answer["generation"], (flow, answer)
        assert held.say() == "silent"
        (flow,) = [flow for flow in _flows(bench, _HTTPS) if flow.get("kept")]
        assert flow["packets"][0] > 2 and flow["packets"][1] > 1, flow
        assert bench.tcp(443, timeout_s=0.3) == "deny"
    bench.put(bench.policy)


def killed_flow_is_reset(bench):
    bench.put(bench.policy)
    with Held(bench) as held:
        bench.put("on_change: kill\n" + closing(bench))
        until(lambda: [f for f in _flows(bench, _HTTPS) if f["state"] == "killed"], "a marked flow", 10.0, step_s=0.1)
        assert held.say() == "reset"
    bench.put(bench.policy)


def flows_are_ended_by_filter(bench):
    bench.put(bench.policy)
    with Held(bench) as told, Held(bench) as untold:
        (first, second) = sorted(_flows(bench, _HTTPS + " and age_s<30"), key=lambda flow: flow["sport"])[:2]
        assert {first["rule"], second["rule"]} == {"web-in"}, (first, second)
        assert "column 1" in bench.ctl("flows", "end", "--filter", "nonsense", check=False).stderr
        done = json.loads(bench.ctl("flows", "end", "--filter", f"rule==web-in and {_HTTPS}", "--answer", "-o", "json").stdout)
        assert done["ended"] >= 2 and done["complete"], done
        assert told.say() == "reset"
        assert untold.say() == "reset"
    assert bench.tcp(443) == "allow", "the policy allows it: a new connection comes through"


def unconcerned_flows_are_left_alone(bench):
    """A rule about something else: nothing is asked about the connection."""
    bench.put(bench.policy)
    with Held(bench):
        before = _rejudged(bench)
        answer = bench.put(bench.with_rule("{id: elsewhere, from: internet, to: 192.0.2.0/24, service: tcp/81, action: deny}"))
        until(lambda: _flows(bench, f"{_HTTPS} and generation=={answer['generation']}"), "the sweep", 10.0, step_s=0.1)
        after = _rejudged(bench)
        assert after == before, f"{after - before} flows were judged again"
    bench.put(bench.policy)


TESTS = (
    idle_flow_loses_its_rights,
    kept_flow_goes_on,
    killed_flow_is_reset,
    flows_are_ended_by_filter,
    unconcerned_flows_are_left_alone,
)
