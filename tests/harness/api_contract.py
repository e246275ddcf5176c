"""openapi.yaml, held against answers: of the server with a policy service in memory, and of the whole product."""
import json
import pathlib

import jsonschema
import yaml

SPEC = yaml.safe_load((pathlib.Path(__file__).resolve().parents[2] / "controlplane/api/openapi.yaml").read_text(encoding="utf-8"))


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
