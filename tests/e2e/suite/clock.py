"""A7: the wall clock jumps while both processes run. Only they see it: libfaketime bends CLOCK_REALTIME for them and leaves
the monotonic clock alone, as a step by an administrator or NTP would."""
import datetime
import glob
import itertools
import json
import os
import subprocess
import time

from lab import daemons, demo
from lab.names import SHOP
from lab.shell import alive, in_ns, run, until

from .bench import HERE

# What a clock shows in a leap second: the last second of the day comes twice (clock_gettime(2) has no 23:59:60). That of
# 2016, the last one there was.
_LEAP, _LAST_SECONDS = "a leap second", datetime.datetime(2016, 12, 31, 23, 59, 58, tzinfo=datetime.timezone.utc)
_JUMPS = ("+10y", "-1d", "@2038-01-19 03:14:05", _LEAP, "+0")

_CONFIRM_S = 4
_LIMITED, _PER_SECOND, _BURST = 7003, 5, 100
_SILENT, _ONEWAY_S = 7004, 5
_LIMITED_RULE = f"{{id: limited, from: internet, to: shop, service: udp/{_LIMITED}, action: allow, limits: {{new_per_second: {_PER_SECOND}}}}}"
_SILENT_RULE = f"{{id: silent, from: internet, to: shop, service: udp/{_SILENT}, action: allow}}"
_sports = itertools.count(10_000, _BURST)  # below those that the kernel gives
_HANG_S = 10.0  # ten times the second by which a timer, or libfaketime, may be late

# One packet at once for each of COUNT flows, from ports that follow each other; prints how many were answered, until
# nothing comes for WAIT_S, and when the last of them was.
_SEND = """
import json, select, socket, sys, time
begin, flows = time.monotonic(), []
for sport in range(int(sys.argv[4]), int(sys.argv[4]) + int(sys.argv[3])):
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.bind(("", sport))
    flow.connect((sys.argv[1], int(sys.argv[2])))
    flow.send(b"x")
    flows.append(flow)
took, answered = 0.0, set()
while ready := set(select.select(set(flows) - answered, [], [], float(sys.argv[5]))[0]):
    answered |= ready
    took = time.monotonic() - begin
print(json.dumps([len(answered), took]))
"""


def jumps_of_the_wall_clock_move_nothing(bench):
    """A7: flows live on and expire by themselves only, in their own time; a limit of new flows refuses and allows as many
    as before, a confirm deadline stays where it was, nothing is lost."""
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
    restart_supervise(bench, lambda service: service.update(env=environment))
    try:
        for name in ("dataplane", "controlplane"):
            with open(f"/proc/{bench.pid(name)}/maps", encoding="utf-8") as file:
                assert "/libfaketime." in file.read(), f"the clock of the {name} can't be bent"
        _under_jumps(bench, clock)
    finally:
        restart_supervise(bench, lambda service: service.update(env={}))
        os.unlink(clock)
    bench.wait_in_sync()
    bench.put(bench.policy)


