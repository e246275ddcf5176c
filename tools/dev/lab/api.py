"""The control plane's REST interface, from the lab's side: TLS checked against its own CA, token from its file."""
import http.client
import json
import ssl

from .names import Trouble


class Api:
    def __init__(self, lab):
        self.lab = lab
        self._context = None

    def _connect(self, timeout_s):
        if self._context is None:
            self._context = ssl.create_default_context(cafile=f"{self.lab.state_dir}/ca.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.lab.port, timeout=timeout_s, context=self._context)

    def token(self):
        with open(f"{self.lab.state_dir}/token", encoding="utf-8") as file:
            return file.read().strip()

    def request(self, method, path, body=None, headers=None, timeout_s=30.0, token=True):
        """Returns (status, headers, text)."""
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {self.token()}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        connection = self._connect(timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None, **more):
        status, answer_headers, text = self.request(method, path, body, headers, **more)
        if status >= 400:
            raise Trouble(f"{method} {path} answered {status}: {text.strip()[:400]}", "read the control plane's log")
        return json.loads(text) if text else {}

    def alive(self):
        try:
            return self.request("GET", "/livez", token=False, timeout_s=2.0)[0] == 200
        except (OSError, http.client.HTTPException, ssl.SSLError):
            self._context = None
            return False

    def status(self):
        return self.json("GET", "/v1/status")

    def rules(self):
        """Rule counters by id."""
        found = self.json("GET", "/v1/rules")
        rows = found["rules"] if isinstance(found, dict) else found
        return {row["id"]: row for row in rows}

    def put_policy(self, text, media_type="application/yaml", query="", confirm_s=None, guard=None):
        """PUT with the right If-Match. Returns (status, parsed body)."""
        headers = {"Content-Type": media_type}
        if not query:
            status, got, _ = self.request("GET", "/v1/policy")
            if status == 200:
                headers["If-Match"] = got["ETag"]
            else:
                headers["If-None-Match"] = "*"
        if confirm_s is not None:
            headers["Confirm-Timeout"] = str(confirm_s)
        if guard is not None:
            headers["Confirm-Guard"] = guard
        status, _, answer = self.request("PUT", f"/v1/policy{query}", text, headers, timeout_s=120.0)
        return status, json.loads(answer) if answer else {}
