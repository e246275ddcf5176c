"""Both ends of the end-to-end lane: inside a UDP sink, iperf3 and nginx as servers, outside who sends: ours, iperf3, wrk.

What they reach is bound by themselves and by the kernel's links, not by a fast firewall: of tens of thousands of
connections a second hardly one thing is the firewall's doing."""
import json
import os
import re
import subprocess
import tempfile

from lab.names import SHOP, Trouble
from lab.shell import in_ns, run, until

from .traffic import UDP_PORT

IPERF_PORT, HTTP_PORT = 5201, 8088
PORTS = {"udp": (UDP_PORT,), "tcp": (IPERF_PORT, HTTP_PORT)}
_TRAFFIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traffic.py")
_CONNECTIONS = 32
_NGINX = """daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port};
        location / {{ return 200 "{body}\\n"; }}
    }}
}}
"""


class Ends:
    def __init__(self, lab):
        self.lab = lab
        self.folder = tempfile.TemporaryDirectory(prefix="ends")
        self.processes = []
        self.sink = self._serve("/usr/bin/python3", "-I", _TRAFFIC, "sink", SHOP[0], stdout=subprocess.PIPE)
        if self.sink.stdout.readline() != "ready\n":
            raise Trouble("the receiver did not start", "run traffic.py by hand")
        self._serve("iperf3", "-s", "-B", SHOP[0], "-p", str(IPERF_PORT))
        conf = f"{self.folder.name}/conf"
        with open(conf, "w", encoding="utf-8") as file:
            file.write(_NGINX.format(folder=self.folder.name, address=SHOP[0], port=HTTP_PORT, body="x" * 100))
        self._serve("nginx", "-c", conf)
        for port in PORTS["tcp"]:
            until(lambda port=port: f":{port} " in run(*in_ns(lab.ns_inside, "ss", "-ltn")).stdout, f"a server on port {port}")

    def _serve(self, *argv, stdout=subprocess.DEVNULL):
        process = subprocess.Popen(
            in_ns(self.lab.ns_inside, *argv), stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=10)
        self.sink.stdout.close()
        self.folder.cleanup()

    def _outside(self, seconds, *argv):
        return run(*in_ns(self.lab.ns_outside, *argv), timeout_s=seconds + 30).stdout

    def udp(self, seconds):
        """Millions of 60-byte frames a second that arrive, of one flow."""
        self._outside(seconds, "/usr/bin/python3", "-I", _TRAFFIC, "udp", SHOP[0], str(seconds))
        found = json.loads(self.sink.stdout.readline())
        return found["packets"] / found["seconds"] / 1e6

    def tcp(self, seconds):
        """Gbit/s of one connection."""
        # Whole seconds, one at least: iperf3 counts in no others.
        said = self._outside(seconds, "iperf3", "-J", "-c", SHOP[0], "-p", str(IPERF_PORT), "-t", str(max(1, round(seconds))))
        return json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9

    def http(self, seconds, *more):
        """Requests a second over 32 connections at a time that stay."""
        url = f"http://{SHOP[0]}:{HTTP_PORT}/"
        said = self._outside(seconds, "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", *more, url)
        if "Non-2xx" in said:
            raise Trouble("nginx answered with errors", f"see {self.folder.name}/log")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])

    def http_new(self, seconds):
        """The same with a connection for each request: handshake, request, answer, close."""
        return self.http(seconds, "-H", "Connection: close")
