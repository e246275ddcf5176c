"""Client certificates at the real REST server (P7): good ones, none, an expired one, another CA's, a revoked one, one without a
role, one with the wrong role, a token beside them, and TLS 1.1. Certificates are made by openssl."""
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import HANG_LIMIT_S, Server, binary_from, read_to_end, wait_until  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")
CA_CONFIG = """[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
countryName = optional
organizationName = optional
commonName = supplied
"""


class Authority:
    """A CA in a folder: makes certificates, revokes them, writes its list of revoked ones."""

    def __init__(self, folder, name):
        self.dir = pathlib.Path(folder) / name
        self.dir.mkdir()
        (self.dir / "ca.conf").write_text(CA_CONFIG, encoding="ascii")
        (self.dir / "index.txt").write_text("", encoding="ascii")
        (self.dir / "serial").write_text("1000\n", encoding="ascii")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                 "-days", "30", "-subj", "/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.write_list()

    def run(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.dir, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def write_list(self, *words):
        """Put in place whole, as whoever hands them out should."""
        self.run("ca", "-config", "ca.conf", "-gencrl", "-out", "new.pem", *words)
        os.replace(self.dir / "new.pem", self.dir / "crl.pem")

    def make(self, name, *dates, subject="/O=Example/CN=%s", extra=()):
        extensions = [word for one in extra for word in ("-addext", one)]
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
                 "-subj", subject % name if "%" in subject else subject, *extensions)
        # Without -preserveDN (`preserve` in the file does not do) the parts of the name stand as in [any], whatever was asked for.
        self.run("ca", "-config", "ca.conf", "-batch", "-notext", "-preserveDN", "-in", name + ".csr", "-out", name + ".pem", *dates)
        return self.dir / (name + ".pem"), self.dir / (name + ".key")

    def revoke(self, name):
        self.run("ca", "-config", "ca.conf", "-revoke", name + ".pem")
        self.write_list()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-mtls-")
        self.addCleanup(self.folder.cleanup)
        self.ours = Authority(self.folder.name, "ours")

    def server(self, **more):
        return Server(BINARY, client_ca=self.ours.dir / "ca.pem", crl=self.ours.dir / "crl.pem",
                      more=["subject=CN=deploy,O=Example|editor", "san=dns:scraper.example|viewer", "subject=CN=boss,O=Example|auditor admin"],
                      **more)

    def tls(self, server, pair):
        context = ssl.create_default_context(cafile=str(server.dir / "ca.pem"))
        if pair:
            context.load_cert_chain(*map(str, pair))
        return context

    def ask(self, server, pair, method="GET", target="/v1/status", token=False, **more):
        return server.request(method, target, tls=self.tls(server, pair), token=token, **more)

    def read_until(self, connection, text):
        data = b""
        while text not in data:
            piece = connection.recv(65536)
            self.assertTrue(piece, "the connection ended before %r: %r" % (text, data[-200:]))
            data += piece

    def code_of(self, reply):
        return reply.status, reply.json().get("code")


