"""Who manages the firewall through the firewall itself: the API behind the wire, its client in front of it."""
import json
import subprocess

from lab.names import CONTROL_UID, SHOP, binary
from lab.shell import in_ns, until

_PORT = 9443
_OPEN = "{id: api-in, from: internet, to: shop, service: tcp/9443, action: allow}"
# URL, method, token, ETag ("-" = none), further header ("-" = none); the body on standard input. Prints status and body.
_CLIENT = """
import http.client, ssl, sys
method, path, token, etag, more = sys.argv[3:]
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), context=context, timeout=3)
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/yaml"}
if etag != "-":
    headers["If-Match"] = etag
if more != "-":
    headers[more] = "true"
connection.request(method, path, body=sys.stdin.read() or None, headers=headers)
answer = connection.getresponse()
print(answer.status, answer.headers.get("ETag", "-"))
print(answer.read().decode())
"""


class _ApiBehindTheWire:
    """The control plane, in the shop's network instead of the machine's own."""

    def __init__(self, bench):
        self.bench = bench
        path, moved = f"{bench.lab.run_dir}/controlplane.yaml", f"{bench.lab.run_dir}/controlplane-inside.yaml"
        with open(path, encoding="utf-8") as file:
            config = json.loads(file.read().partition("\n")[2])
        with open(moved, "w", encoding="utf-8") as file:
            json.dump({**config, "listen": f"{SHOP[0]}:{_PORT}"}, file)
        bench.stop_service("controlplane")
        self.process = subprocess.Popen(
            in_ns(bench.lab.ns_inside, "/usr/bin/setpriv", f"--reuid={CONTROL_UID}", f"--regid={CONTROL_UID}", "--clear-groups",
                  binary("sluice-controlplane"), "--config", moved), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.bench.start_service("controlplane")
        self.bench.wait_api()
        self.bench.wait_in_sync()

    def ask(self, namespace, method, path, body="", etag="-", more="-"):
        """(status, ETag, text); nothing where the API can't be reached."""
        argv = in_ns(namespace, "/usr/bin/python3", "-I", "-c", _CLIENT, SHOP[0], str(_PORT), method, path,
                     self.bench.api.token(), etag, more)  # fmt: skip
        done = subprocess.run(argv, input=body, capture_output=True, text=True, timeout=30.0, check=False)
        if done.returncode != 0:
            return None
        first, _, text = done.stdout.partition("\n")
        status, _, tag = first.partition(" ")
        return int(status), tag, text


def who_would_cut_his_own_way_is_told(bench):
    """The policy that refuses the connection by which it comes is refused; with the word for it, it is put, and cuts."""
    outside, inside = bench.lab.ns_outside, bench.lab.ns_inside
    bench.put(bench.with_rule(_OPEN))
    bench.wait_in_sync()
    api = _ApiBehindTheWire(bench)
    try:
        until(lambda: (api.ask(outside, "GET", "/readyz") or (0,))[0] == 200, "the API through the firewall", 30.0)
        _, etag, _ = api.ask(outside, "GET", "/v1/policy")
        status, _, text = api.ask(outside, "PUT", "/v1/policy", bench.policy, etag)
        assert status == 409 and json.loads(text)["code"] == "would-lock-out", text
        status, _, text = api.ask(outside, "PUT", "/v1/policy?dry_run=true", bench.policy, etag)
        assert status == 200 and json.loads(text)["ok"], "a plan cuts nobody"
        status, unchanged, _ = api.ask(outside, "GET", "/v1/policy")
        assert (status, unchanged) == (200, etag), "and the way is open"
        # The answer itself may not come through any more.
        api.ask(outside, "PUT", "/v1/policy", bench.policy, etag, "Allow-Lock-Out")
        assert api.ask(outside, "GET", "/livez") is None, "the way is cut"
        status, now, _ = api.ask(inside, "GET", "/v1/policy")
        assert status == 200 and now != etag
        # From there nothing passes through the firewall, so nobody is cut off by what follows.
        status, _, text = api.ask(inside, "PUT", "/v1/policy", bench.with_rule(_OPEN), now)
        assert status == 200, text
        _, open_again, _ = api.ask(inside, "GET", "/v1/policy")
        status, _, text = api.ask(inside, "PUT", "/v1/policy", bench.policy, open_again)
        assert status == 200, text
    finally:
        api.close()
    bench.put(bench.policy)


TESTS = [who_would_cut_his_own_way_is_told]
