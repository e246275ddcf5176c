"""The contract: every operation of openapi.yaml is driven at the real server, and every answer that it promises (status,
media type and event) is seen and fits its schema. An operation without a drive fails, a promise that nothing keeps as well."""
import copy
import datetime
import http.client
import json
import pathlib
import re
import sys
import unittest

import jsonschema
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import HANG_LIMIT_S, ROOT, SPEC, Reply, Server, binary_from, check_contract, events_of, operation_of, resolve  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")
JSON = {"Content-Type": "application/json"}
OPERATIONS = {operation["operationId"]: (method.upper(), path, operation)
              for path, item in SPEC["paths"].items() for method, operation in item.items() if method != "parameters"}
QUESTION = json.dumps({"in_port": "outside", "src": "198.51.100.7", "dst": "198.51.100.80", "proto": "tcp", "dport": 443})

# What the policy service in memory never does, with the test that sees the real one do it.
ELSEWHERE = {("rollbackCommit", 202, "application/json"): "a worker that stalls: tests/unit/controlplane/lifecycle"}


def promises():
    """(operation, status, media type or nothing) of every answer that is named, and of every event."""
    for name, (_, _, operation) in OPERATIONS.items():
        for status, response in operation["responses"].items():
            if status != "default":
                for media, content in resolve(response).get("content", {None: {}}).items():
                    yield name, int(status), media
                    for event in content.get("x-data-schemas", ()):
                        yield name, int(status), media + ": " + event


