"""A thousand clients that dawdle, from one address or from many, while an honest one works from another."""
import re
import select
import socket
import ssl
import time

from lab.shell import until

from .bench import figures, percentile

_SLOW, _CONNECTIONS = "127.0.0.66", 1000
_MANY, _ADDRESSES = "127.0.67.", 250

# Hang limits: ten times the goals of P8, 200 ms for an honest client and 10 s until a slow one is closed.
_HONEST_P99_S_MAX = 2.0
_CLOSED_S_MAX = 100.0
_GROWTH_MIB_MAX = 64.0  # 256 connections have a place; a session of TLS and its buffers take less than 100 KiB


class _Slow:
    """Connections from one address that say a byte now and then, at any stage: without a handshake, in the header."""

    def __init__(self, bench):
        self.bench = bench
        self.context = ssl.create_default_context(cafile=f"{bench.lab.state_dir}/ca.pem")
        self.open = []

    def connect(self, address=_SLOW):
        plain = socket.create_connection(("127.0.0.1", self.bench.lab.port), 5.0, source_address=(address, 0))
        if len(self.open) % 2:
            self.open.append(plain)  # never shakes hands
            return
        try:
            tls = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
            tls.sendall(b"GET / HTTP/1.1\r\nHost: ")
            self.open.append(tls)
        except OSError:
            plain.close()  # turned away, as most are

    def trickle(self):
        for connection in self.open:
            if not isinstance(connection, ssl.SSLSocket):
                continue  # a byte would be a wrong handshake and end it
            try:
                connection.setblocking(False)
                connection.send(b"x")
            except OSError:
                pass

    def left(self):
        """Those that the server has not closed."""
        still = []
        for connection in self.open:
            readable, _, _ = select.select([connection], [], [], 0)
            try:
                gone = bool(readable) and connection.recv(4096) == b""
            except (ssl.SSLWantReadError, BlockingIOError):
                gone = False
            except OSError:
                gone = True
            if gone:
                connection.close()
            else:
                still.append(connection)
        self.open = still
        return len(still)


def _counter(bench, name):
    return int(re.search(rf"^{re.escape(name)} (\d+)$", bench.api.request("GET", "/metrics")[2], re.M)[1])


class _Growth:
    """Memory of the control plane from now on: the most that it had at any time, not what is left in the end."""

    def __init__(self, bench):
        self.folder = f"/proc/{bench.pid('controlplane')}"
        with open(f"{self.folder}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak begins anew (proc(5))
        self.before_kib = self._peak_kib()

    def _peak_kib(self):
        with open(f"{self.folder}/status", encoding="ascii") as file:
            return int(file.read().split("VmHWM:")[1].split()[0])

    def judge(self):
        mib = (self._peak_kib() - self.before_kib) / 1024
        print(f"figure memory of the control plane beside slow clients: {mib:.1f} MiB more at its peak", flush=True)
        assert mib < _GROWTH_MIB_MAX, f"it grew by {mib:.1f} MiB"


def a_thousand_slow_connections_of_one_address_hold_up_nobody(bench):
    """P8, Q25: who asks meanwhile is answered; who dawdles is closed and counted; memory does not grow with them."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    growth = _Growth(bench)
    refused = _counter(bench, 'sluice_api_connections_refused_total{reason="address"}')
    slow, took = _Slow(bench), []

    def ask():
        moment = time.monotonic()
        assert bench.api.request("GET", "/v1/policy")[0] == 200
        took.append(time.monotonic() - moment)

    begun = time.monotonic()
    try:
        for number in range(_CONNECTIONS):
            try:
                slow.connect()
            except OSError:
                pass
            if number % 5 == 0:
                ask()
            if number % 100 == 0:
                slow.trickle()
        opened = time.monotonic()
        ask()
        figures(f"an honest client beside {_CONNECTIONS} slow ones, opened within {opened - begun:.1f} s", took)
        assert _counter(bench, 'sluice_api_connections_refused_total{reason="address"}') > refused + _CONNECTIONS // 2

        def all_closed():
            slow.trickle()
            ask()
            return slow.left() == 0
        until(all_closed, "slow connections are closed", _CLOSED_S_MAX, step_s=0.5)
        print(f"figure the last slow connection was closed {time.monotonic() - opened:.1f} s behind its opening", flush=True)
    finally:
        for connection in slow.open:
            connection.close()
    growth.judge()
    assert percentile(took, 0.99) < _HONEST_P99_S_MAX, "an honest client waits"
    assert _counter(bench, 'sluice_api_slow_clients_total{reason="header"}') > 0
    assert _counter(bench, 'sluice_api_slow_clients_total{reason="handshake"}') > 0


def slow_connections_of_many_addresses_cannot_keep_their_places(bench):
    """P8: more strangers than there are places, each of an address of its own: who comes takes the oldest one's place."""
    displaced = _counter(bench, 'sluice_api_slow_clients_total{reason="displaced"}')
    growth = _Growth(bench)
    slow, took = _Slow(bench), []
    try:
        for turn in range(2 * _ADDRESSES):
            slow.connect(f"{_MANY}{turn % _ADDRESSES + 1}")
        for _ in range(100):
            moment = time.monotonic()
            assert bench.api.request("GET", "/v1/policy")[0] == 200
            took.append(time.monotonic() - moment)
        figures(f"an honest client beside {2 * _ADDRESSES} slow ones of {_ADDRESSES} addresses", took)
        growth.judge()
        assert percentile(took, 0.99) < _HONEST_P99_S_MAX, "an honest client waits"
        assert _counter(bench, 'sluice_api_slow_clients_total{reason="displaced"}') > displaced + 100
    finally:
        for connection in slow.open:
            connection.close()


def who_asks_too_often_waits_and_others_do_not(bench):
    """429 with Retry-After for one token; another one is answered meanwhile."""
    made = bench.ctl("token", "create", "busy", "--role", "viewer", "-o", "json").stdout
    token = re.search(r'"token":\s*"([^"]+)"', made)[1]
    context = ssl.create_default_context(cafile=f"{bench.lab.state_dir}/ca.pem")
    one = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", bench.lab.port), 10.0) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        tls.sendall(one)
        assert b" 200 OK" in tls.recv(65536)
        tls.sendall(one * 1000 + one.replace(b"Host", b"Connection: close\r\nHost", 1))
        answer = b""
        while piece := tls.recv(65536):
            answer += piece
    limited = answer.count(b"HTTP/1.1 429 ")
    print(f"    {limited} of 1001 requests at once were told to wait", flush=True)
    assert limited > 100 and b"\r\nRetry-After: 1\r\n" in answer
    assert bench.api.request("GET", "/v1/policy")[0] == 200, "another token"
    assert _counter(bench, "sluice_api_requests_limited_total") >= limited
    bench.ctl("token", "revoke", "busy")


TESTS = [a_thousand_slow_connections_of_one_address_hold_up_nobody, slow_connections_of_many_addresses_cannot_keep_their_places, who_asks_too_often_waits_and_others_do_not]
