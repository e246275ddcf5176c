"""Policies that somebody made to be too big: compiled, or refused with figures; what runs goes on."""
import json
import random

from .bench import Traffic, seed_of_this_run

_PROTOCOLS = ("tcp", "udp")


def _crossing(count, seed):
    """Prefixes that contain each other, and port ranges that cross: every rule differs from every other in both."""
    dice = random.Random(seed)
    rules = []
    for number in range(count):
        bits = dice.randrange(8, 25)
        net = dice.getrandbits(bits) << (32 - bits)
        text = ".".join(str(net >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{bits}"
        services = []
        for protocol in _PROTOCOLS:
            first = dice.randrange(1, 32_000)
            services.append(f"{protocol}/{first}-{first + dice.randrange(1, 33_000)}")
        rules.append({"id": f"r{number}", "from": text, "to": "any", "service": services, "action": "deny"})
    return rules


def _policy(rules):
    zones = {"internet": {"ports": ["outside"]}, "servers": {"ports": ["inside"]}}
    echo = {"id": "echo-in", "from": "internet", "to": "any", "service": "udp/7000", "action": "allow"}
    return json.dumps({"sluice": 1, "name": "huge", "default": {"action": "deny"}, "zones": zones, "rules": [echo, *rules]})


def _refused(bench):
    text = bench.api.request("GET", "/metrics")[2]
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith('sluice_publishes_total{result="invalid"}'))


def x7_what_crosses_compiles_and_what_is_too_much_is_refused_with_figures(bench):
    """Refused for its rules here; what tables have no room for: compiler_test."""
    bench.put(bench.policy)
    traffic = Traffic(bench)
    try:
        status, answer = bench.api.put_policy(_policy(_crossing(10_000, seed_of_this_run())), media_type="application/json")
        assert status == 200, answer
        bench.put(bench.policy)
        etag, refused = bench.etag(), _refused(bench)
        # The lab's dataplane has slots for 16,384.
        status, answer = bench.api.put_policy(_policy(_crossing(20_000, seed_of_this_run())), media_type="application/json")
        assert status == 422 and "needs 200" in answer["detail"] and "raise rule_slots_max" in answer["detail"], answer
        assert bench.etag() == etag, "the stored policy is another one"
        assert _refused(bench) == refused + 1, "the refusal was not counted"
    finally:
        traffic.stop()
        bench.put(bench.policy)
    assert traffic.lost() <= len(traffic.sent) * 0.01, f"{traffic.lost()} of {len(traffic.sent)} packets lost"


TESTS = [x7_what_crosses_compiles_and_what_is_too_much_is_refused_with_figures]
