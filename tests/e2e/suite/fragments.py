"""Datagrams larger than the MTU, as real hosts cut and join them: held by the firewall until they are whole."""
from lab.names import SHOP
from lab.shell import in_ns, run, until

# Out through the namespace's interface of MTU 1500: the kernel cuts it into 2 to 44 fragments.
_SIZES = (2000, 4000, 9000, 60000)
_UDP_ROUND_TRIP = """
import os, socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(3)
sock.connect((sys.argv[1], int(sys.argv[2])))
data = os.urandom(int(sys.argv[3]))
sock.send(data)
sys.exit(0 if sock.recv(65535) == data else 1)
"""


def _reassembled(bench):
    return sum(value for name, value in bench.counters().items() if name.startswith("frag_reassembled"))


def large_pings_pass_both_ways(bench):
    """Request and answer are cut; each is one packet of its flow."""
    bench.put(bench.policy)
    for address in SHOP:
        before = _reassembled(bench)
        argv = in_ns(bench.lab.ns_outside, "ping", "-c", "3", "-i", "0.2", "-W", "3", "-s", "4000", address)
        done = run(*argv, check=False)
        assert done.returncode == 0 and "3 received" in done.stdout, done.stdout
        assert _reassembled(bench) - before == 6, f"{_reassembled(bench) - before} datagrams reassembled at {address}"


def large_udp_datagrams_pass_unchanged(bench):
    bench.put(bench.policy)
    for size in _SIZES:
        argv = in_ns(
            bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", _UDP_ROUND_TRIP, SHOP[0], "7000", str(size)
        )
        assert run(*argv, check=False, timeout_s=20).returncode == 0, f"{size} bytes did not come back as they were"


def large_datagrams_meet_the_policy(bench):
    """Port 7001 is closed: the datagram is dropped as one, each of its fragments counted with the policy's reason."""
    key = 'drop{port="outside",reason="policy_deny"}'
    bench.put(bench.policy)
    before = bench.counters().get(key, 0)
    code = "import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(4000), (sys.argv[1], 7001))"
    run(*in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", code, SHOP[0]))
    counted = lambda: bench.counters().get(key, 0) - before  # noqa: E731
    until(lambda: counted() >= 3, f"three more at {key}", 5.0)


TESTS = [
    large_pings_pass_both_ways,
    large_udp_datagrams_pass_unchanged,
    large_datagrams_meet_the_policy,
]