class Recorder:
    """A server whose answers are noted, and held against the document by `Server.request` itself."""

    def __init__(self, server):
        self.server, self.seen = server, set()

    def ask(self, method, target, body=None, headers=None, **more):
        reply = self.server.request(method, target, body=body, headers=headers, **more)
        media = reply.headers.get("Content-Type", "").split(";")[0] or None
        self.seen.add((operation_of(method, target)["operationId"], reply.status, media))
        if reply.status == 202 and "stalled_workers" in reply.json():  # a commit; no schema says when it has which header
            waits = reply.json()["state"] == "waiting"
            assert ("ETag" in reply.headers) != waits, reply.body
            assert reply.headers["Location"].startswith("/v1/changes/" if waits else "/v1/commits/"), reply.headers["Location"]
        return reply

    def follow(self, target, until, headers=None):
        reply = self.server.follow(target, until, headers)
        for event, _ in events_of(reply.body):
            self.seen.add((operation_of("GET", target)["operationId"], reply.status, "text/event-stream: " + event))

    def put(self, text, media="application/yaml", target="/v1/policy", **headers):
        sent = {"Content-Type": media, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.ask("PUT", target, body=text, headers=sent)


def drive_the_policy(at):
    at.ask("GET", "/v1/policy")
    at.put("name: demo\nrule web-in\n", target="/v1/policy?dry_run=true")
    etag = at.put("name: demo\nrule web-in\n", If_None_Match="*").headers["ETag"]
    at.put("name: demo\n", target="/v1/policy?dry_run=true&flows_since=24h")
    for accept in ("application/yaml", "application/json"):
        at.ask("GET", "/v1/policy", headers={"Accept": accept})
    at.ask("GET", "/v1/policy", headers={"If-None-Match": etag})
    for media in ("text/yaml", "application/x-yaml", "application/json"):
        at.put('{"sluice": 1, "name": "%s"}' % media, media=media, If_Match="*")
    at.ask("GET", "/v1/policy")
    for text in ("BROKEN", "REFUSED", "NODATAPLANE", "TESTFAIL", "THROW", "LOCKOUT"):
        at.put(text, If_Match="*")
    at.put("STALL", If_Match="*")
    edits = '[{"op": "remove", "id": "x"}]'
    at.ask("PATCH", "/v1/policy?dry_run=true", body=edits, headers={**JSON, "If-Match": "*"})
    at.ask("PATCH", "/v1/policy", body=edits, headers={**JSON, "If-Match": "*"})
    at.ask("PATCH", "/v1/policy", body=edits, headers={**JSON, "If-Match": "*", "Confirm-Timeout": "60"})


def drive_commits_and_history(at):
    for text in ("a", "b"):
        at.put(text, If_Match="*", Confirm_Timeout="60")
        number = at.ask("GET", "/v1/history?limit=1").json()["history"][0]["generation"]
        at.ask("GET", "/v1/commits/%d" % number)
        if text == "a":
            at.ask("POST", "/v1/commits/%d:confirm" % number)
        else:
            at.ask("POST", "/v1/commits/%d:rollback" % number)
    at.ask("GET", "/v1/commits/1")
    at.ask("GET", "/v1/history/1")
    at.ask("GET", "/v1/history/2?against=1")
    at.ask("POST", "/v1/history/1:restore", headers={"If-Match": "*"})
    at.ask("POST", "/v1/history/2:restore", headers={"If-Match": "*", "Confirm-Timeout": "60"})
    at.ask("GET", "/v1/audit?limit=3")
    at.ask("GET", "/v1/audit:verify")


def drive_sets(at):
    at.ask("GET", "/v1/sets")
    members = "/v1/sets/blocked/members"
    one = json.dumps({"members": ["198.51.100.7"]})
    later = json.dumps({"members": [{"member": "2001:db8::/48", "ttl_s": 60}], "ttl_s": 90})
    nobody = json.dumps({"members": ["203.0.113.99"]})
    spared = json.dumps({"members": ["198.51.100.7", "203.0.113.129"]})
    for body in (one, later, nobody):
        at.ask("POST", members, body=body, headers=JSON)
    at.ask("GET", members)
    at.ask("GET", members + "?limit=1")
    at.ask("PUT", members, body=one, headers=JSON)
    at.ask("PUT", members, body=nobody, headers=JSON)
    warned = at.ask("PUT", members, body=spared, headers=JSON).json()["warnings"]
    assert warned == [{"pointer": "/members/1", "code": "never-blocked", "detail": "203.0.113.129 stands in it"}], warned
    at.ask("DELETE", members, body=one, headers=JSON)
    at.ask("DELETE", members, body=nobody, headers=JSON)
    at.ask("PUT", members, body=one, headers=JSON | {"If-Match": '"s0"'})
    at.ask("POST", members, body=json.dumps({"members": ["198.51.100.7/8"]}), headers=JSON)
    at.ask("GET", "/v1/sets/unknown/members")


def drive_the_freeze(at):
    at.ask("GET", "/v1/freeze")
    until = json.dumps({"until": "2099-01-01T00:00:00Z"})
    at.ask("PUT", "/v1/freeze", body=until, headers={**JSON, "Sluice-Reason": "too long"})
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    at.ask("PUT", "/v1/freeze", body=json.dumps({"until": soon}), headers={**JSON, "Sluice-Reason": "year's end"})
    at.ask("GET", "/v1/freeze")
    at.ask("DELETE", "/v1/freeze")


def drive_drafts(at):
    at.ask("GET", "/v1/drafts")
    at.ask("GET", "/v1/drafts/none")
    etag = at.put("rule web-in", target="/v1/drafts/web", If_None_Match="*").headers["ETag"]
    at.put("rule web-in", target="/v1/drafts/web", If_None_Match="*")
    at.put("BROKEN", target="/v1/drafts/broken?base=1")
    at.put("UNREADABLE", target="/v1/drafts/broken")
    at.put("x", target="/v1/drafts/Upper")
    at.put("rule other", target="/v1/drafts/web?base=current", If_Match=etag)
    at.put("rule other", target="/v1/drafts/web", If_Match=etag)
    at.ask("GET", "/v1/drafts")
    at.ask("GET", "/v1/drafts/web")
    plan = at.ask("POST", "/v1/drafts/web:plan?flows_since=24h").json()
    at.ask("POST", "/v1/drafts/web:apply?hash=" + "0" * 64, headers={"If-Match": "*"})
    at.ask("POST", "/v1/drafts/web:apply")
    at.ask("POST", "/v1/drafts/web:apply?hash=" + plan["hash"], headers={"If-Match": "*"})
    at.ask("GET", "/v1/drafts/web")
    at.put("rule third", target="/v1/drafts/web")
    at.ask("POST", "/v1/drafts/web:apply", headers={"If-Match": "*"})
    at.put("rule third", target="/v1/drafts/web?base=current")
    at.ask("POST", "/v1/drafts/web:apply", headers={"If-Match": "*", "Confirm-Timeout": "60"})
    at.ask("DELETE", "/v1/drafts/web")
    at.ask("DELETE", "/v1/drafts/web")


def drive_changes(at):
    def token(name, role):
        return at.ask("POST", "/v1/tokens", body=json.dumps({"name": name, "roles": [role]}), headers=JSON).json()["token"]

    def change(text, target="/v1/policy", **headers):
        return at.put(text, target=target, If_Match="*", **headers).json()["change"]["id"]

    def step(verb, number, who=True, **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return at.ask("POST", "/v1/changes/%d:%s" % (number, verb), headers=sent, token=who)

    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    anna, bert, chief = token("anna", "approver"), token("bert", "approver"), token("chief", "admin")
    at.ask("GET", "/v1/changes/1")
    at.ask("GET", "/v1/changes/x")
    at.put("needed: 2", If_Match="*")
    first = change("needed: 1 two", Sluice_Reason="CHG-1")
    at.ask("GET", "/v1/changes/%d" % first)
    for who in (True, anna, anna, bert, bert):  # its author, one, the same again, the last, and one too many
        step("approve", first, who, Sluice_Reason="read it")
    probation = change("needed: 1 three", Confirm_Timeout="60")
    step("approve", probation, anna)
    step("apply", change("needed: 1 four"), chief)
    step("apply", change("needed: 1 four"), chief, Break_Glass="true")
    step("apply", change("needed: 1 four"), chief, Break_Glass="true", Sluice_Reason="INC-7")
    step("apply", change("needed: 1 five", target="/v1/policy?at=" + soon), chief, Break_Glass="true", Sluice_Reason="INC-8")
    step("approve", change("needed: 1 six STALE"), anna)
    turned_down = change("needed: 1 seven")
    step("reject", turned_down, anna)
    step("reject", turned_down, anna, Sluice_Reason="not on a Friday")
    step("reject", turned_down, anna, Sluice_Reason="not on a Friday")
    step("approve", 999, anna)
    mine = change("needed: 1 eight")
    for who in (bert, True):
        at.ask("DELETE", "/v1/changes/%d" % mine, token=who)
    page = at.ask("GET", "/v1/changes?limit=2").json()
    at.ask("GET", "/v1/changes?state=pending&cursor=" + page["next"])
    at.ask("GET", "/v1/changes?state=waiting")
    at.put("x", target="/v1/policy?at=2020-01-01T00:00Z", If_Match="*")
    at.put("x", target="/v1/policy?at=tomorrow", If_Match="*")
    at.put("x", target="/v1/policy?dry_run=true&at=" + soon, If_Match="*")
    step("approve", change("no eyes"), anna)
    at.put("later", target="/v1/policy?at=" + soon, If_Match="*")
    at.ask("PATCH", "/v1/policy?at=" + soon, body="[]", headers={**JSON, "If-Match": "*"})


def drive_the_shadow(at):
    at.ask("GET", "/v1/shadow")
    at.ask("DELETE", "/v1/shadow")
    at.put("BROKEN", target="/v1/shadow")
    at.put("TESTFAIL", target="/v1/shadow")
    started = at.put("rule web-in", target="/v1/shadow", Sluice_Reason="CHG-1").json()["shadow"]
    assert started["reason"] == "CHG-1" and started["draft"] is None, started
    counted = at.ask("GET", "/v1/shadow").json()["shadow"]
    assert counted["pairs"][0]["live"] == {"verdict": "allow", "rule": "web-in"}, counted
    at.ask("POST", "/v1/drafts/Upper:shadow")
    at.ask("POST", "/v1/drafts/none:shadow")
    at.put("rule web-in", target="/v1/drafts/web")
    assert at.ask("POST", "/v1/drafts/web:shadow").json()["shadow"]["draft"] == "web"
    at.ask("DELETE", "/v1/shadow")
    assert at.ask("GET", "/v1/shadow").json()["shadow"] is None


def drive_tokens(at):
    at.ask("GET", "/v1/tokens")
    for wanted in ({"name": "ci", "roles": ["viewer"]}, {"name": "bot", "roles": ["editor", "approver"], "expires_in_s": None}):
        made = at.ask("POST", "/v1/tokens", body=json.dumps(wanted), headers=JSON).json()
        at.ask("GET", "/v1/tokens/" + made["id"])
    at.ask("DELETE", "/v1/tokens/" + made["id"])
    at.ask("DELETE", "/v1/tokens/" + made["id"])
    at.ask("GET", "/v1/tokens")


def drive_insight(at):
    for path in ("/", "/openapi.json", "/v1/openapi.json", "/v1/status", "/v1/rules", "/livez", "/readyz", "/metrics", "/metrics/rules"):
        at.ask("GET", path)
    page = at.ask("GET", "/v1/flows?limit=7").json()
    at.ask("GET", "/v1/flows?cursor=" + page["next"])
    at.ask("GET", "/v1/flows?since=1h&limit=5")
    for query in ("since=1h&limit=5", "since=damage&limit=5", "since=damage&limit=5&fields=src"):
        at.ask("GET", "/v1/flows?" + query, headers={"Accept": "application/jsonl"})
    at.ask("DELETE", "/v1/flows?all=true")
    at.ask("DELETE", "/v1/flows")
    at.ask("POST", "/v1/explain", body=QUESTION, headers=JSON)
    at.ask("POST", "/v1/explain", body="{}", headers=JSON)
    at.server.tell("not-ready the dataplane is not there")
    at.ask("GET", "/readyz")
    at.ask("HEAD", "/v1/events")


def drive_events(at):
    at.server.tell("events 2500")  # the ring holds 2000
    earlier = {"Last-Event-ID": "00000000-1-0"}  # of another process
    at.follow("/v1/events?filter=rule==nobody", b'{"lost":500}\n\n', earlier)
    at.follow("/v1/events", b"-600-", earlier)
    drafts = http.client.HTTPSConnection("127.0.0.1", at.server.port, context=at.server.tls, timeout=HANG_LIMIT_S)
    sent = {"Authorization": "Bearer " + at.server.token, "Content-Type": "application/yaml"}
    for _ in range(1010):  # entries of the audit; a follower may come from 1000 back
        drafts.request("PUT", "/v1/drafts/web", body="rule web-in", headers=sent)
        drafts.getresponse().read()
    drafts.close()
    at.follow("/v1/events?topics=policy", b'"action":"draft.save"', earlier)


class Contract(unittest.TestCase):
    maxDiff = None

    def test_every_promise_is_kept(self):
        with Server(BINARY) as server:
            at = Recorder(server)
            for drive in (drive_the_policy, drive_commits_and_history, drive_the_freeze, drive_drafts, drive_changes, drive_the_shadow, drive_sets, drive_tokens, drive_insight, drive_events):
                drive(at)
        self.assertEqual(sorted(set(ELSEWHERE) & at.seen), [], "these are seen here by now")
        driven = {name for name, _, _ in at.seen}
        self.assertEqual(sorted(set(OPERATIONS) - driven), [], "operations that nothing drives")
        self.assertEqual(sorted(set(promises()) - at.seen - set(ELSEWHERE), key=str), [], "answers that are promised and were never given")

    def test_fields_choose_what_items_have(self):
        with Server(BINARY) as server:
            server.first_policy()
            soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            server.put("later", target="/v1/policy?at=" + soon, headers={"If-Match": "*"})
            for target, schema, rows in (("/v1/changes?", "Change", lambda body: body["changes"]),
                                         ("/v1/rules?", "RuleStats", lambda body: body), ("/v1/history?", "Adoption", lambda body: body["history"]),
                                         ("/v1/audit?", "AuditEntry", lambda body: body["entries"]), ("/v1/flows?limit=20&", "Flow", lambda body: body["flows"]),
                                         ("/v1/flows?since=1h&limit=20&", "FlowRecord", lambda body: body["records"])):
                whole = SPEC["components"]["schemas"][schema]
                for item in rows(server.request("GET", target[:-1]).json()):
                    self.assertLessEqual(set(whole["required"]), set(item), target)
                for name in whole["properties"]:
                    with self.subTest(target=target, field=name):
                        items = rows(server.request("GET", target + "fields=" + name).json())
                        self.assertTrue(items and all(set(item) <= {name} for item in items))
                        self.assertTrue(name not in whole["required"] or all(name in item for item in items))
                two = whole["required"][:2]
                items = rows(server.request("GET", target + "fields=" + ",".join(reversed(two))).json())
                self.assertTrue(all(sorted(item) == sorted(two) for item in items))
                for wrong, words in ((two[0] + "x", 'did you mean "%s"?' % two[0]), ("", "there are"), (two[0] + ",", "there are")):
                    reply = server.request("GET", target + "fields=" + wrong)
                    self.assertEqual((reply.status, reply.json()["code"]), (400, "bad-query"), wrong)
                    self.assertIn(words, reply.json()["detail"])
            lines = server.request("GET", "/v1/flows?since=1h&limit=5&fields=src,dst", headers={"Accept": "application/jsonl"}).body.decode().splitlines()
            self.assertEqual([set(json.loads(line)) for line in lines], [{"src", "dst"}] * 5)
            self.assertEqual(server.request("GET", "/v1/status?fields=ready").status, 400)

    def test_what_is_wrong_is_seen(self):
        """The checks themselves: an answer with a field too many, one too few, or of another type does not fit."""
        schema = dict(SPEC["components"]["schemas"]["Token"], components=SPEC["components"])
        good = {"id": "0000000a", "name": "ci", "roles": ["viewer"], "state": "live", "created": "2026-11-26T05:00:00.000Z",
                "created_by": "system", "expires": None, "revoked": None, "revoked_by": None}
        validate = jsonschema.Draft202012Validator(schema).validate
        validate(good)
        for change in ({"hash": "x"}, {"roles": ["root"]}, {"created": "yesterday"}, {"expires": 5}):
            with self.assertRaises(jsonschema.ValidationError):
                validate({**good, **change})
        with self.assertRaises(jsonschema.ValidationError):
            validate({name: value for name, value in good.items() if name != "expires"})

    def refuses(self, method, target, reply, *changes, without=()):
        """It fits as it is. With one of the changes of its body, or without one of the headers, it does not."""
        check_contract(method, target, reply)
        others = []
        for old, new in changes:
            self.assertIn(old, reply.body)
            others.append((old, Reply(reply.status, reply.headers, reply.body.replace(old, new))))
        for name in without:
            headers = copy.copy(reply.headers)
            del headers[name]
            others.append((name, Reply(reply.status, headers, reply.body)))
        for what, other in others:
            with self.subTest(target=target, what=what), self.assertRaises((AssertionError, ValueError, jsonschema.ValidationError)):
                check_contract(method, target, other)

    def test_an_answer_that_breaks_a_promise_is_seen(self):
        lines, any_policy = {"Accept": "application/jsonl"}, {"If-Match": "*"}
        with Server(BINARY) as server:
            etag = server.first_policy()
            self.refuses("PUT", "/v1/policy", server.put("BROKEN", headers=any_policy), (b'"status":422', b'"status":400'),
                         (b"invalid-policy", b"invalid-polity"), (b"invalid-policy", b"set-full"), (b'"request_id":"', b'"request_id":"x'),
                         (b'"pointer":', b'"place":'))
            self.refuses("GET", "/v1/policy", server.request("GET", "/v1/policy"), without=["ETag"])
            self.refuses("GET", "/v1/policy", server.request("GET", "/v1/policy", headers={"If-None-Match": etag}), without=["ETag"])
            wanted = json.dumps({"name": "ci", "roles": ["viewer"]})
            self.refuses("POST", "/v1/tokens", server.request("POST", "/v1/tokens", body=wanted, headers=JSON), without=["Location"])
            self.refuses("GET", "/v1/sets/blocked/members", server.request("GET", "/v1/sets/blocked/members"), without=["ETag"])
            export = server.request("GET", "/v1/flows?since=damage&limit=2", headers=lines)
            wrong_record = [(b',"generation":3', b""), (b'"generation":3', b'"generation":-3'), (b"flow_start", b"flow_begin"), (b'"rule":', b'"rules":')]
            self.refuses("GET", "/v1/flows?since=damage", export, *wrong_record, (b'"records":3', b'"records":"3"'), (b'"records":3}\n', b'"records":3}'))
            record = export.body.splitlines()[0]
            export.headers.replace_header("Content-Type", "text/event-stream")
            export.body = b"retry: 1000\nid: 0badcafe-5-1\n\n: still here\n\nid: 0badcafe-6-1\nevent: flow\ndata: " + record + b"\n\nevent: cut"
            self.refuses("GET", "/v1/events", export, *wrong_record, (b"event: flow", b"event: flaw"), (b"event: flow\n", b""), (b"data: {", b"data: "))
            server.tell("events 2500")
            target = "/v1/events?topics=flows,policy&filter=rule==nobody"
            stream = server.follow(target, b'"result":"adopted"', {"Last-Event-ID": "00000000-1-0"})
            self.refuses("GET", target, stream, (b"event: policy", b"event: polity"), (b'"action":"policy.put"', b'"action":"token.make"'),
                         (b'"before":null', b'"before":""'), (b'"audit":', b'"number":'), (b"data: {}", b'data: {"run":1}'))
            stream = server.follow("/v1/events?filter=rule==nobody", b'{"lost":500}\n\n', {"Last-Event-ID": "00000000-1-0"})
            self.refuses("GET", "/v1/events", stream, (b'"lost":500', b'"lost":0'), (b"data: {}", b"data: null"))


class Document(unittest.TestCase):
    """What a linter would say of the document."""

    def test_every_schema_is_one_and_every_reference_leads_somewhere(self):
        for name, schema in SPEC["components"]["schemas"].items():
            with self.subTest(schema=name):
                jsonschema.Draft202012Validator.check_schema(schema)

        for name, status, media in promises():
            content = resolve(OPERATIONS[name][2]["responses"][str(status)]).get("content", {}).get(media, {})
            for schema in [content.get("schema", {}), content.get("x-line-schema", {}), *content.get("x-data-schemas", {}).values()]:
                with self.subTest(operation=name, status=status, media=media):
                    jsonschema.Draft202012Validator.check_schema(schema)

        def walk(node):
            if isinstance(node, dict):
                if "$ref" in node:
                    resolve(node)
                for child in node.values():
                    walk(child)
            elif isinstance(node, list):
                for child in node:
                    walk(child)

        walk(SPEC)

    def test_operations_are_named_once_and_say_what_they_take(self):
        text = (ROOT / "controlplane/api/openapi.yaml").read_text(encoding="utf-8")
        self.assertEqual(text.count("operationId:"), len(OPERATIONS))
        roles = set(SPEC["components"]["schemas"]["Role"]["enum"])
        tags = {tag["name"] for tag in SPEC["tags"]}
        for name, (_, path, operation) in OPERATIONS.items():
            with self.subTest(operation=name):
                self.assertRegex(name, "^[a-z][A-Za-z0-9]+$")
                self.assertTrue(operation["summary"] and set(operation.get("tags", ())) <= tags)
                self.assertIn("default", operation["responses"])
                given = [resolve(p) for p in operation.get("parameters", []) + SPEC["paths"][path].get("parameters", [])]
                in_path = {p["name"] for p in given if p["in"] == "path"}
                self.assertEqual(in_path, {part.split("}")[0] for part in path.split("{")[1:]})
                for way in operation.get("security", []):
                    self.assertLessEqual(set(way["token"]), roles)

    def test_no_key_stands_twice(self):
        class Strict(yaml.SafeLoader):
            def construct_mapping(self, node, deep=False):
                keys = [key.value for key, _ in node.value if key.value != "<<"]
                if len(keys) != len(set(keys)):
                    raise AssertionError("line %d: a key stands twice" % (node.start_mark.line + 1))
                return super().construct_mapping(node, deep)

        yaml.load((ROOT / "controlplane/api/openapi.yaml").read_text(encoding="utf-8"), Loader=Strict)

    def test_an_operation_takes_the_query_parameters_that_are_named_and_no_other(self):
        with Server(BINARY) as server:
            for name, (method, path, operation) in OPERATIONS.items():
                shared = SPEC["paths"][path].get("parameters", [])
                named = {each["name"] for each in map(resolve, shared + operation.get("parameters", [])) if each["in"] == "query"}
                target = re.sub(r"\{\w+\}", "1", path) + "?nobody_knows_it=1"
                reply = server.request(method.upper(), target)
                with self.subTest(operation=name):
                    self.assertEqual(reply.json()["code"], "unknown-query-parameter")
                    taken = re.search(r"this resource takes (.*)$", reply.json()["detail"])[1]
                    self.assertEqual(named, set() if taken == "none" else set(taken.split(", ")))


if __name__ == "__main__":
    unittest.main(verbosity=1)
