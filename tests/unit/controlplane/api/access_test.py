"""Tokens and roles at the real REST server: each operation of openapi.yaml asked with each role, guessing, streams of a
token that is taken back, and no secret anywhere (Q25, P7)."""
import http.client
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import HANG_LIMIT_S, SPEC, Server, binary_from, read_to_end, wait_until  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")
ROLES = ("viewer", "operator", "editor", "approver", "auditor", "admin")
OPERATIONS = [(method.upper(), path, operation)
              for path, item in SPEC["paths"].items() for method, operation in item.items() if method != "parameters"]


def allowed(operation):
    """Role names of the alternatives; none = open to everybody."""
    return {role for way in operation.get("security", SPEC["security"]) for role in way["token"]}


def body_of(operation):
    media = list(operation.get("requestBody", {}).get("content", ()))
    return (b"nonsense", {"Content-Type": media[0]}) if media else (None, {})


def make(server, name, *roles, **more):
    reply = server.request("POST", "/v1/tokens", body=json.dumps({"name": name, "roles": list(roles), **more}),
                           headers={"Content-Type": "application/json"})
    assert reply.status == 201, reply.body
    return reply.json()


class Matrix(unittest.TestCase):
    def test_every_role_at_every_operation(self):
        with Server(BINARY) as server:
            tokens = {role: make(server, role, role)["token"] for role in ROLES}
            for method, path, operation in OPERATIONS:
                target = path.replace("{generation}", "99").replace("{id}", "0000000a")
                if path == "/v1/events":
                    method = "HEAD"  # the stream itself has no end
                for role in ROLES:
                    body, headers = body_of(operation)
                    reply = server.request(method, target, body=body, headers=headers, token=tokens[role])
                    with self.subTest(method=method, path=path, role=role):
                        may = role in allowed(operation) or not allowed(operation)
                        self.assertEqual(reply.status != 403, may)
                        self.assertNotEqual(reply.status, 401)
                        if not may:
                            self.assertEqual(reply.json()["code"], "role-missing")
                            for needed in allowed(operation):
                                self.assertIn(needed, reply.json()["detail"])
                            self.assertIn('error="insufficient_scope"', reply.headers["WWW-Authenticate"])

    def test_a_plan_is_everybodys_and_a_change_is_not(self):
        with Server(BINARY) as server:
            etag = server.first_policy()
            viewer = make(server, "gitops-plan", "viewer")["token"]
            self.assertEqual(server.put("b", target="/v1/policy?dry_run=true", token=viewer).status, 200)
            for target in ("/v1/policy", "/v1/policy?dry_run=false", "/v1/policy?dry_run=1", "/v1/policy?dry-run=true"):
                self.assertEqual(server.put("b", target=target, headers={"If-Match": etag}, token=viewer).status, 403, target)
            both = "/v1/policy?dry_run=true&dry_run=false"
            self.assertEqual(server.put("b", target=both, headers={"If-Match": etag}, token=viewer).status, 400)
            self.assertEqual(server.request("GET", "/v1/policy").headers["ETag"], etag)

    def test_who_edits_does_not_confirm(self):
        with Server(BINARY) as server:
            etag = server.first_policy()
            editor, approver = make(server, "erin", "editor"), make(server, "ahmed", "approver")
            self.assertEqual(server.put("b", headers={"If-Match": etag, "Confirm-Timeout": "60"}, token=editor["token"]).status, 202)
            self.assertEqual(server.request("POST", "/v1/commits/2:confirm", token=editor["token"]).status, 403)
            self.assertEqual(server.request("POST", "/v1/commits/2:confirm", token=approver["token"]).status, 200)
            actors = [e["actor"] for e in server.request("GET", "/v1/audit?action=policy").json()["entries"]]
            self.assertEqual({"token:erin/" + editor["id"], "token:ahmed/" + approver["id"]}, set(actors[:3]))


