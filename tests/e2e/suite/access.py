"""Tokens over the life of the real control plane: killed, restarted, the first one's file taken away and given back."""
import json
import os
import shutil

from lab import daemons
from lab.names import CONTROL_UID


def _status(bench, text, method="GET", path="/v1/status"):
    return bench.api.request(method, path, headers={"Authorization": f"Bearer {text}"}, token=False)[0]


def _kill(bench):
    pid, _ = bench.kill("controlplane")
    daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
    bench.wait_api()


def _restart(bench):
    bench.stop_service("controlplane")
    bench.start_service("controlplane")
    bench.wait_api()


def tokens_outlive_the_process_and_what_is_revoked_stays_so(bench):
    """kill -9 behind a token's making and behind its end: what was answered is so; its secret is in no file and no log."""
    made = json.loads(bench.ctl("token", "create", "e2e", "--role", "operator", "--reason", "CHG-1", "-o", "json").stdout)
    text = made["token"]
    assert _status(bench, text) == 200
    _kill(bench)
    assert _status(bench, text) == 200
    assert _status(bench, text, "DELETE", "/v1/flows?filter=dport%3D%3D9") == 200
    assert _status(bench, text, "POST", "/v1/commits/1:confirm") == 403
    bench.ctl("token", "revoke", "e2e")
    _kill(bench)
    assert _status(bench, text) == 401
    actors = [json.loads(line)["actor"] for line in bench.ctl("audit", "-o", "json", "--user", "token:e2e").stdout.splitlines()]
    assert actors and set(actors) == {f"token:e2e/{made['id']}"}, actors
    for folder in (bench.lab.state_dir, bench.lab.log_dir):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    assert text[16:].encode() not in file.read(), path
    bench.wait_in_sync()


def the_first_token_needs_its_file_no_more(bench):
    """Its hash is kept: with the file gone it works on and nothing new is made; another text in the file takes its place."""
    path, kept, first = f"{bench.lab.state_dir}/token", f"{bench.lab.run_dir}/token.kept", bench.api.token()
    shutil.copy2(path, kept)
    other = "another-text-of-the-first-token-0123456789"
    try:
        os.unlink(path)
        _restart(bench)
        assert not os.path.exists(path) and _status(bench, first) == 200
        with open(path, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            os.fchown(file.fileno(), CONTROL_UID, CONTROL_UID)
            file.write(other + "\n")
        _restart(bench)
        assert (_status(bench, other), _status(bench, first)) == (200, 401)
    finally:
        shutil.copy2(kept, path)
        os.chown(path, CONTROL_UID, CONTROL_UID)
        os.unlink(kept)
        _restart(bench)
    assert (_status(bench, first), _status(bench, other)) == (200, 401)
    bench.wait_in_sync()


TESTS = [tokens_outlive_the_process_and_what_is_revoked_stays_so, the_first_token_needs_its_file_no_more]
