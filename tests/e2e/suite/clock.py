"""A7: the wall clock jumps while both processes run. Only they see it: libfaketime bends CLOCK_REALTIME for them and leaves
the monotonic clock alone, as a step by an administrator or NTP would."""
import datetime
import glob
import json
import os
import time

from lab import daemons, demo
from lab.shell import alive, until

_JUMPS = ("+10y", "-1d", "@2038-01-19 03:14:05", "+0")


def jumps_of_the_wall_clock_move_nothing(bench):
    """A7: flows live on and expire by themselves only, a confirm deadline stays where it was, nothing is lost."""
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    assert library, "libfaketime is not installed: tools/dev/install"
    clock = f"{bench.lab.run_dir}/wall-clock"
    _set(clock, "+0")
    environment = {
        "LD_PRELOAD": library[0],
        "FAKETIME_TIMESTAMP_FILE": clock,
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    _restart_supervise(bench, environment)
    try:
        _under_jumps(bench, clock)
    finally:
        _restart_supervise(bench, {})
        os.unlink(clock)
    bench.wait_in_sync()
    bench.put(bench.policy)


def _under_jumps(bench, clock):
    bench.wait_api()
    bench.wait_in_sync()
    bench.put(bench.policy)
    bench.wait_forwarding()
    flow = _flow(bench)
    for jump in _JUMPS:
        text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
        start = time.monotonic()
        answer = bench.put(text, expect=202, confirm_s=4)
        assert answer["state"] == "pending_confirmation", answer
        _set(clock, jump)
        assert bench.udp_passes(7001), f"{jump}: in force until the deadline"
        # libfaketime reads the file once a second; a hit's time as the API tells it shows that the jump arrived.
        until(lambda: _last_hit(bench).startswith(_day(jump)), f"{jump}: the processes see it", 3.0, step_s=0.05)
        until(lambda: not bench.udp_passes(7001, within_s=0.15), f"{jump}: the old policy back", 10.0)
        after = time.monotonic() - start
        assert 3.0 <= after <= 5.6, f"{jump}: taken back after {after:.1f} s, asked for 4 s"
        assert bench.udp_passes(), f"{jump}: traffic stopped"
        later = _flow(bench)
        assert later["age_s"] >= flow["age_s"], f"{jump}: the flow was made anew: {flow} {later}"
        assert later["age_s"] < 3600, f"{jump}: a flow is {later['age_s']} s old"
        flow = later
        bench.wait_in_sync()


def _day(jump):
    """The beginning of every time of day that a process under this jump can tell."""
    now = datetime.datetime.now(datetime.timezone.utc)
    if jump == "+10y":
        return (now + datetime.timedelta(days=3650)).strftime("%Y-")
    if jump == "-1d":
        return (now - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    return jump[1:11] if jump.startswith("@") else now.strftime("%Y-%m-%d")


def _last_hit(bench):
    assert bench.udp_passes()
    return bench.api.rules()["more"]["last_hit"] or ""


def _flow(bench):
    """The oldest flow of the echo service."""
    flows = [f for f in bench.api.json("GET", "/v1/flows")["flows"] if f["dport"] == 7000]
    assert flows, "no flow to port 7000"
    return max(flows, key=lambda f: f["age_s"])


def _set(clock, text):
    with open(clock + ".tmp", "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os.chmod(clock + ".tmp", 0o644)
    os.replace(clock + ".tmp", clock)


def _restart_supervise(bench, environment):
    """Both processes anew, with `environment` added to theirs."""
    record = demo.read_record(bench.lab)
    daemons.stop(bench.lab, record["supervise"])
    assert not alive(record["supervise"])
    path = f"{bench.lab.run_dir}/supervise.json"
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    for service in config["services"]:
        service["env"] = environment
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    record["supervise"] = daemons.start(bench.lab)
    demo.write_record(bench.lab, record)
    demo.wait_connected(bench.lab, bench.api)


TESTS = [jumps_of_the_wall_clock_move_nothing]