def _under_jumps(bench, clock):
    bench.wait_api()
    bench.wait_in_sync()
    base = bench.with_rule(_LIMITED_RULE, bench.with_rule(_SILENT_RULE)) + f"timeouts: {{udp_oneway: {_ONEWAY_S}s}}\n"
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}", base)
    bench.put(base)
    bench.wait_forwarding()
    echo = subprocess.Popen(
        in_ns(bench.lab.ns_inside, "/usr/bin/python3", "-I", os.path.join(HERE, "traffic.py"), "echo", SHOP[0], str(_LIMITED)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert echo.stdout.readline() == "ready\n"
        flow = _oldest(bench, 7000)
        for jump in _JUMPS:
            _limit_holds(bench, f"before {jump}")
            start = time.monotonic()
            answer = bench.put(text, expect=202, confirm_s=_CONFIRM_S)
            assert answer["state"] == "pending_confirmation", answer
            silent_since = time.monotonic()
            _send(bench, _SILENT, 1, wait_s=0)
            assert bench.udp_passes(7001), f"{jump}: in force until the deadline"
            _jump(bench, clock, jump)
            _limit_holds(bench, jump)
            after, silent = _ends(bench, jump, start, silent_since)
            print(f"figure {jump}: confirm deadline after {after:.1f} s, end of a silent flow after {silent:.1f} s", flush=True)
            assert after >= _CONFIRM_S - 1.0, f"{jump}: taken back after {after:.1f} s, asked for {_CONFIRM_S} s"
            assert silent >= _ONEWAY_S - 1.0, f"{jump}: a silent flow ended after {silent:.1f} s, asked for {_ONEWAY_S} s"
            assert bench.udp_passes(), f"{jump}: traffic stopped"
            later = _oldest(bench, 7000)
            assert later["age_s"] >= flow["age_s"], f"{jump}: the flow was made anew: {flow} {later}"
            assert later["age_s"] < 3600, f"{jump}: a flow is {later['age_s']} s old"
            flow = later
            bench.wait_in_sync()
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()


def _jump(bench, clock, jump):
    """Returns when the processes see it: libfaketime reads the file once a second. The time of a hit, as the API tells it,
    goes with the clock."""
    if jump != _LEAP:
        _set(clock, jump)
        until(lambda: _last_hit(bench).startswith(_day(jump)), f"{jump}: the processes see it", _HANG_S, step_s=0.05)
        return
    offset_s = int(_LAST_SECONDS.timestamp() - time.time())
    _set(clock, f"{offset_s:+d}")
    until(lambda: _last_hit(bench).startswith("2016-12-31"), f"{jump}: the processes see the end of the year", _HANG_S, step_s=0.05)
    before = datetime.datetime.fromisoformat(_last_hit(bench)[:-1])
    _set(clock, f"{offset_s - 1:+d}")
    back = lambda: before - datetime.datetime.fromisoformat(_last_hit(bench)[:-1])  # noqa: E731
    until(lambda: back() > datetime.timedelta(seconds=0.5), f"{jump}: the processes see it", _HANG_S, step_s=0.05)


def _ends(bench, jump, start, silent_since):
    """How long the unconfirmed policy was in force, and how long the silent flow lived."""
    ends = {}

    def both():
        if "flow" not in ends and not _flows(bench, _SILENT):
            ends["flow"] = time.monotonic() - silent_since
        if "policy" not in ends and not bench.udp_passes(7001):
            ends["policy"] = time.monotonic() - start
        return len(ends) == 2

    until(both, f"{jump}: the old policy back, and the end of a silent flow", max(_CONFIRM_S, _ONEWAY_S) + _HANG_S)
    return ends["policy"], ends["flow"]


def _limit_holds(bench, when):
    """Far more new flows than the rule may have: some get through, and not more than a second's worth and their share."""
    answered, took_s = _send(bench, _LIMITED, _BURST)
    assert 1 <= answered <= _PER_SECOND * (1 + took_s) + 1, f"{when}: {answered} of {_BURST} new flows in {took_s:.2f} s"


def _send(bench, port, count, wait_s=0.5):
    """Of ports that never come again: the packet of a flow that lives is none of a new one."""
    words = (SHOP[0], port, count, next(_sports), wait_s)
    return json.loads(run(*in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", _SEND, *map(str, words))).stdout)


def _day(jump):
    """The beginning of every time of day that a process under this jump can tell."""
    now = datetime.datetime.now(datetime.timezone.utc)
    if jump == "+10y":
        return (now + datetime.timedelta(days=3650)).strftime("%Y-")
    if jump == "-1d":
        return (now - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    return jump[1:11] if jump.startswith("@") else now.strftime("%Y-%m-%d")


def _last_hit(bench):
    return bench.api.rules()["limited"]["last_hit"] or ""


def _flows(bench, port):
    found, cursor = [], ""
    while cursor is not None:
        page = bench.api.json("GET", "/v1/flows?limit=1000" + cursor)
        found += [flow for flow in page["flows"] if flow["dport"] == port]
        cursor = page["next"] and f"&cursor={page['next']}"
    return found


def _oldest(bench, port):
    flows = _flows(bench, port)
    assert flows, f"no flow to port {port}"
    return max(flows, key=lambda f: f["age_s"])


def _set(clock, text):
    with open(clock + ".tmp", "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os.chmod(clock + ".tmp", 0o644)
    os.replace(clock + ".tmp", clock)


def restart_supervise(bench, change):
    """Both processes anew, as `change` has made what supervise knows of each."""
    record = demo.read_record(bench.lab)
    daemons.stop(bench.lab, record["supervise"])
    assert not alive(record["supervise"])
    path = f"{bench.lab.run_dir}/supervise.json"
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    for service in config["services"]:
        change(service)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    record["supervise"] = daemons.start(bench.lab)
    demo.write_record(bench.lab, record)
    demo.wait_connected(bench.lab, bench.api)


TESTS = [jumps_of_the_wall_clock_move_nothing]