class Guessing(unittest.TestCase):
    def test_too_many_wrong_tokens_are_429_and_cost_nothing(self):
        with Server(BINARY) as server:
            self.assertEqual(server.request("GET", "/v1/status").status, 200)
            before = cpu_s(server)
            replies = [server.request("GET", "/v1/status", token="guess-%016d" % number) for number in range(200)]
            statuses = [reply.status for reply in replies]
            self.assertEqual(statuses[:20], [401] * 20)
            self.assertGreater(statuses.count(429), 100)
            throttled = next(reply for reply in replies if reply.status == 429)
            self.assertEqual((throttled.json()["code"], throttled.headers["Retry-After"]), ("too-many-attempts", "1"))
            print("figure 200 guesses cost %.2f s of CPU, handshakes included" % (cpu_s(server) - before), flush=True)
            self.assertEqual(server.request("GET", "/v1/status").status, 200, "who is known is let in")
            scrape = server.request("GET", "/metrics").body.decode()
            self.assertIn("\nsluice_api_auth_throttled_total %d\n" % statuses.count(429), scrape)
            self.assertEqual(server.request("GET", "/livez", token="guess-x").status, 200)

    def test_a_check_holds_nobody_up(self):
        with Server(BINARY, auth_burst=100000) as server:
            server.request("GET", "/v1/status")
            stop = threading.Event()

            def guess():
                number = 0
                while not stop.is_set():
                    number += 1
                    server.request("GET", "/v1/status", token="guess-%d-%d" % (threading.get_ident(), number))

            guessers = [threading.Thread(target=guess) for _ in range(4)]
            for guesser in guessers:
                guesser.start()
            try:
                slowest = 0.0
                for _ in range(30):
                    start = time.monotonic()
                    self.assertEqual(server.request("GET", "/v1/status").status, 200)
                    slowest = max(slowest, time.monotonic() - start)
            finally:
                stop.set()
                for guesser in guessers:
                    guesser.join()
            print("figure slowest answer beside four who guess without a limit: %.0f ms" % (slowest * 1000), flush=True)
            self.assertLess(slowest, HANG_LIMIT_S / 2)


class TakenBack(unittest.TestCase):
    def test_a_stream_ends_with_its_token(self):
        with Server(BINARY, event_keepalive_ms=50) as server:
            token = make(server, "follower", "viewer")
            with server.connect() as connection:
                connection.sendall(("GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % token["token"]).encode())
                self.assertIn(b"200 OK", connection.recv(4096))
                server.tell("events 1")
                self.assertEqual(server.request("DELETE", "/v1/tokens/" + token["id"]).json()["state"], "revoked")
                connection.settimeout(HANG_LIMIT_S)
                read_to_end(connection)  # hangs if the stream goes on
            wait_until(lambda: server.request("GET", "/v1/status").json()["api"]["event_streams"] == 0)
            reply = server.request("GET", "/v1/status", token=token["token"])
            self.assertEqual((reply.status, reply.json()["code"]), (401, "token-revoked"))

    def test_a_connection_that_is_kept_does_not_keep_the_right(self):
        with Server(BINARY) as server:
            token = make(server, "kept", "viewer")
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.tls, timeout=HANG_LIMIT_S)
            for expected in (200, 401):
                connection.request("GET", "/v1/rules", headers={"Authorization": "Bearer " + token["token"]})
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, expected)
                if expected == 200:
                    server.request("DELETE", "/v1/tokens/" + token["id"])
            connection.close()


class Secrets(unittest.TestCase):
    def test_no_secret_in_answers_logs_and_files(self):
        """P7: whatever is done with a token or with what looks like one, its secret stands nowhere but with its owner."""
        canary = "sluice_0badcafe_" + "canary" * 7 + "c"
        with tempfile.TemporaryDirectory() as folder, open(folder + "/log", "w+b") as log:
            process = subprocess.Popen([BINARY, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            server = Server.__new__(Server)
            server.process, server.port = process, int(process.stdout.readline().split()[1])
            server.token = pathlib.Path(folder, "token").read_text(encoding="ascii").strip()
            server.tls = ssl.create_default_context(cafile=folder + "/ca.pem")
            said = b""
            made = make(server, "owner", "viewer", "operator")
            for method, path, operation in OPERATIONS:
                if path == "/v1/events":
                    continue
                target = path.replace("{generation}", "1").replace("{id}", "0000000a")
                for token in (canary, made["token"], server.token):
                    body, headers = body_of(operation)
                    headers["Cookie"] = headers["X-Token"] = canary
                    reply = server.request(method, target, body=body, headers=headers, token=token)
                    said += str(reply.headers).encode() + reply.body
                    said += server.request(method, target + "?token=" + canary, body=body, headers=headers, token=token, check=False).body
            server.put("THROW", headers={"If-None-Match": "*"})
            said += server.request("DELETE", "/v1/tokens/" + made["id"]).body
            said += server.request("GET", "/v1/audit?limit=1000").body + server.request("GET", "/v1/tokens").body
            process.stdin.close()
            self.assertEqual(process.wait(HANG_LIMIT_S), 0)
            process.stdout.close()
            log.seek(0)
            said += log.read()
            secrets = [canary[16:], made["token"][16:], server.token]
            for secret in secrets:
                # The query's own name is told back, never its value.
                self.assertNotIn(secret.encode(), said)
            for path in pathlib.Path(folder).iterdir():
                if path.name != "token":
                    self.assertFalse([s for s in secrets if s.encode() in path.read_bytes()], path)


def cpu_s(server):
    fields = pathlib.Path("/proc/%d/stat" % server.process.pid).read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    unittest.main(verbosity=1)
