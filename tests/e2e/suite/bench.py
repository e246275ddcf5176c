"""What every end-to-end test holds in its hands: the running lab, its REST interface, traffic, the two processes."""
import collections
import json
import math
import os
import random
import signal
import subprocess
import sys
import time

from lab import daemons, demo, verdicts
from lab.api import Api
from lab.names import SHOP, binary
from lab.shell import in_ns, run, until

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(HERE, "../harness"))
from api_contract import check_contract, operation_of  # noqa: E402

_TRAFFIC = os.path.join(HERE, "traffic.py")

# Hang limits: ten times a goal. A test fails on these and judges no figure otherwise.
FORWARDING_AGAIN_S_MAX = 5.0
PLANNED_GAP_S_MAX = 2.0
API_BACK_S_MAX = 20.0
QUIET_S_MAX = 10.0  # a worker counts arrivals and ends of a burst within microseconds


Answer = collections.namedtuple("Answer", "status headers body")


class ContractApi(Api):
    """Keeps answers, to be held against openapi.yaml when the test is over: figures are not to have that in them."""

    ALIKE_MAX = 50  # of an operation and a status
    BYTES_MAX = 1 << 18

    def __init__(self, lab):
        super().__init__(lab)
        self._kept = collections.defaultdict(list)

    def request(self, method, path, *arguments, **more):
        status, headers, text = super().request(method, path, *arguments, **more)
        alike = self._kept[((operation_of(method, path) or {}).get("operationId"), status)]
        if len(alike) < self.ALIKE_MAX and len(text) <= self.BYTES_MAX:
            alike.append((method, path, Answer(status, headers, text.encode())))
        return status, headers, text

    def breach(self):
        """The first answer that is not what openapi.yaml promises: a complaint, or None."""
        kept, self._kept = self._kept, collections.defaultdict(list)
        for method, path, answer in (each for alike in kept.values() for each in alike):
            try:
                check_contract(method, path, answer)
            except Exception as problem:  # noqa: BLE001  of several kinds, all to be told
                return f"{method} {path} {answer.status} is not as openapi.yaml says: {str(problem)[:400]}"
        return None


class Skipped(Exception):
    """This machine can't show it; tests/skips names who may say so."""


class Traffic:
    """A stream of numbered UDP packets that the inside host answers."""

    def __init__(self, bench, port=7000, rate=1000, address=SHOP[0]):
        self.report = f"{bench.lab.run_dir}/traffic-{port}.json"
        self.process = subprocess.Popen(
            in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", _TRAFFIC, "send", address, str(port), str(rate), self.report),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        with open(self.report, encoding="utf-8") as file:
            found = json.load(file)
        self.sent = found["sent"]
        self.answered = dict(found["answered"])
        self.process.stdout.close()
        return self

    def lost(self):
        return len(self.sent) - len(self.answered)

    def silence_after(self, moment):
        """Seconds from `moment` until an answer came to a packet that was sent after it."""
        back = [when for number, when in self.answered.items() if self.sent[number] > moment]
        return min(back) - moment if back else float("inf")

    def longest_silence(self):
        times = sorted(self.answered.values())
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))


