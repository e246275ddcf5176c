"""The real REST server with its real TLS, over a policy service in memory. Every answer is held against openapi.yaml."""
import datetime
import http.client
import json
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import SPEC, Server, binary_from, read_to_end, wait_until  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")

ROUTES = [(method.upper(), path.replace("{generation}", "1").replace("{id}", "00000000"))
          for path, item in SPEC["paths"].items() for method in item if method != "parameters"]


class Auth(unittest.TestCase):
    """Every route without a token, with a wrong one, with the right one."""

    def test_every_route_needs_the_token_but_livez(self):
        with Server(BINARY, auth_burst=100000) as server:
            for method, path in ROUTES:
                for token in (False, "x" * 43, server.token[:-1], server.token + "x", ""):
                    with self.subTest(method=method, path=path, token=token):
                        reply = server.request(method, path, token=token)
                        if path == "/livez":
                            self.assertEqual(reply.status, 200)
                            continue
                        self.assertEqual(reply.status, 401)
                        self.assertTrue(reply.headers["WWW-Authenticate"].startswith("Bearer"))
                        self.assertNotIn(server.token.encode(), reply.body)

    def test_other_schemes_and_hidden_paths(self):
        with Server(BINARY, auth_burst=100000) as server:
            for value in ("Basic " + server.token, server.token, "Bearer", "Bearer  ", "Bearer%20" + server.token):
                self.assertEqual(server.request("GET", "/v1/status", headers={"Authorization": value}, token=False).status, 401)
            self.assertEqual(server.request("GET", "/v1/status", headers={"Authorization": "bearer " + server.token},
                                            token=False).status, 200)
            # A stranger does not learn which paths exist.
            self.assertEqual(server.request("GET", "/nothing", token=False).status, 401)
            self.assertEqual(server.request("DELETE", "/v1/policy", token=False).status, 401)

    def test_metrics_open(self):
        with Server(BINARY, metrics_open=1) as server:
            for path in ("/metrics", "/metrics/rules", "/readyz", "/livez"):
                self.assertEqual(server.request("GET", path, token=False).status, 200)
            self.assertEqual(server.request("GET", "/v1/status", token=False).status, 401)


