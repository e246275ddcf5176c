"""What the control plane tells others: twenty clients that scrape the metrics ten times a second each, as many Prometheus
servers would, while one hangs; a flow log whose place is gone; a name server that is silent."""
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import threading
import time

from lab.names import CONTROL_UID
from lab.shell import until

from .bench import Traffic, figures, percentile
from .clock import restart_supervise

_CLIENTS, _SCRAPES, _PERIOD_S = 20, 30, 0.1
_ROUND_TRIP_S_MAX = 1.0  # hang limit: a packet that took so long was held up
_NAME_SERVER, _ISSUER = "127.0.66.53", "https://issuer.example"
_ANSWER_S_MAX = 2.0  # hang limit: ten times what an honest client may wait (P8)


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


def _restart(bench):
    bench.stop_service("controlplane")
    bench.start_service("controlplane")
    bench.wait_api()
    bench.wait_in_sync()


def _folder(path, mode=0o755, owner=CONTROL_UID):
    os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, owner, owner)
    return path


def _lines(bench, result):
    text = bench.api.request("GET", "/metrics")[2]
    return int(re.search(rf'^sluice_flow_log_lines_total{{result="{result}"}} (\d+)$', text, re.M)[1])


def a17_a_flow_log_without_a_place_costs_no_packet(bench):
    """A17: its directory is moved away, has a directory where the file was, may not be written: lines are lost and counted,
    the status says why, traffic and API go on; where the directory is back, so are the lines."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    root = _folder(f"{bench.lab.run_dir}/flow-log")
    place = _folder(f"{root}/place")
    taken, closed = _folder(f"{root}/taken"), _folder(f"{root}/closed", 0o555, 0)
    _folder(f"{taken}/flows.jsonl")
    before = bench.reconfigure("controlplane", flow_log={"path": f"{place}/flows.jsonl"})
    stream = Traffic(bench)
    try:
        _restart(bench)

        def logs():
            assert bench.tcp(443) == "allow"
            return os.path.exists(f"{place}/flows.jsonl") and not bench.api.status()["flow_log"]["trouble"]

        until(logs, "a flow log", 60.0)
        os.rename(place, f"{root}/away")
        for why, stands_there in (("No such file or directory", None), ("Is a directory", taken), ("Permission denied", closed)):
            if stands_there:
                os.rename(stands_there, place)
            failed = _lines(bench, "failed")

            def told():
                assert bench.tcp(443) == "allow"
                trouble = bench.api.status()["flow_log"]["trouble"]
                return why in trouble and trouble

            trouble = until(told, f"the status tells of the flow log: {why}", 60.0)
            assert f"{place}/flows.jsonl" in trouble, trouble
            assert _lines(bench, "failed") > failed, why
            assert "flow log   loses lines: " + trouble in bench.ctl("status").stdout
            assert bench.api.request("GET", "/readyz")[0] == 200
            if stands_there:
                os.rename(place, stands_there)
        os.rename(f"{root}/away", place)
        written = _lines(bench, "written")
        until(lambda: logs() and _lines(bench, "written") > written, "lines again", 60.0)
    finally:
        stream.stop()
        bench.reconfigure("controlplane", **before)
        _restart(bench)
        shutil.rmtree(root)
    print(f"figure packets while the flow log has no place: {len(stream.sent)} sent, {stream.lost()} lost", flush=True)
    assert stream.lost() == 0


def a17_a_silent_name_server_costs_no_packet(bench):
    """A17: the keys of an issuer of tokens stand behind a name, and the name server does not answer. Tokens of our own and
    traffic do not notice; the status tells."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    resolv = f"{bench.lab.run_dir}/resolv.conf"
    with open(resolv, "w", encoding="utf-8") as file:
        file.write(f"nameserver {_NAME_SERVER}\n")
    roles = [{"value": "fw", "roles": ["viewer"]}]
    before = bench.reconfigure("controlplane", oidc={"issuer": _ISSUER, "audience": "sluice", "jwks": f"{_ISSUER}/keys", "roles": roles})
    kept = {}

    def without_names(service):
        """It alone has another resolv.conf."""
        if service["name"] == "controlplane":
            kept.update(service)
            become = f"exec setpriv --reuid={service.pop('uid')} --regid={service.pop('gid')} --clear-groups"
            script = f"mount --bind {resolv} /etc/resolv.conf && {become} {' '.join(service['argv'])}"
            service["argv"] = ["/usr/bin/unshare", "--mount", "--propagation=private", "/bin/sh", "-c", script]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((_NAME_SERVER, 53))
        silent.settimeout(20.0)
        restart_supervise(bench, without_names)
        try:
            bench.wait_in_sync()
            bench.wait_forwarding()
            stream, took = Traffic(bench), []

            def told():
                moment = time.monotonic()
                trouble = bench.api.status()["issuer"]["trouble"]
                took.append(time.monotonic() - moment)
                return trouble

            try:
                trouble = until(told, "the status tells of the issuer", 100.0, step_s=0.1)
            finally:
                stream.stop()
            assert b"\x06issuer\x07example" in silent.recv(512), "the name was asked for"
            assert "issuer.example" in trouble, trouble
            figures("requests while a name is looked up", took)
            print(f"figure packets meanwhile: {len(stream.sent)} sent, {stream.lost()} lost", flush=True)
            assert percentile(took, 0.99) < _ANSWER_S_MAX and stream.lost() == 0
        finally:
            bench.reconfigure("controlplane", **before)
            restart_supervise(bench, lambda service: service.update(kept) if service["name"] == "controlplane" else None)
    bench.wait_in_sync()
    bench.wait_forwarding()


TESTS = [
    a17_twenty_scrapers_one_of_which_hangs_cost_no_packet,
    a17_a_flow_log_without_a_place_costs_no_packet,
    a17_a_silent_name_server_costs_no_packet,
]
