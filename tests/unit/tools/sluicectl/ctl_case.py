"""A test of the sluicectl binary that has a server of its own."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "controlplane/api"))
from api_harness import HANG_LIMIT_S, Server, binary_from, wait_until  # noqa: E402, F401

SERVER, SLUICECTL = binary_from("API_TEST_SERVER"), binary_from("SLUICECTL")


class Case(unittest.TestCase):
    def setUp(self):
        self.server = Server(SERVER)
        self.addCleanup(lambda: self.server.close())
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = {"PATH": os.environ["PATH"], "SLUICE_URL": "https://127.0.0.1:%d" % self.server.port,
                            "SLUICE_CA": str(self.server.dir / "ca.pem"), "SLUICE_TOKEN_FILE": str(self.server.dir / "token")}
        for name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def file(self, text, name="policy.yaml"):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run_ctl(self, *arguments, code=0, stdin="", environment=None):
        run = subprocess.run([SLUICECTL, *arguments], input=stdin, capture_output=True, text=True, timeout=HANG_LIMIT_S,
                             env=dict(self.environment, **(environment or {})), check=False)
        if code is not None:
            self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.assertNotIn("\x1b", run.stdout)  # no colours when piped
        return run
