"""Many requests a second at the REST interface, by clients that each keep to their share, while traffic passes."""
import http.client
import re
import ssl
import threading
import time

from .bench import Traffic, figures, percentile

_CLIENTS, _PER_S = 4, 50  # of one client at most 100 are taken
_FOR_S, _FOR_LONG_S = 5.0, 60.0
_ASKED = ("/v1/status", "/v1/policy", "/v1/rules", "/v1/flows?limit=100", "/v1/history", "/v1/audit?limit=20")
_HANG_S_MAX = 5.0


class _Client:
    """Sends when it is due, whatever became of the one before: an answer that is late is late by that."""

    def __init__(self, bench, number, count):
        made = bench.ctl("token", "create", f"load-{number}", "--role", "viewer", "--role", "auditor", "-o", "json").stdout
        self.headers = {"Authorization": "Bearer " + re.search(r'"token":\s*"([^"]+)"', made)[1]}
        self.context = ssl.create_default_context(cafile=f"{bench.lab.state_dir}/ca.pem")
        self.bench, self.number, self.count = bench, number, count
        self.took, self.trouble = [], []
        # Who comes anew waits for a handshake and for the hash of his token; that is no matter of requests.
        self.connection = http.client.HTTPSConnection("127.0.0.1", bench.lab.port, timeout=20.0, context=self.context)
        self.connection.request("GET", _ASKED[0], headers=self.headers)
        self.connection.getresponse().read()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        connection = self.connection
        start = time.monotonic() + self.number / (_CLIENTS * _PER_S)
        for turn in range(self.count):
            due = start + turn / _PER_S
            time.sleep(max(0.0, due - time.monotonic()))
            path = _ASKED[(turn + self.number) % len(_ASKED)]
            try:
                connection.request("GET", path, headers=self.headers)
                answer = connection.getresponse()
                answer.read()
            except OSError as error:
                self.trouble.append(f"{path}: {error!r}")
                return
            self.took.append(time.monotonic() - due)
            if answer.status != 200:
                self.trouble.append(f"{path}: {answer.status}")
        connection.close()


def two_hundred_requests_a_second_are_answered(bench):
    """Every request is answered with what it asked for, and no packet is lost; the latency is printed."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    seconds = _FOR_LONG_S if bench.long else _FOR_S
    clients = [_Client(bench, number, int(seconds * _PER_S)) for number in range(_CLIENTS)]
    traffic = Traffic(bench)
    try:
        for client in clients:
            client.thread.start()
        for client in clients:
            client.thread.join(seconds + 60.0)
    finally:
        traffic.stop()
        for number in range(_CLIENTS):
            bench.ctl("token", "revoke", f"load-{number}")
    assert [client.trouble for client in clients if client.trouble] == []
    took = [each for client in clients for each in client.took]
    figures(f"requests at {_CLIENTS * _PER_S} a second of {_CLIENTS} clients, from when they were due", took)
    assert len(took) == _CLIENTS * int(seconds * _PER_S)
    assert percentile(took, 0.99) < _HANG_S_MAX, "requests hang"
    assert traffic.lost() == 0, f"{traffic.lost()} of {len(traffic.sent)} packets lost"


TESTS = [two_hundred_requests_a_second_are_answered]
