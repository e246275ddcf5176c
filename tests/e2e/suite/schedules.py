"""Rules that come and go by the clock: real instants, a few seconds away. The control plane is dead when they come."""
import datetime
import time

from lab.shell import until
from suite.live_flows import Held

_OPEN = '{id: %s, from: internet, to: shop, service: %s, action: allow, expires: "%s"}'
_TEST_OF_443 = '  - {from: 198.51.100.7@internet, to: "198.51.100.80@servers:443/tcp", expect: allow, by: web-in}\n'


def _in(seconds):
    """An instant as policies write it, and when it is."""
    at = int(time.time() + seconds)
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), at


def an_expiry_comes_without_a_control_plane(bench):
    """The rule turns to observe at its second, and an idle connection that it had let in ends."""
    text, at = _in(6)
    policy = bench.with_rule(_OPEN % ("for-now", "[tcp/443, udp/7001]", text), bench.policy.replace(_TEST_OF_443, ""))
    policy = policy.replace("service: [https, http]", "service: http")
    before = bench.counters()
    bench.put(policy)
    generation = bench.inspect("--json", "status")["generation"]
    with Held(bench) as held:
        assert bench.udp_passes(7001) and held.say() == "silent", "in force until then"
        bench.stop_service("controlplane")
        assert time.time() < at, "the machine was too slow for this test's clock"
        until(lambda: not bench.udp_passes(7001, within_s=0.1), "the rule gone", 15.0, step_s=0.02)
        late = time.time() - at
        assert -0.5 <= late < 2.0, f"gone {late:.2f} s behind its instant"
        until(lambda: _of(bench.counters(), "flows_ended_by_policy") > _of(before, "flows_ended_by_policy"), "the idle flow ended", 10.0)
    assert bench.udp_passes(), "other rules are there still"
    assert bench.inspect("--json", "status")["generation"] == generation, "no generation was made for it"
    assert _of(bench.counters(), "transitions") > _of(before, "transitions")
    bench.start_service("controlplane")
    bench.wait_in_sync()
    rules = bench.api.rules()
    assert rules["for-now"]["mode"] == "observe", rules["for-now"]
    bench.put(bench.policy)


def a_dataplane_that_restarts_knows_what_time_it_is(bench):
    """The instant passes while it is dead; nobody else is there to tell."""
    text, at = _in(4)
    bench.put(bench.with_rule(_OPEN % ("for-now", "udp/7001", text)))
    assert bench.udp_passes(7001)
    bench.stop_service("controlplane")
    bench.stop_service("dataplane")
    time.sleep(max(0.0, at - time.time()) + 0.2)
    bench.start_service("dataplane")
    bench.wait_forwarding()
    assert not bench.udp_passes(7001), "it has expired"
    bench.start_service("controlplane")
    bench.wait_in_sync()
    bench.put(bench.policy)


def explain_knows_the_week(bench):
    """A schedule is asked about at two instants, in words of its zone."""
    policy = bench.with_rule("{id: window, from: internet, to: shop, service: udp/7001, action: allow, when: weekend}")
    policy = policy.replace("rules:\n", 'schedules:\n  weekend: {tz: Asia/Shanghai, days: [sat, sun], from: "01:00", to: "05:00"}\nrules:\n', 1)
    bench.put(policy)
    asked = ("explain", "outside", "198.51.100.7", "198.51.100.80:7001/udp", "--at")
    year = datetime.datetime.now(datetime.timezone.utc).year
    saturday = next(d for d in (datetime.date(year, 12, n) for n in range(1, 8)) if d.weekday() == 5)
    assert "by window" in bench.ctl(*asked, f"{saturday}T01:00+08:00").stdout
    told = bench.ctl(*asked, f"{saturday}T05:00+08:00").stdout
    assert "by default" in told and "when" in told, told
    bench.put(bench.policy)


def _of(counters, name):
    return sum(value for key, value in counters.items() if key.startswith(name))


TESTS = [an_expiry_comes_without_a_control_plane, a_dataplane_that_restarts_knows_what_time_it_is, explain_knows_the_week]
