"""Starts the real REST server over a policy service in memory, and speaks TLS to it."""
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT / "tests/harness"))
from api_contract import PAGE, PROBLEMS, SPEC, check_contract, events_of, operation_of, resolve  # noqa: E402, F401  for those who ask us

HANG_LIMIT_S = 30  # no test waits longer for anything


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Server:
    """`with Server(binary, key=value...)`: a fresh state directory unless one is given."""

    def __init__(self, binary, state_dir=None, more=(), **limits):
        self.own_dir = state_dir is None
        self.dir = pathlib.Path(state_dir or tempfile.mkdtemp(prefix="sluice-api-"))
        self.process = subprocess.Popen([binary, str(self.dir)] + ["%s=%s" % item for item in limits.items()] + list(more),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port "):
            raise RuntimeError("the server did not start: " + self.process.stderr.read())
        self.port = int(line.split()[1])
        self.token = (self.dir / "token").read_text(encoding="ascii").strip()
        self.tls = ssl.create_default_context(cafile=str(self.dir / "ca.pem"))
        self.tls.verify_flags |= ssl.VERIFY_X509_STRICT

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(HANG_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            errors = self.process.stderr.read()
            self.process.stderr.close()
            if self.own_dir:
                shutil.rmtree(self.dir)
        assert code == 0, "server ended with %s: %s" % (code, errors)

    def tell(self, line):
        """Returns when the server has done it."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer == "done\n", "the server said %r to %r" % (answer, line)

    def connect(self, tls=None):
        return (tls or self.tls).wrap_socket(socket.create_connection(("127.0.0.1", self.port), HANG_LIMIT_S),
                                    server_hostname="127.0.0.1")

    def rss_kib(self):
        status = pathlib.Path("/proc/%d/status" % self.process.pid).read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0])

    def request(self, method, target, body=None, headers=None, token=True, check=True, tls=None):
        """One request; the answer is held against openapi.yaml unless `check` is off."""
        return self.exchange(method, target, lambda answer: answer.read(), body, headers, token, check, tls)

    def follow(self, target, until, headers=None):
        """An answer without an end, until that stands in it; what is there by then is held against openapi.yaml."""
        def read(answer):
            body, end = b"", time.monotonic() + HANG_LIMIT_S  # the keep-alives of a stream would hold a plain read for ever
            while until not in body:
                piece = answer.read1(65536)
                assert piece and time.monotonic() < end, "%r did not come: %r" % (until, body[-200:])
                body += piece
            return body

        return self.exchange("GET", target, read, headers=headers)

    def exchange(self, method, target, read, body=None, headers=None, token=True, check=True, tls=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=tls or self.tls, timeout=HANG_LIMIT_S)
        sent = dict(headers or {})
        if token:
            sent.setdefault("Authorization", "Bearer " + (self.token if token is True else token))
        connection.request(method, target, body=body, headers=sent)
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, read(answer))
        connection.close()
        if check:
            check_contract(method, target, reply)
        return reply

    def put(self, text, **kwargs):
        headers = {"Content-Type": "application/yaml"}
        headers.update(kwargs.pop("headers", {}))
        return self.request("PUT", kwargs.pop("target", "/v1/policy"), body=text, headers=headers, **kwargs)

    def first_policy(self, text="name: demo\nrule web-in\n"):
        reply = self.put(text, headers={"If-None-Match": "*"})
        assert reply.status == 200, reply.body
        return reply.headers["ETag"]


def read_to_end(connection):
    data = b""
    try:
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def wait_until(condition):
    deadline = time.monotonic() + HANG_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def binary_from(name):
    return os.environ[name]