class Resources(unittest.TestCase):
    def test_every_get_answers_and_head_has_no_body(self):
        with Server(BINARY) as server:
            server.first_policy()
            server.request("PUT", "/v1/drafts/blocked", body="rule web-in", headers={"Content-Type": "application/yaml"})
            later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            server.put("b", target="/v1/policy?at=" + later, headers={"If-Match": "*"})  # change 1
            for method, path in ROUTES:
                if method != "GET" or path == "/v1/events":
                    continue
                with self.subTest(path=path):
                    path = path.replace("{name}", "blocked").replace("changes/00000000", "changes/1")
                    reply = server.request("GET", path)
                    self.assertEqual(reply.status, 200)
                    head = server.request("HEAD", path)
                    self.assertEqual((head.status, head.body), (200, b""))
                    self.assertEqual(head.headers["Content-Type"], reply.headers["Content-Type"])
            self.assertEqual(server.request("HEAD", "/v1/events").status, 200)

    def test_the_index_leads_to_everything_and_the_document_is_the_file(self):
        with Server(BINARY) as server:
            for link in server.request("GET", "/").json()["links"].values():
                self.assertIn(server.request("HEAD", link).status, (200, 404, 405))
            self.assertEqual(server.request("GET", "/v1/openapi.json").json(), SPEC)

    def test_method_not_allowed_names_those_that_are(self):
        with Server(BINARY) as server:
            reply = server.request("DELETE", "/v1/policy")
            self.assertEqual((reply.status, reply.headers["Allow"]), (405, "GET, HEAD, PATCH, PUT"))
            self.assertEqual(server.request("POST", "/v1/status").headers["Allow"], "GET, HEAD")
            self.assertEqual(server.request("GET", "/v1/commits/1:confirm").headers["Allow"], "POST")
            for path in ("/v2/policy", "/v1/policy/", "/v1//policy", "/v1/commits/1:forget", "/../etc/passwd", "/v1/commits/"):
                self.assertEqual(server.request("GET", path).status, 404)

    def test_policy_life(self):
        with Server(BINARY) as server:
            self.assertEqual(server.request("GET", "/v1/policy").json()["code"], "no-policy")
            self.assertEqual(server.put("a").status, 428)
            etag = server.first_policy("name: demo\n")
            self.assertEqual(server.put("b", headers={"If-None-Match": "*"}).status, 412)
            self.assertEqual(server.put("b", headers={"If-Match": '"%s"' % ("0" * 64)}).status, 412)
            self.assertEqual(server.put("b", headers={"If-Match": "W/" + etag}).status, 412)
            self.assertEqual(server.put("b", headers={"If-Match": etag.strip('"')}).json()["code"], "bad-if-match")
            self.assertEqual(server.put("b", headers={"If-Match": etag, "If-None-Match": "*"}).status, 400)
            unchanged = server.put("name: demo\n", headers={"If-Match": etag})
            self.assertEqual(unchanged.json()["state"], "unchanged")
            second = server.put("b", headers={"If-Match": '"nope", ' + etag})
            self.assertEqual((second.status, second.json()["generation"]), (200, 2))
            self.assertEqual(server.put("c", headers={"If-Match": "*"}).json()["generation"], 3)
            patched = server.request("PATCH", "/v1/policy", body='[{"op": "remove", "id": "x"}]',
                                     headers={"Content-Type": "application/json", "If-Match": "*"})
            self.assertEqual(patched.json()["generation"], 4)

    def test_policy_representations(self):
        with Server(BINARY) as server:
            etag = server.first_policy("name: demo\n")
            plain = server.request("GET", "/v1/policy")
            self.assertEqual((plain.body, plain.headers["Content-Type"], plain.headers["ETag"]),
                             (b"name: demo\n", "application/yaml", etag))
            wrapped = server.request("GET", "/v1/policy", headers={"Accept": "application/json"}).json()
            self.assertEqual((wrapped["text"], wrapped["format"], '"%s"' % wrapped["hash"]), ("name: demo\n", "yaml", etag))
            yaml_first = {"Accept": "application/yaml, application/json;q=0.5"}
            self.assertEqual(server.request("GET", "/v1/policy", headers=yaml_first).body, b"name: demo\n")
            self.assertEqual(server.request("GET", "/v1/policy", headers={"Accept": "image/png"}).status, 406)
            for tags in (etag, "W/" + etag, '"x", ' + etag, "*"):
                self.assertEqual(server.request("GET", "/v1/policy", headers={"If-None-Match": tags}).status, 304)
            self.assertEqual(server.request("GET", "/v1/policy", headers={"If-None-Match": '"x"'}).status, 200)

    def test_service_problems_become_documents(self):
        with Server(BINARY) as server:
            etag = server.first_policy()
            for word, status, code in (("BROKEN", 422, "invalid-policy"), ("TESTFAIL", 422, "policy-tests-failed"),
                                       ("REFUSED", 409, "refused-by-dataplane"), ("NODATAPLANE", 503, "dataplane-unavailable"),
                                       ("THROW", 500, "internal-error")):
                reply = server.put(word, headers={"If-Match": etag})
                self.assertEqual((reply.status, reply.json()["code"]), (status, code))
                self.assertNotIn(b"secret", reply.body)
            errors = server.put("BROKEN", headers={"If-Match": etag}).json()["errors"]
            self.assertEqual((errors[0]["line"], errors[0]["column"]), (3, 9))
            self.assertIn("\ufffd", errors[1]["detail"])  # a byte that is no UTF-8
            self.assertEqual(server.request("GET", "/v1/policy").headers["ETag"], etag)

    def test_confirmation(self):
        with Server(BINARY) as server:
            etag = server.first_policy()
            for value in ("0", "-1", "1.5", "86401", "10m", "060", ""):
                self.assertEqual(server.put("b", headers={"If-Match": etag, "Confirm-Timeout": value}).status, 400, value)
            for guard in ("", "drop-rate", "drop-rate=x", "drop-rate=-1", "drop-rate=100", "drop-rate=1,drop-rate=2", "speed=5"):
                reply = server.put("b", headers={"If-Match": etag, "Confirm-Timeout": "60", "Confirm-Guard": guard})
                self.assertEqual((reply.status, reply.json()["code"]), (400, "bad-confirm-guard"), guard)
            alone = server.put("b", headers={"If-Match": etag, "Confirm-Guard": "drop-rate=5"})
            self.assertIn("send Confirm-Timeout too", alone.json()["detail"])
            guarded = {"If-Match": etag, "Confirm-Timeout": "60", "Confirm-Guard": "drop-rate=5, refused-flows=2.5%"}
            reply = server.put("b", headers=guarded)
            self.assertEqual((reply.status, reply.json()["state"]), (202, "pending_confirmation"))
            location = reply.headers["Location"]
            self.assertEqual(location, "/v1/commits/2")
            self.assertEqual(server.request("GET", location).json()["state"], "pending_confirmation")
            self.assertEqual(server.request("GET", "/v1/commits/1").json()["state"], "superseded")
            self.assertEqual(server.request("GET", "/v1/commits/3").status, 404)
            self.assertEqual(server.request("POST", location + ":confirm").status, 200)
            self.assertEqual(server.request("POST", location + ":confirm").status, 409)
            self.assertEqual(server.request("GET", location).json()["state"], "adopted")
            for bad in ("0", "x", "-1", "01", "99999999999999999999"):
                self.assertIn(server.request("POST", "/v1/commits/%s:confirm" % bad).status, (400,), bad)
            stalled = server.put("STALL", headers={"If-Match": "*"})
            self.assertEqual((stalled.status, stalled.json()["stalled_workers"]), (202, ["worker 1 (lcore 3)"]))

    def test_history(self):
        with Server(BINARY) as server:
            self.assertEqual(server.request("GET", "/v1/history").json(), {"history": [], "next": None})
            server.first_policy("name: demo\n")
            reason = "CHG-20418: 放行".encode().decode("latin-1")  # http.client's way to send bytes
            server.put("b", headers={"If-Match": "*", "Sluice-Reason": reason})
            server.put("c", headers={"If-Match": "*"})
            rows = server.request("GET", "/v1/history").json()["history"]
            self.assertEqual([row["generation"] for row in rows], [3, 2, 1])
            self.assertEqual([row["current"] for row in rows], [True, False, False])
            self.assertEqual((rows[1]["reason"], rows[1]["origin"], rows[1]["action"]), ("CHG-20418: 放行", "127.0.0.1", "policy.put"))
            self.assertRegex(rows[1]["actor"], "^token:first-start/00000000$")
            page = server.request("GET", "/v1/history?limit=2").json()
            self.assertEqual([r["generation"] for r in server.request("GET", "/v1/history?limit=2&cursor=" + page["next"]).json()["history"]], [1])
            view = server.request("GET", "/v1/history/2").json()
            self.assertEqual((view["text"], view["adoption"]["generation"], view["against"]["generation"]), ("b", 2, 1))
            self.assertEqual(view["changes"][0]["id"], "web-in")
            self.assertEqual(server.request("GET", "/v1/history/2?against=3").json()["against"]["generation"], 3)
            self.assertEqual(server.request("GET", "/v1/history/9").status, 404)
            self.assertEqual(server.request("POST", "/v1/history/2:restore").status, 428)
            back = server.request("POST", "/v1/history/2:restore", headers={"If-Match": "*"})
            self.assertEqual((back.status, back.json()["generation"], back.json()["hash"]), (200, 4, rows[1]["hash"]))
            self.assertEqual(server.request("GET", "/v1/policy").body, b"b")
            tried = server.request("POST", "/v1/history/3:restore", headers={"If-Match": "*", "Confirm-Timeout": "60"})
            self.assertEqual((tried.status, tried.json()["state"]), (202, "pending_confirmation"))
            self.assertEqual(server.request("POST", "/v1/history/3:restore", headers={"If-None-Match": "*"}).status, 400)
            for bad in ("/v1/history/0", "/v1/history/x", "/v1/history/1?against=0", "/v1/history?limit=0", "/v1/history?limit=1001",
                        "/v1/history?cursor=x"):
                self.assertEqual(server.request("GET", bad).status, 400, bad)

    def test_audit(self):
        with Server(BINARY) as server:
            etag = server.first_policy()
            server.put("b", headers={"If-Match": etag, "Confirm-Timeout": "60"})
            server.request("POST", "/v1/commits/2:confirm", headers={"Sluice-Reason": "fine", "X-Request-Id": "mine-1"})
            entries = server.request("GET", "/v1/audit").json()["entries"]
            self.assertEqual(entries[0]["action"], "policy.confirm")
            self.assertEqual((entries[0]["reason"], entries[0]["request_id"]), ("fine", "mine-1"))
            self.assertEqual([e["number"] for e in entries], list(range(len(entries), 0, -1)))
            check = server.request("GET", "/v1/audit:verify").json()
            self.assertEqual((check["whole"], check["entries"], check["head"]["hash"]), (True, len(entries), entries[0]["hash"]))
            self.assertEqual(server.request("GET", "/v1/status").json()["audit"]["head"], entries[0]["hash"])
            put = server.request("GET", "/v1/audit?action=policy.put&limit=1").json()
            self.assertEqual((put["entries"][0]["action"], len(put["entries"])), ("policy.put", 1))
            more = server.request("GET", "/v1/audit?action=policy.put&cursor=" + put["next"]).json()
            self.assertEqual([e["action"] for e in more["entries"]], ["policy.put"] * 3)
            self.assertEqual(server.request("GET", "/v1/audit?actor=nobody").json()["entries"], [])
            self.assertEqual(server.request("GET", "/v1/audit?since=2100-01-01T00:00:00Z").json()["entries"], [])
            self.assertEqual(len(server.request("GET", "/v1/audit?since=1h&until=2100-01-01T00:00:00Z").json()["entries"]), len(entries))
            for bad in ("since=yesterday", "until=2026-02-30T00:00:00Z", "limit=0", "limit=1001", "cursor=x"):
                self.assertEqual(server.request("GET", "/v1/audit?" + bad).status, 400, bad)
            for bad in ("x" * 1001, "\xff", "a\tb"):
                reply = server.request("DELETE", "/v1/flows?all=true", headers={"Sluice-Reason": bad})
                self.assertEqual((reply.status, reply.json()["code"]), (400, "bad-reason"), bad)

    def test_dry_run_and_misspelt_parameters(self):
        with Server(BINARY) as server:
            self.assertTrue(server.put("name: a", target="/v1/policy?dry_run=true").json()["ok"])
            self.assertFalse(server.put("BROKEN", target="/v1/policy?dry_run=true").json()["ok"])
            plan = server.put("OPENED", target="/v1/policy?dry_run=true").json()
            self.assertEqual(plan["effect"]["boxes"][0]["example"], {
                "in_port": "outside", "from_zone": "internet", "to_zone": "servers", "src": "203.0.113.7",
                "dst": "198.51.100.81", "proto": "tcp", "dport": 443})
            self.assertEqual([box["before"] for box in plan["effect"]["boxes"]], [{"verdict": "deny", "rule": "default"}, None])
            self.assertEqual((plan["effect"]["complete"], plan["effect"]["unfinished"]), (False, ["wide"]))
            self.assertEqual([f["kind"] for f in plan["findings"]["list"]], list(plan["findings"]["counts"]))
            self.assertEqual([f.get("watched_s") for f in plan["findings"]["list"]], [None] * 4 + [93784])
            for query in ("dryrun=true", "dry_run=yes", "dry_run=true&dry_run=true", "dry_run", "dry_run=%zz", "dry_run=tr%00ue"):
                reply = server.put("name: a", target="/v1/policy?" + query, headers={"If-None-Match": "*"})
                self.assertEqual(reply.status, 400, query)
            self.assertEqual(server.request("GET", "/v1/policy").status, 404)  # nothing of it was applied
            reply = server.put("name: a", target="/v1/policy?dry_run=false", headers={"If-None-Match": "*"})
            self.assertEqual(reply.json()["state"], "adopted")

    def test_what_is_asked_twice_under_one_key_is_done_once(self):
        with Server(BINARY) as server:
            first = server.put("name: a", headers={"If-None-Match": "*", "Idempotency-Key": "k-1"})
            again = server.put("name: a", headers={"If-None-Match": "*", "Idempotency-Key": "k-1"})
            self.assertEqual((first.status, again.status, again.body), (200, 200, first.body))
            self.assertEqual((again.headers["ETag"], again.headers["Idempotency-Replayed"]), (first.headers["ETag"], "true"))
            self.assertNotIn("Idempotency-Replayed", first.headers)
            # Whoever asks again may have read the policy again.
            self.assertEqual(server.put("name: a", headers={"If-Match": "*", "Idempotency-Key": "k-1"}).body, first.body)
            for body, headers in (("name: b", {}), ("name: a", {"Confirm-Timeout": "60"})):
                other = server.put(body, headers={"If-Match": "*", "Idempotency-Key": "k-1", **headers})
                self.assertEqual((other.status, other.json()["code"]), (422, "idempotency-key-reused"))
            self.assertEqual(server.request("GET", "/v1/history?limit=9").json()["history"][0]["generation"], 1)
            # A refusal has changed nothing, and may be none the next time; what failed on our side may be tried again.
            as_json = {"Content-Type": "application/json", "Sluice-Reason": "x"}
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            for number, (method, target, body) in enumerate((
                    ("POST", "/v1/sets/blocked/members", '{"members": ["198.51.100.9"]}'), ("DELETE", "/v1/flows?all=true", None),
                    ("PUT", "/v1/freeze", json.dumps({"until": soon})), ("DELETE", "/v1/freeze", None))):
                asked = [server.request(method, target, body=body, headers={**(as_json if body else {}), "Idempotency-Key": "more-%d" % number}) for _ in range(2)]
                self.assertEqual((asked[0].status, asked[0].headers.get("Idempotency-Replayed")), (200, None), asked[0].body)
                self.assertEqual((asked[1].body, asked[1].headers.get("Idempotency-Replayed")), (asked[0].body, "true"), target)
            refused = [server.put("BROKEN", headers={"If-Match": "*", "Idempotency-Key": "k-2"}) for _ in range(2)]
            self.assertEqual([(r.status, r.headers.get("Idempotency-Replayed")) for r in refused], [(422, None)] * 2)
            stale = server.put("name: c", headers={"If-None-Match": "*", "Idempotency-Key": "k-5"})
            self.assertEqual((stale.status, stale.json()["code"]), (412, "policy-exists"))
            late = server.put("name: c", headers={"If-Match": "*", "Idempotency-Key": "k-5"})
            self.assertEqual((late.status, late.headers.get("Idempotency-Replayed")), (200, None))
            for _ in range(2):
                failed = server.put("NODATAPLANE", headers={"If-Match": "*", "Idempotency-Key": "k-3"})
                self.assertEqual((failed.status, failed.headers.get("Idempotency-Replayed")), (503, None))
            thrown = [server.put("THROW", headers={"If-Match": "*", "Idempotency-Key": "k-4"}).status for _ in range(2)]
            self.assertEqual(thrown, [500, 500])
            for key in ("", "a b", "x" * 129):
                wrong = server.put("name: a", headers={"If-Match": "*", "Idempotency-Key": key})
                self.assertEqual((wrong.status, wrong.json()["code"]), (400, "bad-idempotency-key"), key)
            other = server.request("POST", "/v1/tokens", body=json.dumps({"name": "ci", "roles": ["editor"]}), headers={"Content-Type": "application/json"}).json()
            mine = server.put("name: b", headers={"If-Match": "*", "Idempotency-Key": "k-1"}, token=other["token"])
            self.assertEqual(mine.status, 200, "a key belongs to who sent it")

    def test_a_key_tells_of_a_commit_that_was_left(self):
        with Server(BINARY) as server:
            server.put("name: a", headers={"If-None-Match": "*"})
            probation = {"If-Match": "*", "Confirm-Timeout": "60", "Idempotency-Key": "k-1"}
            first, again = (server.put("name: b", headers=probation) for _ in range(2))
            self.assertEqual((first.status, again.status, again.headers["Idempotency-Replayed"]), (202, 202, "true"))
            generation = first.json()["generation"]
            self.assertEqual(server.request("POST", f"/v1/commits/{generation}:rollback").status, 200)
            left = server.put("name: b", headers=probation)
            self.assertEqual((left.status, left.json()["code"]), (409, "commit-ended"))
            second = server.put("name: b", headers={**probation, "Idempotency-Key": "k-2"})
            self.assertEqual(server.request("POST", f"/v1/commits/{second.json()['generation']}:confirm").status, 200)
            self.assertEqual(server.put("name: b", headers={**probation, "Idempotency-Key": "k-2"}).status, 202)

    def test_a_freeze_is_set_for_a_reason_and_a_time(self):
        with Server(BINARY) as server:
            def put(body, **headers):
                headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
                return server.request("PUT", "/v1/freeze", body=json.dumps(body), headers=headers)

            self.assertEqual(server.request("GET", "/v1/freeze").json(), {"frozen": False, "window": None})
            soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            self.assertEqual(put({"until": soon}).json()["code"], "reason-missing")
            for body in ({}, {"until": "2h"}, {"until": 7}, {"until": "2020-01-01T00:00:00Z"}, {"until": "2099-01-01T00:00:00Z"},
                         {"until": soon, "from": "2098-01-01T00:00:00Z"}, {"until": soon, "why": "x"}):
                reply = put(body, Sluice_Reason="year's end")
                self.assertEqual((reply.status, reply.json()["code"]), (400, "bad-freeze"), body)
            reply = put({"until": soon}, Sluice_Reason="year's end").json()
            self.assertEqual((reply["frozen"], reply["window"]["until"], reply["window"]["reason"]), (True, soon, "year's end"))
            self.assertEqual(server.request("GET", "/v1/freeze").json(), reply)
            self.assertEqual(server.request("DELETE", "/v1/freeze").json()["window"], None)
            self.assertEqual(server.request("DELETE", "/v1/freeze").status, 200)
            actions = [e["action"] for e in server.request("GET", "/v1/audit?action=freeze").json()["entries"]]
            self.assertEqual(actions, ["freeze.lift", "freeze.set"])
            for headers, code in (({"Break-Glass": "true"}, "reason-missing"), ({"Break-Glass": "yes", "Sluice-Reason": "x"}, "bad-break-glass")):
                reply = server.put("name: a", headers={"If-None-Match": "*", **headers})
                self.assertEqual((reply.status, reply.json()["code"]), (400, code))

    def test_body_types(self):
        with Server(BINARY) as server:
            for value in ("application/yaml", "text/yaml", "application/x-yaml", "application/json", "Text/YAML; charset=\"UTF-8\""):
                self.assertEqual(server.put("a", headers={"Content-Type": value}, target="/v1/policy?dry_run=true").status, 200)
            for value in ("text/plain", "application/yaml; charset=latin1", "", "yaml", "application/yaml, text/yaml"):
                self.assertEqual(server.put("a", headers={"Content-Type": value}, target="/v1/policy?dry_run=true").status, 415)
            patch = server.request("PATCH", "/v1/policy", body="a", headers={"Content-Type": "application/yaml"})
            self.assertEqual(patch.status, 415)
            self.assertEqual(server.request("GET", "/v1/status", body="x").json()["code"], "unexpected-body")
            self.assertEqual(server.request("POST", "/v1/explain").json()["code"], "body-missing")

    def test_flows_by_filter(self):
        with Server(BINARY) as server:
            page = server.request("GET", "/v1/flows?limit=100&filter=worker%3D%3D1").json()
            self.assertEqual(len(page["flows"]), 50)
            wrong = server.request("GET", "/v1/flows?filter=nonsense")
            self.assertEqual((wrong.status, wrong.json()["code"]), (400, "bad-filter"))

    def test_records_by_pages(self):
        with Server(BINARY) as server:
            seen, target = [], "/v1/flows?since=1h&limit=1999"
            while True:
                page = server.request("GET", target).json()
                seen += [record["sport"] for record in page["records"]]
                if page["next"] is None:
                    break
                target = "/v1/flows?limit=1999&cursor=" + page["next"]
            self.assertEqual(seen, list(range(4500)))
            self.assertEqual(len(server.request("GET", "/v1/flows?until=2026-11-26T05:00:00Z").json()["records"]), 100)
            some = server.request("GET", "/v1/flows?since=1h&limit=10000&filter=rule%3D%3Dweb-in").json()
            self.assertEqual((len(some["records"]), some["next"]), (2250, None))
            damaged = server.request("GET", "/v1/flows?since=damage").json()
            self.assertEqual((damaged["damaged_blocks"], damaged["records_lost"]), (2, 3))
            for query in ("since=nonsense", "since=1h&limit=0", "since=1h&limit=10001", "since=1h&filter=x", "cursor=rx", "since=",
                          "until=", "since=1h&since=2h"):
                self.assertEqual(server.request("GET", "/v1/flows?" + query).status, 400, query)

    def test_records_as_json_lines(self):
        lines = {"Accept": "application/jsonl"}
        with Server(BINARY) as server:
            def export(query):
                reply = server.request("GET", "/v1/flows?" + query, headers=lines)
                self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "application/jsonl"))
                return [json.loads(line) for line in reply.body.splitlines()]

            self.assertEqual([record["sport"] for record in export("since=1h")], list(range(4500)))
            self.assertEqual(len(export("since=1h&limit=4100")), 4100)
            self.assertEqual(len(export("since=1h&filter=rule%3D%3Dweb-in")), 2250)
            self.assertEqual(export("since=damage")[-1], {"event": "damage", "blocks": 2, "records": 3})
            head = server.request("HEAD", "/v1/flows?since=1h", headers=lines)
            self.assertEqual((head.status, head.body, head.headers["Content-Type"]), (200, b"", "application/jsonl"))
            self.assertEqual(server.request("GET", "/v1/flows?since=nonsense", headers=lines).status, 400)
            # What can't be had to its end does not look whole.
            with self.assertRaises(http.client.IncompleteRead):
                server.request("GET", "/v1/flows?since=break", headers=lines)

    def test_an_export_keeps_the_connection_and_old_clients_get_its_end(self):
        with Server(BINARY) as server:
            ask = (b"GET /v1/flows?since=1h HTTP/1.%d\r\nHost: x\r\nAccept: application/jsonl\r\nAuthorization: Bearer " +
                   server.token.encode() + b"\r\n%s\r\n")
            with server.connect() as connection:
                connection.sendall(ask % (1, b"") + ask % (1, b"Connection: close\r\n"))
                twice = read_to_end(connection)
            self.assertEqual((twice.count(b"200 OK"), twice.count(b"\r\n0\r\n\r\n")), (2, 2))
            with server.connect() as connection:
                connection.sendall(ask % (0, b""))
                old = read_to_end(connection)
            self.assertNotIn(b"chunked", old.lower())
            self.assertEqual(len(old.split(b"\r\n\r\n", 1)[1].splitlines()), 4500)

    def test_flows_are_ended(self):
        with Server(BINARY) as server:
            ended = server.request("DELETE", "/v1/flows?filter=worker%3D%3D1")
            self.assertEqual((ended.status, ended.json()), (200, {"ended": 50, "complete": True}))
            ended = server.request("DELETE", "/v1/flows?all=true&answer=true")
            self.assertEqual(ended.json(), {"ended": 250, "complete": False})
            self.assertEqual(server.request("DELETE", "/v1/flows").status, 400)
            self.assertEqual(server.request("DELETE", "/v1/flows?all=yes").status, 400)
            self.assertEqual(server.request("DELETE", "/v1/flows?every=true").status, 400)

    def test_flows_by_pages(self):
        with Server(BINARY) as server:
            seen, target = 0, "/v1/flows?limit=100"
            while True:
                page = server.request("GET", target).json()
                seen += len(page["flows"])
                if page["next"] is None:
                    break
                target = "/v1/flows?limit=100&cursor=" + page["next"]
            self.assertEqual(seen, 250)
            icmp = server.request("GET", "/v1/flows?limit=1").json()["flows"][0]
            self.assertEqual((icmp["proto"], icmp["icmp_type"], icmp["icmp_code"], icmp["dport"]), ("icmp", 8, 0, 0))
            for query in ("limit=0", "limit=1001", "limit=x", "limit=", "cursor=zzz", "page=1"):
                self.assertEqual(server.request("GET", "/v1/flows?" + query).status, 400, query)

    def test_not_ready_lists_reasons(self):
        with Server(BINARY) as server:
            self.assertEqual(server.request("GET", "/readyz").status, 200)
            server.tell("not-ready no dataplane is connected")
            self.assertEqual(server.request("GET", "/readyz").status, 503)
            self.assertEqual(server.request("GET", "/readyz").json()["reasons"], ["no dataplane is connected"])
            server.tell("ready")
            self.assertEqual(server.request("GET", "/readyz").status, 200)

    def test_request_ids(self):
        with Server(BINARY) as server:
            self.assertEqual(server.request("GET", "/livez", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"], "abc-1")
            for bad in ("a b", "x" * 65, "a<b"):
                self.assertNotEqual(server.request("GET", "/livez", headers={"X-Request-Id": bad}).headers["X-Request-Id"], bad)

    def test_metrics_pass_promtool(self):
        with Server(BINARY) as server:
            for path in ("/metrics", "/metrics/rules"):
                text = server.request("GET", path).body
                check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
                self.assertEqual((check.returncode, check.stdout + check.stderr), (0, b""))
            self.assertIn(b"sluice_rule_hits_total", text)


class Explain(unittest.TestCase):
    def ask(self, server, body):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        return server.request("POST", "/v1/explain", body=body, headers={"Content-Type": "application/json"})

    def test_questions(self):
        good = {"in_port": "outside", "src": "198.51.100.7", "dst": "198.51.100.80", "proto": "tcp", "dport": 443}
        with Server(BINARY) as server:
            self.assertEqual(self.ask(server, good).json()["rule"], "web-in")
            denied = self.ask(server, dict(good, dport=22)).json()
            self.assertEqual((denied["verdict"], denied["skipped"]), ("deny", [{"rule": "web-in", "field": "service"}]))
            self.assertEqual(denied["passed"], [])
            left_out = self.ask(server, dict(good, dport=444)).json()["skipped"]
            self.assertEqual(self.ask(server, dict(good, dport=444)).json()["passed"], ["friends"])
            self.assertEqual(left_out[1], {"rule": "but-ops", "field": "from", "not": "ops"})
            self.assertEqual(left_out[2], {"rule": "blocked-in", "field": "from", "never_block": True})
            self.assertEqual(self.ask(server, dict(good, proto=6)).status, 200)
            self.assertEqual(self.ask(server, dict(good, in_port="wan9")).status, 422)
            wrong = [("/src", dict(good, src="198.51.100.007")), ("/src", dict(good, src="fe80::1%eth0")),
                     ("/src", dict(good, src="198.51.100.0/24")), ("/dst", dict(good, dst="2001:db8::1")),
                     ("/dport", dict(good, dport=0)), ("/dport", dict(good, dport=65536)), ("/dport", dict(good, dport=1.5)),
                     ("/dport", dict(good, dport="443")), ("/sport", dict(good, sport=-1)), ("/proto", dict(good, proto=256)),
                     ("/proto", dict(good, proto="sctp2")), ("/icmp_type", dict(good, icmp_type=8)),
                     ("/dport", dict(good, proto="icmp", icmp_type=8)), ("/x~1y~0", dict(good, **{"x/y~": 1})),
                     ("/proto", {"in_port": "outside", "src": "::1", "dst": "::2", "proto": "icmp", "icmp_type": 8})]
            for pointer, question in wrong:
                reply = self.ask(server, question)
                self.assertEqual(reply.status, 400, question)
                self.assertIn(pointer, [error["pointer"] for error in reply.json()["errors"]])
            # all errors at once
            self.assertEqual(len(self.ask(server, {"srx": 1}).json()["errors"]), 5)

    def test_bad_json_is_refused_with_bounded_memory(self):  # P3
        cases = [b"", b" ", b"{", b"[]", b"null", b"1", b'"x"', b"nul", b"{}x", b"{} {}", b"{'a':1}", b"{a:1}", b'{"a":1,}',
                 b'{"a" 1}', b'{"a":}', b"{\"a\":NaN}", b'{"a":Infinity}', b'{"a":-}', b'{"a":01}', b'{"a":1e}', b'{"a":.5}',
                 b'{"a":1.}', b'{"a":+1}', b'{"a":0x1}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}',
                 b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\t"}', b'{"a":"\x00"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
                 b'{"a":1,"a":2}', b'{"in_port":"a","in_port":"b"}', b"/* */{}", b"{}//", b"[" * 100_000, b'{"a":' * 100_000,
                 b'{"a":' + b"9" * 400 + b"}", b'{"a":1e999999}', b"\x00" * 64]
        with Server(BINARY) as server:
            self.ask(server, b"{}")
            before = server.rss_kib()
            for case in cases:
                if case == b"":
                    continue
                with self.subTest(case=case[:40]):
                    self.assertEqual(self.ask(server, case).status, 400)
            self.assertEqual(self.ask(server, b'{"in_port":"' + b"a" * 16_000_000 + b'"}').status, 400)
            self.assertLess(server.rss_kib() - before, 64 * 1024)
            self.assertEqual(server.request("GET", "/livez").status, 200)


class Events(unittest.TestCase):
    def follow(self, server, headers=b"", topics=b"flows"):
        connection = server.connect()
        connection.sendall(b"GET /v1/events?topics=" + topics + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.token.encode() +
                           b"\r\n" + headers + b"\r\n")
        return connection

    def read_until(self, connection, text):
        data = b""
        end = time.monotonic() + 30  # the keep-alives of a stream would hold a plain read for ever
        while text not in data:
            self.assertLess(time.monotonic(), end, "%r did not come: %r" % (text, data[-200:]))
            piece = connection.recv(65536)
            self.assertTrue(piece, "the stream ended before %r: %r" % (text, data[-200:]))
            data += piece
        return data

    def test_new_events_and_going_on_behind_the_last_one(self):
        with Server(BINARY) as server:
            server.tell("events 5")
            stream = self.follow(server)
            head = self.read_until(stream, b"retry: ")
            self.assertIn(b"Content-Type: text/event-stream", head)
            self.assertRegex(head, rb"\nretry: 1000\nid: [0-9a-f]{8}-5-\d+\n\n$")  # where it is; what was before is not repeated
            server.tell("events 2")
            data = self.read_until(stream, b"-7-")
            run = re.search(rb"id: ([0-9a-f]{8})-6-\d+\nevent: flow\ndata: {", data).group(1)
            stream.close()
            again = self.follow(server, b"Last-Event-ID: %s-3-0\r\n" % run)
            data = self.read_until(again, b"id: %s-7-" % run)
            self.assertIn(b"id: %s-4-" % run, data)
            self.assertNotRegex(data, rb"id: %s-3-\d+\nevent" % run)
            self.assertNotIn(b"restarted", data)
            again.close()

    def test_what_becomes_of_the_policy_is_told_and_outlives_the_process(self):
        with Server(BINARY) as server:
            stream = self.follow(server, topics=b"flows,policy")
            self.read_until(stream, b"retry: ")
            server.first_policy()
            data = self.read_until(stream, b'"result":"adopted"')
            self.assertRegex(data, rb'event: policy\ndata: {[^\n]*"action":"policy.put","result":"adopted","actor":"token:first-start/0{8}"')
            self.assertNotIn(b"restarted", data)
            server.tell("events 1")
            data += self.read_until(stream, b"event: flow")
            last = re.findall(rb"id: (\S+)\n", data)[-1]
            stream.close()
            # Whoever comes from another process is told that flow events may be missing; of the audit none is.
            stream = self.follow(server, b"Last-Event-ID: 00000000-9-%s\r\n" % last.rsplit(b"-", 1)[1], topics=b"flows,policy")
            data = self.read_until(stream, b"event: flow")
            self.assertIn(b"event: restarted\ndata: {}\n\n", data)
            self.assertNotIn(b"event: policy", data)
            stream.close()
            # A door that is knocked at is in the audit, and is nobody's news.
            stream = self.follow(server, topics=b"policy")
            self.read_until(stream, b"retry: ")
            server.request("GET", "/v1/status", token="wrong")
            server.tell("events 1")
            etag = server.request("GET", "/v1/policy").headers["ETag"]
            server.put("b", headers={"If-Match": etag})
            data = self.read_until(stream, b'"result":"adopted"')
            for word in (b"event: flow", b"access", b"restarted"):
                self.assertNotIn(word, data)
            stream.close()

    def test_lost_events_are_counted(self):
        with Server(BINARY) as server:
            server.tell("events 2500")  # the ring holds 2000
            stream = self.follow(server, b"Last-Event-ID: 00000000-1-0\r\n")
            data = self.read_until(stream, b"-2500-")
            self.assertIn(b'event: restarted\ndata: {}\n\nevent: lost\ndata: {"lost":500}\n\n', data)
            self.assertEqual(data.count(b"\nid: "), 1 + 2000)  # the place where it starts has one too
            stream.close()

    def test_keepalive_bad_ids_and_the_cap(self):
        with Server(BINARY, event_keepalive_ms=50, event_streams_max=2) as server:
            for value in (b"x", b"7", b"00000000-1", b"00000000-1-x", b"0000000-1-1", b"00000000--1-1"):
                bad = self.follow(server, b"Last-Event-ID: " + value + b"\r\n")
                self.assertIn(b"400 Bad Request", self.read_until(bad, b"\r\n"))
                bad.close()
            self.assertEqual(server.request("GET", "/v1/events?topics=alerts").status, 400)
            self.assertEqual(server.request("GET", "/v1/events?topics=flows,flows").status, 400)
            streams = [self.follow(server), self.follow(server)]
            for stream in streams:
                self.read_until(stream, b": still here")
            refused = server.request("GET", "/v1/events")
            self.assertEqual((refused.status, refused.json()["code"]), (503, "too-many-streams"))
            for stream in streams:
                stream.close()
            wait_until(lambda: server.request("GET", "/v1/status").json()["api"]["event_streams"] == 0)

    def test_who_does_not_read_is_dropped_and_counted(self):
        with Server(BINARY, event_write_ms=300) as server:
            stream = self.follow(server)
            self.read_until(stream, b"retry: ")
            server.tell("events 2000 20000")  # 40 MB: more than any socket buffer
            wait_until(lambda: server.request("GET", "/v1/status").json()["api"]["event_streams_dropped"] == 1)
            self.assertEqual(server.request("GET", "/v1/status").json()["api"]["event_streams"], 0)
            stream.close()


if __name__ == "__main__":
    unittest.main(verbosity=1)