class Identity(Case):
    def test_P7_roles_come_from_the_name(self):
        with self.server() as server:
            deploy, boss = self.ours.make("deploy"), self.ours.make("boss")
            scraper = self.ours.make("scraper", extra=("subjectAltName=DNS:other.example,DNS:Scraper.Example",))
            self.assertEqual(self.ask(server, scraper).status, 200)
            self.assertEqual(self.code_of(self.ask(server, scraper, "GET", "/v1/audit")), (403, "role-missing"))
            put = {"body": b"a", "headers": {"Content-Type": "application/yaml", "If-None-Match": "*"}}
            self.assertEqual(self.code_of(self.ask(server, scraper, "PUT", "/v1/policy", **put)), (403, "role-missing"))
            self.assertEqual(self.ask(server, None, "GET", "/v1/policy", token=True).status, 404, "a refused request did something")
            self.assertEqual(self.ask(server, deploy, "PUT", "/v1/policy", **put).status, 200)
            server.tell("maintain")
            entries = self.ask(server, boss, "GET", "/v1/audit").json()["entries"]
            written = next(entry for entry in entries if entry["action"] == "policy.put")
            self.assertRegex(written["actor"], r"^certificate:CN=deploy,O=Example/1000$")
            refused = [entry for entry in entries if entry["action"] == "access"]
            self.assertEqual({entry["actor"] for entry in refused}, {"certificate:CN=scraper,O=Example/1002"})
            self.assertIn("role-missing: PUT /v1/policy needs editor", [entry["detail"] for entry in refused])
            by_name = self.ask(server, boss, "GET", "/v1/audit?actor=certificate:CN=deploy,O=Example").json()["entries"]
            self.assertEqual({entry["action"] for entry in by_name}, {"policy.put"})

    def test_P7_what_is_not_good_is_let_in_by_no_token(self):
        theirs = Authority(self.folder.name, "theirs")
        cases = {"certificate-expired": self.ours.make("deploy", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"),
                 "certificate-wrong": theirs.make("deploy"),
                 "certificate-revoked": self.ours.make("boss"),
                 "certificate-unknown": self.ours.make("nobody")}
        self.ours.revoke("boss")
        with self.server() as server:
            for code, pair in cases.items():
                with self.subTest(code=code):
                    status = 403 if code == "certificate-unknown" else 401
                    for token in (False, True):
                        self.assertEqual(self.code_of(self.ask(server, pair, token=token)), (status, code))
                        put = {"body": b"a", "headers": {"Content-Type": "application/yaml", "If-None-Match": "*"}}
                        self.assertEqual(self.code_of(self.ask(server, pair, "PUT", "/v1/policy", token=token, **put)), (status, code))
                    self.assertEqual(self.ask(server, pair, target="/livez").status, 200, "an open route is open")
            self.assertEqual(server.request("GET", "/v1/policy").status, 404, "a refused request did something")
            server.tell("maintain")
            audit = server.request("GET", "/v1/audit?action=access").body.decode()
            for code in cases:
                self.assertIn(code + ": PUT /v1/policy", audit)
            self.assertIn("certificate:CN=nobody,O=Example/", audit)
            self.assertNotIn(server.token, audit)

    def test_P7_a_name_that_only_looks_alike_has_no_role(self):
        with self.server() as server:
            for number, subject in enumerate(("/CN=deploy", "/O=Example/CN=Deploy", "/O=Example/CN=deploy,O=Example", "/O=Example2/CN=deploy",
                                              "/C=NO/O=Example/CN=deploy", "/CN=deploy/O=Example")):
                with self.subTest(subject=subject):
                    pair = self.ours.make("alike%d" % number, subject=subject)
                    self.assertEqual(self.code_of(self.ask(server, pair)), (403, "certificate-unknown"))
            pair = self.ours.make("email", extra=("subjectAltName=email:scraper.example,URI:dns:scraper.example,DNS:x.scraper.example",))
            self.assertEqual(self.code_of(self.ask(server, pair)), (403, "certificate-unknown"))
            pair = self.ours.make("web", subject="/O=Example/CN=deploy", extra=("extendedKeyUsage=serverAuth",))
            self.assertEqual(self.code_of(self.ask(server, pair)), (401, "certificate-wrong"), "a server's certificate is no client's")

    def test_P7_none_and_required(self):
        deploy = self.ours.make("deploy")
        with self.server() as server:
            self.assertEqual(self.code_of(self.ask(server, None)), (401, "token-missing"))
            self.assertEqual(self.ask(server, None, token=True).status, 200)
        with self.server(required=1) as server:
            self.assertEqual(self.code_of(self.ask(server, None)), (401, "certificate-missing"))
            self.assertEqual(self.code_of(self.ask(server, None, token=True)), (401, "certificate-missing"))
            self.assertEqual(self.ask(server, None, target="/livez").status, 200)
            self.assertEqual(self.ask(server, deploy).status, 200)

    def test_P7_a_token_beside_a_good_one_says_who_asks(self):
        deploy = self.ours.make("deploy")
        with self.server() as server:
            self.assertEqual(self.code_of(self.ask(server, deploy, target="/v1/audit")), (403, "role-missing"))
            self.assertEqual(self.ask(server, deploy, target="/v1/audit", token=True).status, 200)
            self.assertEqual(self.code_of(self.ask(server, deploy, token="wrong")), (401, "token-wrong"))
            self.assertEqual(self.code_of(self.ask(server, deploy, target="/v1/status?access_token=" + server.token)),
                             (400, "unknown-query-parameter"))


class Revoking(Case):
    def test_P7_on_an_open_connection_and_in_a_stream(self):
        deploy = self.ours.make("deploy")
        with self.server(event_keepalive_ms=50) as server:
            connection = server.connect(self.tls(server, deploy))
            one = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
            connection.sendall(one)
            self.read_until(connection, b'"api"')
            stream = server.connect(self.tls(server, deploy))
            stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", stream.recv(4096))
            self.ours.revoke("deploy")
            time.sleep(1.2)  # the list is looked at once a second
            stream.settimeout(HANG_LIMIT_S)
            read_to_end(stream)  # hangs if the stream goes on
            wait_until(lambda: server.request("GET", "/v1/status").json()["api"]["event_streams"] == 0)
            connection.sendall(one)
            self.read_until(connection, b"certificate-revoked")
            connection.close()
            stream.close()

    def test_a_list_that_is_gone_or_damaged_leaves_the_last_one_in_force(self):
        boss, deploy = self.ours.make("boss"), self.ours.make("deploy")
        self.ours.revoke("boss")
        with self.server() as server:
            for content in (b"no list", None):
                path = self.ours.dir / "crl.pem"
                path.unlink()
                if content:
                    path.write_bytes(content)
                time.sleep(1.2)
                self.assertEqual(self.code_of(self.ask(server, boss)), (401, "certificate-revoked"))
                self.assertEqual(self.ask(server, deploy).status, 200)

    def test_a_list_that_has_run_out_lets_nobody_in(self):
        deploy = self.ours.make("deploy")
        self.ours.write_list("-crlsec", "1")
        with self.server() as server:
            wait_until(lambda: self.code_of(self.ask(server, deploy)) == (401, "certificate-unchecked"))
            self.ours.write_list()
            wait_until(lambda: self.ask(server, deploy).status == 200)


class Transport(Case):
    def test_P7_old_tls_is_refused(self):
        deploy = self.ours.make("deploy")
        with self.server() as server:
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                context = self.tls(server, deploy)
                context.set_ciphers("ALL:@SECLEVEL=0")  # else our own side would refuse
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    context.minimum_version = context.maximum_version = version
                with self.assertRaisesRegex(ssl.SSLError, "(?i)protocol.version|unsupported"):
                    server.connect(context)
            context = self.tls(server, deploy)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.assertEqual(server.request("GET", "/v1/status", tls=context, token=False).status, 200)

    def test_sessions_are_not_resumed(self):
        deploy = self.ours.make("deploy")
        with self.server() as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.tls(server, deploy)
                context.maximum_version = version
                with server.connect(context) as first:
                    first.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                    first.recv(4096)
                    session = first.session
                self.assertTrue(session is None or not session.has_ticket)

    def test_the_metric_says_when_the_servers_own_ends(self):
        with self.server() as server:
            scrape = server.request("GET", "/metrics").body.decode()
            ends = int(re.search(r"\nsluice_api_certificate_expires_timestamp_seconds (\d+)\n", scrape).group(1))
            with server.connect() as connection:
                self.assertEqual(ends, ssl.cert_time_to_seconds(connection.getpeercert()["notAfter"]))

    def test_a_start_without_its_files_is_refused_with_their_names(self):
        for more, words in (({"client_ca": "/nope"}, "cannot use /nope as an authority of clients"),
                            ({"client_ca": self.ours.dir / "ca.pem", "crl": self.ours.dir / "ca.pem"}, "as a list of revoked certificates")):
            with self.assertRaisesRegex(RuntimeError, words):
                Server(BINARY, **more)


if __name__ == "__main__":
    unittest.main(verbosity=1)
