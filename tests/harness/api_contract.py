"""openapi.yaml, held against answers: of the server with a policy service in memory, and of the whole product."""
import json
import pathlib
import re

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = yaml.safe_load((ROOT / "controlplane/api/openapi.yaml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/API.md").read_text(encoding="utf-8")
# (status, code) of each problem in the table of docs/API.md.
PROBLEMS = {(int(status), code) for status, codes in re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.M) for code in re.findall(r"`([a-z-]+)`", codes)}


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


def validator(schema, target):
    """What lacks members (`...Part`) is for who asked for some with `fields`; for others nothing fits it."""
    chosen = "fields=" in target.partition("?")[2]
    schemas = {name: each if chosen or not name.endswith("Part") else False for name, each in SPEC["components"]["schemas"].items()}
    return jsonschema.Draft202012Validator(dict(schema, components={"schemas": schemas}))


def events_of(stream):
    """(name, data) of each event that is there to its end and has data (WHATWG HTML, section 9.2)."""
    for block in stream.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        assert {name for name, _, _ in fields} <= {"retry", "id", "event", "data"}, block
        data = "\n".join(value for name, _, value in fields if name == "data")
        if data:
            yield next((value for name, _, value in fields if name == "event"), "message"), data


def check_problem(reply):
    told = json.loads(reply.body)
    assert (told["status"], told["type"]) == (reply.status, "urn:sluice:problem:" + told["code"]), told
    assert told["request_id"] == reply.headers["X-Request-Id"], told
    assert (reply.status, told["code"]) in PROBLEMS, "docs/API.md knows no %s with status %d" % (told["code"], reply.status)


def check_body(content, media, target, reply):
    if media.endswith("json"):
        validator(content["schema"], target).validate(json.loads(reply.body))
    if media == "application/problem+json":
        check_problem(reply)
    if media == "application/jsonl":
        line_validator = validator(content["x-line-schema"], target)
        assert not reply.body or reply.body.endswith(b"\n"), "the last line is cut"
        for line in reply.body.splitlines():
            line_validator.validate(json.loads(line))
    if media == "text/event-stream":
        for name, data in events_of(reply.body):
            assert name in content["x-data-schemas"], "undocumented event %r" % name
            validator(content["x-data-schemas"][name], target).validate(json.loads(data))


def check_contract(method, target, reply):
    """Status, media type, headers and body are what openapi.yaml says of this operation, of a problem what docs/API.md says too."""
    operation = operation_of(method, target) or {"responses": {"default": {"$ref": "#/components/responses/Problem"}}}
    response = operation["responses"].get(str(reply.status))
    if response is None:
        assert reply.status >= 400, "%s %s: undocumented status %d" % (method, target, reply.status)
        response = operation["responses"]["default"]
    response = resolve(response)
    for name, header in response.get("headers", {}).items():
        header, value = resolve(header), reply.headers.get(name)
        assert value is not None or not header.get("required"), "%s %s: status %d without %s" % (method, target, reply.status, name)
        if value is not None:
            jsonschema.validate(value, header["schema"])
    assert reply.headers.get("X-Request-Id") and reply.headers.get("Date"), "common headers are missing"
    if "content" not in response:
        assert not reply.body, "body where none is documented"
        return
    media = reply.headers.get("Content-Type", "").split(";")[0]
    assert media in response["content"], "%s %s: undocumented media type %r" % (method, target, media)
    if method != "HEAD":
        check_body(response["content"][media], media, target, reply)
