"""Twenty clients that scrape the metrics ten times a second each, as many Prometheus servers would, while one hangs."""
import http.client
import re
import socket
import ssl
import threading
import time

from .bench import Traffic, figures, percentile

_CLIENTS, _SCRAPES, _PERIOD_S = 20, 30, 0.1
_ROUND_TRIP_S_MAX = 1.0  # hang limit: a packet that took so long was held up


class _Scraper:
    """A token of its own and a connection that stays open, as Prometheus keeps it."""

    def __init__(self, bench, number):
        self.name = f"scraper-{number}"
        made = bench.ctl("token", "create", self.name, "--role", "viewer", "-o", "json").stdout
        self.token = re.search(r'"token":\s*"([^"]+)"', made)[1]
        self.port = bench.lab.port
        self.context = ssl.create_default_context(cafile=f"{bench.lab.state_dir}/ca.pem")
        self.took, self.trouble = [], None
        self.thread = threading.Thread(target=self._scrape)

    def _scrape(self):
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20.0, context=self.context)
            due = time.monotonic()
            for _ in range(_SCRAPES):
                time.sleep(max(0.0, due - time.monotonic()))
                due += _PERIOD_S
                moment = time.monotonic()
                connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                body = answer.read()
                self.took.append(time.monotonic() - moment)
                if answer.status != 200 or b"\nsluice_worker_" not in body:
                    self.trouble = f"{answer.status} {body[:200]!r}"
            connection.close()
        except OSError as error:
            self.trouble = repr(error)


def _hung(bench, scraper):
    """Asks for more than any buffer holds and reads none of it."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", bench.lab.port))
    tls = scraper.context.wrap_socket(plain, server_hostname="127.0.0.1")
    tls.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {scraper.token}\r\n\r\n".encode() * 40)
    return tls


def _round_trips(stream):
    return [answered - stream.sent[number] for number, answered in stream.answered.items()]


def a17_twenty_scrapers_one_of_which_hangs_cost_no_packet(bench):
    """A17: every scrape is answered, no packet is lost, and none is held up; the round trips of both times are printed."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    scrapers = [_Scraper(bench, number) for number in range(_CLIENTS)]
    before = Traffic(bench)
    time.sleep(_SCRAPES * _PERIOD_S)  # as long as the scrapes last: what the round trips are without them
    before.stop()
    hung = _hung(bench, _Scraper(bench, _CLIENTS))
    try:
        stream = Traffic(bench)
        for scraper in scrapers:
            scraper.thread.start()
        for scraper in scrapers:
            scraper.thread.join(60.0)
        stream.stop()
    finally:
        hung.close()
        for number in range(_CLIENTS + 1):
            bench.ctl("token", "revoke", f"scraper-{number}")
    assert [scraper.trouble for scraper in scrapers if scraper.trouble] == []
    took = [seconds for scraper in scrapers for seconds in scraper.took]
    assert len(took) == _CLIENTS * _SCRAPES, len(took)
    figures(f"scrapes of {_CLIENTS} clients at {1 / _PERIOD_S:.0f} Hz, one more hangs", took)
    figures("round trips of packets without scrapes", _round_trips(before))
    figures("round trips of packets meanwhile", _round_trips(stream))
    assert stream.lost() == 0 and before.lost() == 0
    assert percentile(_round_trips(stream), 0.99) < _ROUND_TRIP_S_MAX


TESTS = [a17_twenty_scrapers_one_of_which_hangs_cost_no_packet]
