"""Tokens of an OpenID Connect issuer at the real control plane (P7, Q25). The issuer is a server of this program on
loopback: it makes keys, shows them as a JSON Web Key Set, and signs what it is told to, good or not."""
import base64
import collections
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import HANG_LIMIT_S, Server, binary_from, wait_until  # noqa: E402

BINARY = binary_from("SLUICE_CONTROLPLANE")
AUDIENCE = "sluice"
PUT = {"method": "PUT", "target": "/v1/policy", "body": b"x", "headers": {"Content-Type": "application/yaml", "If-None-Match": "*"}}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number64(number, size=None):
    return b64(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, kid, kind="rsa", bits=2048):
        self.kid, self.kind = kid, kind
        self.private = rsa.generate_private_key(65537, bits) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1() if kind == "ec" else ec.SECP384R1())

    def jwk(self, **more):
        public = self.private.public_key().public_numbers()
        jwk = {"kid": self.kid, "use": "sig"}
        if self.kind == "rsa":
            jwk.update(kty="RSA", n=number64(public.n), e=number64(public.e))
        else:
            size = 32 if self.kind == "ec" else 48
            jwk.update(kty="EC", crv="P-256" if self.kind == "ec" else "P-384", x=number64(public.x, size), y=number64(public.y, size))
        jwk.update(more)
        return jwk

    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, algorithm, data):
        if algorithm == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if algorithm == "RS512":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA512())
        if algorithm == "PS256":
            return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        size = 32 if algorithm == "ES256" else 48
        digest = hashes.SHA256() if algorithm == "ES256" else hashes.SHA384()
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


class Issuer:
    """`with Issuer() as issuer`: listens; `keys` is what it shows, `down` ends its answers. It may be stopped and started."""

    def __init__(self, tls=None):
        self.first = Key("rsa-1")
        self.keys, self.asked, self.status, self.tls = [self.first.jwk()], 0, 200, tls
        self.server, self.port = None, 0

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % ("https" if self.tls else "http", self.port)

    def claims(self, **more):
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "anna", "iat": now, "exp": now + 600, "groups": ["everybody", "fw-editors"]}
        claims.update(more)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key=None, algorithm="RS256", header=None, **claims):
        key = key or self.first
        head = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **(header or {})}
        signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(self.claims(**claims)).encode())
        return signed + "." + b64(key.sign(algorithm, signed.encode()))


