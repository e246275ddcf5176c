"""Handshakes in the server's stead (`over: syn-cookie`), with real stacks at both ends: under a flood, over a bad line, and
when there is no server."""
import os
import subprocess
import time

from lab.names import SHOP
from lab.shell import in_ns, until

from . import pressure, stacks
from .bench import HERE, seed_of_this_run

_FLOOD_S = 6
_CONNECTS = 40
_COUNT, _COUNT_LONG = 1500, 100_000
_ALWAYS = "limits: {over: syn-cookie}"
_POLICY = stacks.POLICY.replace("action: allow", "action: allow, " + _ALWAYS)
# Beside what a bad line explains in any flow (stacks.py).
_EXPLAINED = stacks.EXPLAINED | {
    "syn_proxy_wait": "what a client sends again or probes with while the server has not answered",
    "syn_cookie_bad": "what came again after the flow had ended: without a flow it looks for a cookie",
    "tcp_bad_flags": "as tcp_no_flow, while flows are taken up in mid-stream: the test before has restarted the dataplane",
    "syn_proxy_mismatch": "a server was promised timestamps before it was known to have none",
}


def _flood(bench, port):
    words = (os.path.join(HERE, "syn_flood.py"), SHOP[0], str(port), str(_FLOOD_S), str(seed_of_this_run()))
    return subprocess.Popen(
        in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", *words), stdout=subprocess.PIPE, text=True
    )


def _policy_with_cookies(bench):
    """The lab's own, but SYNs of its web rule are answered here once eight are half-open."""
    rule = next(line for line in bench.policy.splitlines() if "web-in" in line and "action: allow" in line)
    return bench.policy.replace(rule, rule.replace("action: allow", "action: allow, limits: {half_open: 8, over: syn-cookie}"))


def x1_a_flood_takes_no_room_and_everybody_gets_in(bench):
    """A table of 1,024 again (pressure.py): with cookies no flow dies for a SYN, and every client gets in."""
    before = pressure.with_flow_table(bench, {"entries_max": 1024, "pickup_s": 0})
    flood = None
    try:
        bench.put(_policy_with_cookies(bench))
        evicted = pressure.total(bench, "syn_early_drop")
        flood = _flood(bench, 80)
        until(lambda: pressure.total(bench, "syn_cookies_active") > 0, "SYNs are answered with cookies", 5.0)
        connected = sum(bench.tcp(80) == "allow" for _ in range(_CONNECTS))
        shown = bench.ctl("status").stdout
        half_open = pressure.total(bench, "flows_half_open")
        sent = int(flood.communicate(timeout=_FLOOD_S + 20)[0])
        cookies, accepted = (pressure.total(bench, f"syn_cookies_{what}") for what in ("sent", "accepted"))
        print(f"figure flood: {sent} SYNs, {cookies} cookies, {accepted} came back, {connected}/{_CONNECTS} connects")
        assert connected == _CONNECTS, f"{connected} of {_CONNECTS} clients got in"
        assert accepted >= _CONNECTS * 0.9, f"{accepted} cookies came back"
        assert "SYNs are answered with cookies" in shown, shown
        assert half_open <= 16, f"{half_open} half-open flows while cookies are sent from eight on"
        assert pressure.total(bench, "syn_early_drop") == evicted, "a flow died for a SYN"
        until(lambda: pressure.total(bench, "syn_cookies_active") == 0, "the cookies end", 10.0)
    finally:
        if flood is not None:
            flood.kill()
            flood.wait()
        pressure.with_flow_table(bench, before)
        bench.put(bench.policy)
        bench.wait_forwarding()


def no_connection_fails_on_a_bad_line(bench):
    """As stacks.py, and every handshake is made here: loss, reordering and doubling of each of its segments.
    A flow stays a proxied one until it ends, two minutes after its FINs: in a long run they are more than may be at once."""
    seed = seed_of_this_run()
    count = _COUNT_LONG if bench.long else _COUNT
    bench.put(_POLICY)
    before, accepted = stacks.drops(bench), pressure.total(bench, "syn_cookies_accepted")
    start = time.monotonic()
    try:
        with stacks.BadLine(bench, seed) as line:
            found = stacks.talk(bench, line, count)
        accepted = pressure.total(bench, "syn_cookies_accepted") - accepted
        dropped = stacks.drops(bench) - before
    finally:
        bench.put(bench.policy)
    failures = [said for half in found for said in half["failures"]]
    print(f"figure SEED={seed}: {count} connections in {time.monotonic() - start:.0f} s, {accepted} by cookie, drops {dict(dropped)}")
    assert accepted >= 0.9 * count, f"{accepted} flows of {count} were begun by a cookie"
    assert not failures, f"SEED={seed}: {len(failures)} failed, drops {dict(dropped)}: " + " | ".join(failures[:5])
    unexplained = {reason: n for reason, n in dropped.items() if reason not in _EXPLAINED}
    assert not unexplained, f"SEED={seed}: dropped for other reasons than {', '.join(_EXPLAINED)}: {unexplained}"


def nobody_listens_and_the_client_hears_of_it(bench):
    """The client has been answered already: it is connected, and then reset, before it knows or soon after."""
    bench.put(_POLICY)
    refused = pressure.total(bench, "syn_proxy_refused")
    code = (
        "import socket, sys\n"
        "try:\n"
        "    sock = socket.create_connection((sys.argv[1], 7080), 5)\n"
        "    sock.settimeout(5)\n"
        "    sock.recv(1)\n"
        "except ConnectionResetError:\n"
        "    print('reset')\n"
    )
    try:
        for address in SHOP:
            done = subprocess.run(
                in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", code, address),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False,
            )  # fmt: skip
            assert done.stdout == "reset\n", f"{address}: {done.stdout}"
        assert pressure.total(bench, "syn_proxy_refused") == refused + 2
    finally:
        bench.put(bench.policy)


TESTS = [
    x1_a_flood_takes_no_room_and_everybody_gets_in,
    no_connection_fails_on_a_bad_line,
    nobody_listens_and_the_client_hears_of_it,
]