class Bench:
    def __init__(self, lab, long):
        self.lab = lab
        self.long = long
        self.api = ContractApi(lab)
        with open(os.path.join(HERE, "policy.yaml"), encoding="utf-8") as file:
            self.policy = file.read()
        self.echo = None

    # ------------------------------------------------------------------------------------------------------- the lab
    def start_echo(self):
        """Ports 7000 (allowed) and 7001 (denied), so that silence there is the firewall's doing."""
        self.echo = subprocess.Popen(
            in_ns(self.lab.ns_inside, "/usr/bin/python3", "-I", _TRAFFIC, "echo", SHOP[0], "7000", "7001"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.echo.stdout.readline() == "ready\n"

    def ctl(self, *arguments, **more):
        return run(binary("sluicectl"), *demo.sluicectl_flags(self.lab), *arguments, **more)

    def inspect(self, *arguments):
        return json.loads(run(binary("sluice-inspect"), "--socket", self.lab.tables_socket, *arguments).stdout)

    def counters(self):
        """Exit code 1 says that it caught a moment of imbalance: it is judged when the test is over (`imbalance`)."""
        argv = (binary("sluice-inspect"), "--socket", self.lab.tables_socket, "--json", "counters")
        return json.loads(run(*argv, check=False).stdout)["counters"]

    def imbalance(self):
        """The conservation law once it is quiet: a complaint, or None; None too where no dataplane is meant to run."""
        if not demo.whole(self.lab, demo.read_record(self.lab)) or not daemons.services(self.lab)["dataplane"]["pid"]:
            return None
        daemons.wait_ready(self.lab, "dataplane")
        end = time.monotonic() + QUIET_S_MAX
        while True:
            done = run(binary("sluice-inspect"), "--socket", self.lab.tables_socket, "counters", check=False)
            if done.returncode == 0:
                return None
            if time.monotonic() > end:
                wrong = [line for line in done.stdout.splitlines() if "NOT BALANCED" in line] or [done.stderr.strip()]
                return f"packets are not accounted for {QUIET_S_MAX:.0f} s after the test: {' | '.join(wrong)}"
            time.sleep(0.05)

    # ------------------------------------------------------------------------------------------------------ processes
    def pid(self, name):
        return daemons.services(self.lab)[name]["pid"]

    def kill(self, name, number=signal.SIGKILL):
        """Returns (pid, moment)."""
        pid = self.pid(name)
        moment = time.monotonic()
        os.kill(pid, number)
        return pid, moment

    def stop_service(self, name):
        daemons.ctl(self.lab, "stop", name)
        until(lambda: daemons.services(self.lab)[name]["pid"] is None, f"{name} stopped")

    def start_service(self, name, wait=True):
        daemons.ctl(self.lab, "start", name)
        if wait:
            daemons.wait_ready(self.lab, name)

    def reconfigure(self, name="dataplane", /, **changes):
        """Keys of the next process's configuration, None takes one out; returns what stood there before. The running
        one goes on."""
        path = f"{self.lab.run_dir}/{name}.yaml"
        with open(path, encoding="utf-8") as file:
            head, _, body = file.read().partition("\n")
        config = json.loads(body)
        before = {key: config.get(key) for key in changes}
        config = {key: value for key, value in {**config, **changes}.items() if value is not None}
        with open(path, "w", encoding="utf-8") as file:
            file.write(head + "\n" + json.dumps(config, indent=2) + "\n")
        return before

    def wait_api(self, deadline_s=API_BACK_S_MAX):
        until(self.api.alive, "REST answers", deadline_s, step_s=0.01)

    def wait_in_sync(self, deadline_s=15.0):
        def look():
            if not self.api.alive():
                return None
            status = self.api.status()
            return status if status["dataplane"]["connected"] and status["dataplane"]["in_sync"] else None

        return until(look, "the dataplane runs what is stored", deadline_s, step_s=0.02)

    # -------------------------------------------------------------------------------------------------------- policies
    def put(self, text, expect=200, **more):
        status, answer = self.api.put_policy(text, **more)
        assert status == expect, f"PUT answered {status}, expected {expect}: {json.dumps(answer)[:600]}"
        return answer

    def with_rule(self, line, base=None):
        """The policy with one more rule in front."""
        return (base or self.policy).replace("rules:\n", f"rules:\n  - {line}\n", 1)

    def etag(self):
        return self.api.request("GET", "/v1/policy")[1]["ETag"]

    # ----------------------------------------------------------------------------------------------------------- looks
    def tcp(self, port, address=SHOP[0], timeout_s=1.0):
        """allow, reject or deny."""
        return verdicts.tcp(self.lab.ns_outside, address, port, timeout_s)[0]

    def udp_passes(self, port=7000, within_s=0.5):
        """Does one packet come back?"""
        code = (
            "import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[3]));"
            "s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b'x'); s.recv(10)"
        )
        argv = in_ns(self.lab.ns_outside, "/usr/bin/python3", "-I", "-c", code, SHOP[0], str(port), str(within_s))
        return run(*argv, check=False).returncode == 0

    def wait_forwarding(self, deadline_s=10.0):
        until(self.udp_passes, "a packet through the firewall", deadline_s)


_fresh_seed = random.SystemRandom().randrange(1 << 32)


def seed_of_this_run():
    """The environment's SEED, else one for this run; printed, for a failure is replayed by it."""
    seed = int(os.environ.get("SEED") or _fresh_seed)
    print(f"SEED={seed}", flush=True)
    return seed


def percentile(values, share):
    """The nearest rank: so many of the values are not above it."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def figures(what, seconds):
    """Printed, never judged."""
    print(
        f"figure {what}: n={len(seconds)} p50={percentile(seconds, 0.5) * 1000:.1f} ms "
        f"p99={percentile(seconds, 0.99) * 1000:.1f} ms max={max(seconds) * 1000:.1f} ms",
        flush=True,
    )