class Controlplane(Server):
    """The process that ships, without a dataplane, with the issuer in its configuration."""

    def __init__(self, issuer, extra="", jwks=None, folder=None):
        self.own_dir, self.folder = False, tempfile.TemporaryDirectory(prefix="sluice-oidc-") if folder is None else None
        root = pathlib.Path(folder or self.folder.name)
        self.dir = root / "state"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (root / "controlplane.yaml").write_text(
            "listen: 127.0.0.1:%d\nstate_dir: %s\ntables_socket: %s/none.sock\nlast_good: \"\"\nflow_log: {path: \"\"}\nflow_records: {path: \"\"}\n"
            "oidc:\n  issuer: %s\n  audience: %s\n  jwks: %s\n%s  roles:\n    - {value: fw-viewers, roles: [viewer]}\n"
            "    - {value: fw-editors, roles: [editor]}\n    - {value: fw-audit, roles: [auditor]}\n"
            % (self.port, self.dir, root, issuer.url, AUDIENCE, jwks or issuer.url + "/keys", extra), encoding="ascii")
        self.log = open(root / "log", "w+b")  # noqa: SIM115
        self.process = subprocess.Popen([BINARY, "--config", str(root / "controlplane.yaml")], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(self.listens)
        self.token = (self.dir / "token").read_text(encoding="ascii").strip()
        self.tls = ssl.create_default_context(cafile=str(self.dir / "ca.pem"))

    def listens(self):
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return b"listening on" in self.said()
        return False

    def said(self):
        return pathlib.Path(self.log.name).read_bytes()

    def close(self):
        self.process.terminate()
        code = self.process.wait(HANG_LIMIT_S)
        said = self.said()
        self.log.close()
        if self.folder:
            self.folder.cleanup()
        assert code == 0, "the control plane ended with %s: %s" % (code, said)

    def ask(self, token, method="GET", target="/v1/status", **more):
        return self.request(method, target, token=token, **more)

    def code(self, token, **more):
        reply = self.ask(token, **more)
        return reply.status, reply.json().get("code") if reply.status >= 400 else None

    def issuer_status(self):
        return self.request("GET", "/v1/status").json()["issuer"]

    def metric(self, name):
        return int(re.search(r"^%s (\d+)$" % name, self.request("GET", "/metrics").body.decode(), re.M).group(1))

    def failures(self):
        """Requests turned away, by the reason that was answered."""
        text = self.request("GET", "/metrics").body.decode()
        counted = re.findall(r'^sluice_api_auth_failures_total{reason="([a-z-]+)"} (\d+)$', text, re.M)
        return collections.Counter({reason: int(count) for reason, count in counted})


class Good(unittest.TestCase):
    def test_each_algorithm_and_the_roles_of_the_claim(self):
        with Issuer() as issuer:
            elliptic = Key("ec-1", "ec")
            issuer.keys.append(elliptic.jwk())
            with Controlplane(issuer) as plane:
                for key, algorithm in ((None, "RS256"), (None, "PS256"), (elliptic, "ES256")):
                    self.assertEqual(plane.code(issuer.token(key, algorithm)), (200, None), algorithm)
                # An editor gets through to what only the missing dataplane stops; a viewer does not.
                self.assertNotIn(plane.code(issuer.token(), **PUT)[0], (401, 403))
                viewer = issuer.token(sub="bao", groups=["fw-viewers"])
                self.assertEqual(plane.code(viewer, **PUT), (403, "role-missing"))
                self.assertEqual(plane.code(viewer), (200, None))
                both = issuer.token(sub="chi", groups=["fw-viewers", "fw-audit"])

                def actors():
                    return {entry["actor"] for entry in plane.ask(both, target="/v1/audit?limit=50").json()["entries"]}

                # Who is refused is written down behind the answer.
                wait_until(lambda: {f"oidc:anna@{issuer.url}", f"oidc:bao@{issuer.url}"} <= actors())
                for nobody in (["everybody"], [], None, "fw-editors-not", {"fw-editors": True}):
                    self.assertEqual(plane.code(issuer.token(groups=nobody)), (403, "token-without-role"), nobody)
                self.assertEqual(plane.code(issuer.token(groups="openid fw-viewers")), (200, None), "words of a text")
                self.assertEqual(plane.code(issuer.token(aud=["other", AUDIENCE])), (200, None))
                self.assertEqual(plane.issuer_status()["keys"], 2)
                self.assertEqual(plane.request("GET", "/v1/status").status, 200, "tokens of our own go on")

    def test_a_claim_inside_another_and_keys_in_a_file(self):
        with Issuer() as issuer, tempfile.TemporaryDirectory() as folder:
            keys = pathlib.Path(folder, "keys.json")
            keys.write_text(json.dumps({"keys": issuer.keys}), encoding="ascii")
            with Controlplane(issuer, "  roles_claim: [realm_access, roles]\n", jwks=keys) as plane:
                self.assertEqual(plane.code(issuer.token(realm_access={"roles": ["fw-viewers"]})), (200, None))
                self.assertEqual(plane.code(issuer.token()), (403, "token-without-role"))
                self.assertEqual(issuer.asked, 0)


class Refused(unittest.TestCase):
    def test_P7_what_is_not_good_is_refused_counted_and_audited(self):
        with Issuer() as issuer:
            elliptic, small, large, theirs = Key("ec-1", "ec"), Key("small", bits=1024), Key("p384", "ec384"), Key("rsa-1")
            issuer.keys += [elliptic.jwk(), small.jwk(), large.jwk(), Key("enc").jwk(use="enc"), {"kty": "oct", "kid": "oct", "k": b64(b"s" * 32)}]
            now = int(time.time())
            good = issuer.token()
            head, payload, signature = good.split(".")

            def hs256(secret, kid="rsa-1"):
                signed = b64(json.dumps({"alg": "HS256", "kid": kid}).encode()) + "." + payload
                return signed + "." + b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())

            def unsigned(alg):
                return b64(json.dumps({"alg": alg, "kid": "rsa-1"}).encode()) + "." + payload + "."

            changed = b64(json.dumps(issuer.claims(sub="root")).encode())
            cases = {
                "none": (unsigned("none"), "token-algorithm-refused"), "None": (unsigned("NONE"), "token-algorithm-refused"),
                "the public key as a secret": (hs256(issuer.first.pem()), "token-algorithm-refused"),
                "a secret that the set shows": (hs256(b"s" * 32, "oct"), "token-algorithm-refused"),
                "RS512": (issuer.token(algorithm="RS512"), "token-algorithm-refused"),
                "ES384": (issuer.token(large, "ES384"), "token-algorithm-refused"),
                "a key of the other kind": (issuer.token(elliptic, "ES256", header={"kid": "rsa-1"}), "token-key-unknown"),
                "an algorithm of the other kind": (issuer.token(header={"kid": "ec-1"}), "token-key-unknown"),
                "a key that is too small": (issuer.token(small), "token-key-unknown"),
                "a key for something else": (issuer.token(header={"kid": "enc"}), "token-key-unknown"),
                "a key that is not there": (issuer.token(header={"kid": "rsa-9"}), "token-key-unknown"),
                "no key named: the only one of its kind is tried": (issuer.token(Key("rsa-2"), header={"kid": None}), "token-signature-wrong"),
                "another's key under this id": (issuer.token(theirs), "token-signature-wrong"),
                "a key in the token": (issuer.token(theirs, header={"jwk": theirs.jwk(), "jku": "http://127.0.0.1:1/"}), "token-signature-wrong"),
                "other claims": (".".join((head, changed, signature)), "token-signature-wrong"),
                "half a signature": (good[:-22], "token-signature-wrong"),
                "no signature": (head + "." + payload + ".", "token-signature-wrong"),
                "issuer": (issuer.token(iss="https://login.example"), "token-issuer-unknown"),
                "issuer with a slash": (issuer.token(iss=issuer.url + "/"), "token-issuer-unknown"),
                "no issuer": (issuer.token(iss=None), "token-issuer-unknown"),
                "audience": (issuer.token(aud="sluice2"), "token-audience-wrong"),
                "no audience": (issuer.token(aud=None), "token-audience-wrong"),
                "audiences": (issuer.token(aud=["a", ["sluice"]]), "token-audience-wrong"),
                "expired": (issuer.token(exp=now - 31), "token-expired"),
                "no end": (issuer.token(exp=None), "token-malformed"),
                "an end that is none": (issuer.token(exp="never"), "token-malformed"),
                "an end without end": (issuer.token(exp=1e300), "token-malformed"),
                "not before": (issuer.token(nbf=now + 300), "token-not-yet-valid"),
                "made tomorrow": (issuer.token(iat=now + 86400), "token-not-yet-valid"),
                "no subject": (issuer.token(sub=None), "token-malformed"),
                "a subject of two lines": (issuer.token(sub="a\nb"), "token-malformed"),
                "a subject that is long": (issuer.token(sub="a" * 256), "token-malformed"),
                "an extension": (issuer.token(header={"crit": ["b64"], "b64": False}), "token-malformed"),
                "no JSON": (b64(b'{"alg"') + "." + payload + "." + signature, "token-malformed"),
                "five parts": (good + ".a.b", "token-wrong"),
                "too long": (issuer.token(padding="x" * 8000), "token-wrong"),
                "garbage": ("eyJ!.eyJ.x", "token-wrong"),
            }
            with Controlplane(issuer) as plane:
                self.assertEqual(plane.code(good), (200, None))
                before = plane.failures()
                pace = threading.Event()
                for name, (token, code) in cases.items():
                    with self.subTest(case=name):
                        answer = plane.code(token, **PUT)
                        while answer[0] == 429:  # an address may be wrong once a second
                            pace.wait(0.5)
                            answer = plane.code(token, **PUT)
                        self.assertEqual(answer, (401, code))
                self.assertEqual(plane.failures() - before, collections.Counter(code for _, code in cases.values()))
                self.assertEqual(plane.code(good), (200, None), "who is known is let in")
                self.assertEqual(plane.request("GET", "/v1/policy").status, 404, "a refused request did something")
                # The door writes 20 entries a minute; one more counts the rest.
                wait_until(lambda: "token-signature-wrong: PUT /v1/policy" in self.access(plane))
                audit = self.access(plane)
                entries = plane.request("GET", "/v1/audit?limit=1000").body.decode()
                said = entries + plane.said().decode() + plane.request("GET", "/metrics").body.decode()
                for token, _ in cases.values():
                    for part in token.split("."):
                        if len(part) > 60:
                            self.assertNotIn(part[:60] if part not in (head, payload) else part, said)
                self.assertNotIn(signature, said)
                self.assertIn("token-algorithm-refused: PUT /v1/policy", audit)

    def access(self, plane):
        return plane.request("GET", "/v1/audit?action=access&limit=1000").body.decode()

    def test_the_clock_counts_with_every_request(self):
        with Issuer() as issuer, Controlplane(issuer, "  clock_skew_s: 0\n") as plane:
            token = issuer.token(exp=int(time.time()) + 5)
            self.assertEqual(plane.code(token), (200, None))
            wait_until(lambda: plane.code(token) == (401, "token-expired"))
        with Issuer() as issuer, Controlplane(issuer, "  clock_skew_s: 300\n") as plane:
            now = int(time.time())
            self.assertEqual(plane.code(issuer.token(exp=now - 200)), (200, None))
            self.assertEqual(plane.code(issuer.token(nbf=now + 200)), (200, None))
            self.assertEqual(plane.code(issuer.token(exp=now - 310)), (401, "token-expired"))


