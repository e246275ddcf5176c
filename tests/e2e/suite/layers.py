"""Policies of several files: a folder through the CLI to packets."""
import os
import tempfile

from lab.shell import until

_CLIENT = "198.51.100.7"
_GUARD = """sluice: 1
name: guard
layer: 10
sets:
  quarantine: {members: api}
rules:
  - {id: customers, from: {zone: internet, not: quarantine}, to: any, service: https, action: pass}
  - {id: guard-all, from: internet, to: any, service: [https, udp/7000], action: deny, log: start}
tests:
  - {from: 198.51.100.7@internet, to: "198.51.100.80@servers:443/tcp", expect: allow, by: web-in}
  - {from: 198.51.100.7@internet, to: "198.51.100.80@servers:7000/udp", expect: deny, by: guard-all}
"""


def two_layers_decide_packets(bench):
    """A layer in front denies what the one behind allows, but for what it passes on; a set with members over the API
    takes somebody out of that, live; an edit takes the exception away. Errors name the file that they are in."""
    bench.put(bench.policy)
    assert bench.tcp(443) == "allow" and bench.udp_passes()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("50-edge.yaml", bench.policy), ("10-guard.yaml", _GUARD)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        planned = bench.ctl("plan", "-f", folder, check=False)
        assert planned.returncode == 2 and "+ rule guard-all" in planned.stdout, planned.stdout + planned.stderr
        assert "allow -> deny" in planned.stdout and "udp/7000" in planned.stdout, planned.stdout
        said = bench.ctl("apply", "-f", folder).stdout
        assert "4/4 tests" in said, said
        assert bench.tcp(443) == "allow" and bench.tcp(22) == "reject"
        assert not bench.udp_passes()
        explained = bench.ctl("explain", "outside", _CLIENT, "198.51.100.80:443/tcp").stdout
        assert "allow  by web-in" in explained and "rule customers passed it to a later layer" in explained, explained
        bench.ctl("set", "add", "quarantine", _CLIENT)
        assert bench.tcp(443) == "deny"
        explained = bench.ctl("explain", "outside", _CLIENT, "198.51.100.80:443/tcp").stdout
        assert "deny  by guard-all" in explained and "from: not quarantine" in explained, explained
        bench.ctl("set", "remove", "quarantine", _CLIENT)
        assert bench.tcp(443) == "allow"
        # The guard's own tests hold for edits too.
        edits = [{"op": "remove", "id": "customers"}]
        assert bench.api.request("PATCH", "/v1/policy", edits, {"If-Match": bench.etag()})[0] == 422
        guard = os.path.join(folder, "10-guard.yaml")
        with open(guard, "w", encoding="utf-8") as file:
            file.write(_GUARD.replace("from: internet", "from: internat"))
        refused = bench.ctl("apply", "-f", folder, check=False)
        assert refused.returncode == 1, refused.stdout
        assert refused.stderr.startswith(f"{guard}:8:27: zone or set \"internat\" is not defined"), refused.stderr
    until(lambda: bench.api.rules()["guard-all"]["hits"] > 0, "hits of the layer in front", 5.0, step_s=0.1)
    watch = {"id": "watch", "from": "internet", "to": "any", "service": "udp/7000", "action": "deny", "mode": "observe", "layer": 10}
    bench.api.json("PATCH", "/v1/policy", [{"op": "insert", "rule": watch}], {"If-Match": bench.etag()})
    order = list(bench.api.rules())
    assert order[:4] == ["customers", "guard-all", "watch", "web-in"], order
    bench.put(bench.policy)
    bench.wait_forwarding()


TESTS = [two_layers_decide_packets]
