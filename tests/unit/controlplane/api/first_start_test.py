"""What the server makes at its first start, what it refuses to start with, and where it may listen."""
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import Server, binary_from  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")


class FirstStart(unittest.TestCase):
    def start(self, directory):
        return subprocess.run([BINARY, str(directory)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)

    def test_files_their_modes_and_never_twice(self):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            self.assertEqual(self.start(directory).returncode, 0)
            content = {path.name: path.read_bytes() for path in directory.iterdir()}
            self.assertEqual(sorted(content), ["ca.pem", "server.key", "server.pem", "token"])
            for secret in ("server.key", "token"):
                self.assertEqual(stat.S_IMODE((directory / secret).stat().st_mode), 0o600)
            self.assertEqual(len(content["token"].strip()), 43)
            self.assertEqual(self.start(directory).returncode, 0)
            self.assertEqual(content, {path.name: path.read_bytes() for path in directory.iterdir()})

    def test_refuses_half_a_set_open_secrets_and_links(self):
        for damage, words in ((lambda d: (d / "server.key").unlink(), "only some of"),
                              (lambda d: (d / "server.pem").unlink(), "only some of"),
                              (lambda d: (d / "token").chmod(0o644), "by others"),
                              (lambda d: (d / "server.key").chmod(0o604), "by others"),
                              (lambda d: (d / "token").write_text("short"), "holds no token"),
                              (lambda d: (d / "server.key").write_text("x"), "cannot use"),
                              (lambda d: ((d / "token").rename(d / "t2"), (d / "token").symlink_to(d / "t2")), "no regular file")):
            with tempfile.TemporaryDirectory() as name:
                directory = pathlib.Path(name)
                self.start(directory)
                damage(directory)
                run = self.start(directory)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(words, run.stderr)
                self.assertEqual(run.stderr.count("\n"), 1)

    def test_an_interrupted_first_start_is_finished(self):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            self.start(directory)
            content = {path.name: path.read_bytes() for path in directory.iterdir()}
            (directory / "server.key").rename(directory / "server.key.new")
            (directory / "server.pem").rename(directory / "server.pem.new")
            self.assertEqual(self.start(directory).returncode, 0)
            self.assertEqual(content, {path.name: path.read_bytes() for path in directory.iterdir()})
            for path in directory.iterdir():  # nothing but leftovers: made anew
                path.rename(str(path) + ".new")
            self.assertEqual(self.start(directory).returncode, 0)
            self.assertFalse([path for path in directory.iterdir() if path.suffix == ".new"])

    def test_a_foreign_certificate_is_not_trusted_and_listen_is_checked(self):
        with Server(BINARY) as one, Server(BINARY) as other:
            other.tls = one.tls
            with self.assertRaises(OSError):
                other.request("GET", "/livez")
            for listen in ("8443", "localhost:1", "127.0.0.1:65536", "::1:1", "[127.0.0.1]:1", "127.0.0.1:%d" % one.port):
                with tempfile.TemporaryDirectory() as name:
                    run = subprocess.run([BINARY, name, "listen=" + listen], stdin=subprocess.DEVNULL, capture_output=True,
                                         text=True, timeout=30, check=False)
                    self.assertNotEqual(run.returncode, 0, listen)
                    self.assertIn("listen", run.stderr)

    def test_ipv6(self):
        with tempfile.TemporaryDirectory() as name:
            run = subprocess.run([BINARY, name, "listen=[::1]:0"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=30, check=False)
            self.assertEqual((run.returncode, run.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=1)