class Keys(unittest.TestCase):
    def test_a_new_key_is_fetched_and_a_withdrawn_one_ends(self):
        with Issuer() as issuer, Controlplane(issuer) as plane:
            old = issuer.token()
            self.assertEqual(plane.code(old), (200, None))
            asked = issuer.asked
            new = Key("rsa-2")
            issuer.keys = [new.jwk()]
            self.assertEqual(plane.code(issuer.token(new)), (200, None), "at once: the set is read for it")
            self.assertEqual(issuer.asked, asked + 1)
            self.assertEqual(plane.code(old), (401, "token-key-unknown"), "its key is withdrawn")
            for number in range(10):
                self.assertEqual(plane.code(issuer.token(header={"kid": "made-up-%d" % number})), (401, "token-key-unknown"))
            self.assertEqual(issuer.asked, asked + 1, "who makes up keys costs the issuer nothing")

    def test_an_issuer_that_is_down_cuts_nobody_whose_key_is_known(self):
        with Issuer() as issuer, Controlplane(issuer) as plane:
            token = issuer.token()
            self.assertEqual(plane.code(token), (200, None))
            issuer.stop()
            self.assertEqual(plane.code(issuer.token(header={"kid": "new"})), (401, "token-key-unknown"))
            wait_until(lambda: plane.issuer_status()["trouble"])
            status = plane.issuer_status()
            self.assertIn("cannot connect to 127.0.0.1", status["trouble"])
            self.assertEqual(status["keys"], 1)
            self.assertGreater(plane.metric("sluice_api_issuer_read_failures_total"), 0)
            self.assertEqual(plane.code(token), (200, None))
            self.assertEqual(plane.code(issuer.token(sub="new")), (200, None), "a token that is new here, of a known key")
            self.assertEqual(plane.said().count(b"cannot use the keys of"), 1)

    def test_without_an_issuer_from_the_start_only_its_tokens_are_refused(self):
        issuer = Issuer()
        with issuer:
            pass
        with Controlplane(issuer) as plane:
            self.assertEqual(plane.code(issuer.token()), (401, "issuer-keys-missing"))
            self.assertEqual(plane.request("GET", "/v1/status").status, 200)
            self.assertEqual(plane.issuer_status()["keys"], 0)
            self.assertIsNone(plane.issuer_status()["keys_read"])

    def test_an_issuer_that_never_answers_holds_up_no_other_token(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            issuer = Issuer()
            issuer.port = silent.getsockname()[1]
            with Controlplane(issuer) as plane:
                waiting = threading.Thread(target=plane.code, args=(issuer.token(),))
                waiting.start()
                start = time.monotonic()
                self.assertEqual(plane.request("GET", "/v1/status").status, 200)
                print("figure a token of our own beside an issuer that does not answer: %.0f ms" % ((time.monotonic() - start) * 1000), flush=True)
                self.assertTrue(waiting.is_alive(), "the token of the issuer was not waiting")
                waiting.join()

    def test_over_tls_only_a_server_that_its_authority_vouches_for(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, address in (("good", "IP:127.0.0.1"), ("other", "IP:127.0.0.9")):
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                                name + ".pem", "-days", "2", "-subj", "/CN=issuer", "-addext", "subjectAltName=" + address], cwd=folder, check=True, capture_output=True)
            for served, trusted, status in (("good", "good", 200), ("good", "other", 401), ("other", "other", 401), ("good", None, 401)):
                with self.subTest(served=served, trusted=trusted):
                    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    tls.load_cert_chain(os.path.join(folder, served + ".pem"), os.path.join(folder, served + ".key"))
                    extra = "  ca: %s/%s.pem\n" % (folder, trusted) if trusted else ""
                    with Issuer(tls) as issuer, Controlplane(issuer, extra) as plane:
                        self.assertEqual(plane.code(issuer.token())[0], status)

    def test_answers_that_are_no_keys(self):
        with Issuer() as issuer, Controlplane(issuer) as plane:
            self.assertEqual(plane.code(issuer.token()), (200, None))
            issuer.status = 500
            plane.code(issuer.token(header={"kid": "x"}))
            wait_until(lambda: "answers 500" in plane.issuer_status()["trouble"])
            self.assertEqual(plane.code(issuer.token()), (200, None), "the set before stays in force")


if __name__ == "__main__":
    unittest.main(verbosity=1)
