"""Starts the real REST server over a policy service in memory, and speaks TLS to it."""
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import jsonschema
import yaml

HANG_LIMIT_S = 30  # no test waits longer for anything
ROOT = pathlib.Path(__file__).resolve().parents[4]
SPEC = yaml.safe_load((ROOT / "controlplane/api/openapi.yaml").read_text(encoding="utf-8"))


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
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=tls or self.tls, timeout=HANG_LIMIT_S)
        sent = dict(headers or {})
        if token:
            sent.setdefault("Authorization", "Bearer " + (self.token if token is True else token))
        connection.request(method, target, body=body, headers=sent)
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
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


def resolve(node):
    while "$ref" in node:
        target = SPEC
        for part in node["$ref"].lstrip("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def operation_of(method, target):
    path = target.split("?")[0]
    for pattern, item in SPEC["paths"].items():
        parts, given = pattern.replace(":", "/:").split("/"), path.replace(":", "/:").split("/")
        if len(parts) == len(given) and all(a == b or a.startswith("{") for a, b in zip(parts, given)):
            return item.get("get" if method == "HEAD" else method.lower())
    return None


def check_contract(method, target, reply):
    """Status, media type, headers and body are what openapi.yaml says of this operation."""
    operation = operation_of(method, target) or {"responses": {"default": {"$ref": "#/components/responses/Problem"}}}
    response = operation["responses"].get(str(reply.status))
    if response is None:
        assert reply.status >= 400, "%s %s: undocumented status %d" % (method, target, reply.status)
        response = operation["responses"]["default"]
    response = resolve(response)
    for name, header in response.get("headers", {}).items():
        value = reply.headers.get(name)
        if value is not None:
            jsonschema.validate(value, resolve(header)["schema"])
    assert reply.headers.get("X-Request-Id") and reply.headers.get("Date"), "common headers are missing"
    if "content" not in response:
        assert not reply.body, "body where none is documented"
        return
    media = reply.headers.get("Content-Type", "").split(";")[0]
    assert media in response["content"], "%s %s: undocumented media type %r" % (method, target, media)
    if method != "HEAD" and media.endswith("json"):
        schema = dict(response["content"][media]["schema"], components=SPEC["components"])
        jsonschema.Draft202012Validator(schema).validate(json.loads(reply.body))


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
