#!/usr/bin/python3
"""tools/dev/supervise: crash restarts with stored descriptors, watchdog, planned restarts. Real processes, no root."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SUPERVISE = os.path.join(HERE, "../../../../tools/dev/supervise")
HELPER = os.path.join(HERE, "helper_program.py")
DEADLINE_S = 20.0


def until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


class SuperviseTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.report = os.path.join(self.folder.name, "report")
        self.control = os.path.join(self.folder.name, "control")
        self.process = None

    def tearDown(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=DEADLINE_S)
            self.log.close()
        self.folder.cleanup()

    def run_supervise(self, mode, **spec):
        service = {
            "name": "helper",
            "argv": ["/usr/bin/python3", HELPER, self.report, mode],
            "notify": os.path.join(self.folder.name, "notify"),
            "takeover": True,
            **spec,
        }
        config = os.path.join(self.folder.name, "config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"control": self.control, "services": [service]}, file)
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        self.process = subprocess.Popen([SUPERVISE, "run", config], stdout=self.log)
        until(lambda: os.path.exists(self.control), "control socket")

    def ctl(self, *words):
        done = subprocess.run(
            [SUPERVISE, "ctl", "--control", self.control, *words], stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S
        )
        return done.returncode, done.stdout

    def status(self):
        return json.loads(self.ctl("status")[1])["services"][0]

    def ready(self, other_than=None):
        def look():
            state = self.status()
            return state if state["ready"] and state["pid"] != other_than else None

        return until(look, "a ready process")

    def lives(self):
        with open(self.report, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def log_text(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    HELD = {"state": "one", "m.7": "manifest", "s.00": "second"}

    def test_crash_gives_the_stored_descriptors_back(self):
        self.run_supervise("plain", watchdog_s=5.0)
        first = self.ready()
        self.assertEqual(first["status"], "as it should be")
        self.assertEqual(first["store"], ["state", "m.7", "s.00", "s.00"])
        self.assertEqual(self.lives()[0]["watchdog"], "5000000")
        os.kill(first["pid"], signal.SIGKILL)
        second = self.ready(other_than=first["pid"])
        self.assertEqual(second["restarts"], 1)
        self.assertEqual(self.lives()[1]["how"], "start")
        self.assertEqual(self.lives()[1]["held"], self.HELD)
        self.assertIn("died by SIGKILL", self.log_text())
        self.assertIn("helper       hello from the helper", self.log_text())

    def test_stopped_process_misses_its_watchdog(self):
        self.run_supervise("plain", watchdog_s=0.5)
        first = self.ready()
        os.kill(first["pid"], signal.SIGSTOP)
        self.ready(other_than=first["pid"])
        self.assertIn("missed its watchdog", self.log_text())
        self.assertEqual(self.lives()[1]["held"], self.HELD)

    def test_planned_restart_hands_over_after_standby(self):
        self.run_supervise("plain")
        first = self.ready()
        code, text = self.ctl("restart", "helper")
        self.assertEqual(code, 0, text)
        second = self.status()
        self.assertTrue(second["ready"])
        self.assertNotEqual(second["pid"], first["pid"])
        self.assertEqual(self.lives()[1], {**self.lives()[1], "how": "takeover", "held": self.HELD})
        # Order: the successor stood by, then the old one ended, then the successor was ready.
        log = self.log_text()
        self.assertLess(log.index("stands by"), log.index(f"pid {first['pid']} ended with code 0"))
        # And what it took over survives the successor's own crash.
        os.kill(second["pid"], signal.SIGKILL)
        self.ready(other_than=second["pid"])
        self.assertEqual(self.lives()[2]["held"], self.HELD)

    def test_hangup_is_a_planned_restart(self):
        self.run_supervise("plain")
        first = self.ready()
        self.process.send_signal(signal.SIGHUP)
        self.ready(other_than=first["pid"])
        self.assertEqual(self.lives()[1]["how"], "takeover")

    def test_successor_that_dies_leaves_the_old_one_alone(self):
        self.run_supervise("successor_dies")
        first = self.ready()
        code, text = self.ctl("restart", "helper")
        self.assertEqual(code, 1)
        self.assertIn("left alone", text)
        self.assertEqual(self.status()["pid"], first["pid"])

    def test_stop_forgets_the_store_and_start_is_cold(self):
        self.run_supervise("plain")
        self.ready()
        self.assertEqual(self.ctl("stop", "helper")[0], 0)
        until(lambda: self.status()["pid"] is None, "stopped")
        self.assertEqual(self.status()["store"], [])
        self.ctl("start", "helper")
        self.ready()
        self.assertEqual(self.lives()[1]["held"], {})

    def test_start_that_fails_again_and_again_is_slowed_down(self):
        self.run_supervise("dies_at_once")
        until(lambda: "next try in" in self.log_text(), "a pause")
        self.assertGreaterEqual(len(self.lives()), 4)

    def test_foreign_process_is_not_believed(self):
        self.run_supervise("plain")
        self.ready()
        sender = "import socket,sys; s=socket.socket(1,2); s.sendto(b'STATUS=forged', sys.argv[1])"
        subprocess.run(["/usr/bin/python3", "-c", sender, os.path.join(self.folder.name, "notify")], check=True)
        until(lambda: "foreign pid" in self.log_text(), "the refusal")
        self.assertEqual(self.status()["status"], "as it should be")

    @unittest.skipUnless(os.geteuid() == 0, "changing the user needs root")
    def test_other_user(self):
        os.chmod(self.folder.name, 0o777)
        # The interpreter reads the helper by path, so it is copied to where the other user can go.
        helper = os.path.join(self.folder.name, "helper.py")
        with open(HELPER, encoding="utf-8") as source, open(helper, "w", encoding="utf-8") as target:
            target.write(source.read())
        os.chmod(helper, 0o644)
        self.run_supervise("plain", uid=64110, gid=64110, argv=["/usr/bin/python3", helper, self.report, "plain"])
        self.ready()
        self.assertEqual(self.lives()[0]["uid"], 64110)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
