"""Either process dies, hangs or is replaced while traffic runs."""
import os
import random
import signal
import sqlite3
import threading
import time

from lab import daemons
from lab.shell import until

from .bench import (
    API_BACK_S_MAX,
    FORWARDING_AGAIN_S_MAX,
    PLANNED_GAP_S_MAX,
    Traffic,
    figures,
    percentile,
    seed_of_this_run,
)


def control_plane_killed_loses_no_packet(bench):
    """A1, Q14: kill -9 at random moments, half of them in the middle of a publish. 0 packets lost, counters go on, the API is
    back, and what is stored is what runs."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    dice = random.Random(seed_of_this_run())
    other = bench.with_rule("{id: more, from: internet, to: shop, service: tcp/9999, action: deny}")
    known = {bench.policy, other}
    traffic = Traffic(bench)
    back, packets = [], 0
    try:
        for turn in range(1000 if bench.long else 50):
            if turn % 2:
                publisher = threading.Thread(target=_put_and_ignore, args=(bench, other if turn % 4 == 1 else bench.policy))
                publisher.start()
                time.sleep(dice.uniform(0, 0.03))
            pid, moment = bench.kill("controlplane")
            daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
            bench.wait_api()
            back.append(time.monotonic() - moment)
            if turn % 2:
                publisher.join()
            bench.wait_in_sync()
            assert bench.api.request("GET", "/v1/policy")[2] in known, "a policy that nobody wrote"
            hits = bench.api.rules()["echo-in"]["packets"]
            assert hits >= packets, f"counters went back: {packets} -> {hits}"
            packets = hits
    finally:
        traffic.stop()
    figures("kill -9 of the control plane to REST answers", back)
    print(f"figure packets during {len(back)} kills: {len(traffic.sent)} sent, {traffic.lost()} lost", flush=True)
    assert traffic.lost() == 0
    assert max(back) < API_BACK_S_MAX
    bench.put(bench.policy)


def _put_and_ignore(bench, text):
    """The answer is lost with the process that should have given it."""
    try:
        bench.api.put_policy(text)
    except Exception:  # noqa: BLE001  whatever a dying server does to its client
        pass


def dataplane_killed_forwards_again(bench):
    """A2: kill -9; forwarding again with the policy that it ran, without asking anybody; nothing denied gets through."""
    bench.put(bench.policy)
    running = bench.wait_in_sync()["dataplane"]
    denied = Traffic(bench, port=7001, rate=200)
    allowed = Traffic(bench)
    moments = []
    try:
        for _ in range(200 if bench.long else 20):
            until(lambda: daemons.services(bench.lab)["dataplane"]["ready"], "the dataplane", 20.0)
            pid, moment = bench.kill("dataplane")
            moments.append(moment)
            daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
            # The next kill must find traffic flowing, or this one could not be measured.
            time.sleep(0.1)
            bench.wait_forwarding()
    finally:
        allowed.stop()
        denied.stop()
    silences = [allowed.silence_after(moment) for moment in moments]
    figures("kill -9 of the dataplane to forwarding", silences)
    assert percentile(silences, 0.99) < FORWARDING_AGAIN_S_MAX, silences
    assert len(denied.sent) > 100 and not denied.answered, "denied packets got through"
    after = bench.wait_in_sync()["dataplane"]
    assert (after["hash"], after["generation"]) == (running["hash"], running["generation"])


def dataplane_that_hangs_is_replaced(bench):
    """A2: SIGSTOP; the watchdog ends it and the successor forwards."""
    bench.put(bench.policy)
    traffic = Traffic(bench)
    try:
        pid, moment = bench.kill("dataplane", signal.SIGSTOP)
        daemons.wait_ready(bench.lab, "dataplane", other_than=pid)
        bench.wait_forwarding()
    finally:
        traffic.stop()
    silence = traffic.silence_after(moment)
    print(f"figure SIGSTOP of the dataplane to forwarding: {silence:.2f} s, watchdog of 2 s included", flush=True)
    assert silence < 2.0 + FORWARDING_AGAIN_S_MAX


def planned_restart_is_short(bench):
    """The successor is ready before the old process goes."""
    bench.put(bench.policy)
    running = bench.wait_in_sync()["dataplane"]
    traffic = Traffic(bench)
    gaps = []
    try:
        for _ in range(5):
            pid = bench.pid("dataplane")
            moment = time.monotonic()
            daemons.ctl(bench.lab, "restart", "dataplane")
            assert bench.pid("dataplane") != pid
            bench.wait_forwarding()
            gaps.append((moment, time.monotonic()))
    finally:
        traffic.stop()
    answers = sorted(traffic.answered.values())
    silences = []
    for start, end in gaps:
        inside = [when for when in answers if start - 0.05 <= when <= end + 0.05]
        silences.append(max((b - a for a, b in zip(inside, inside[1:])), default=float("inf")))
    figures("planned restart of the dataplane, silence on the wire", silences)
    assert max(silences) < PLANNED_GAP_S_MAX, silences
    after = bench.wait_in_sync()["dataplane"]
    assert after["hash"] == running["hash"]


def control_plane_restart_keeps_the_policy(bench):
    """Nothing is published again when what runs is what is stored."""
    bench.put(bench.policy)
    before = bench.wait_in_sync()
    pid = bench.pid("controlplane")
    daemons.ctl(bench.lab, "restart", "controlplane")
    daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
    bench.wait_api()
    after = bench.wait_in_sync()
    assert after["policy"] == before["policy"] and after["dataplane"]["generation"] == before["dataplane"]["generation"]


def nothing_passes_before_the_first_policy(bench):
    """A3: both processes up, no policy anywhere: closed, and counted as `no_policy`."""
    _forget_everything(bench)
    bench.start_service("dataplane")
    assert not bench.udp_passes() and bench.tcp(443, timeout_s=0.3) == "deny"
    bench.start_service("controlplane")
    bench.wait_api()
    status, _, text = bench.api.request("GET", "/readyz")
    assert status == 503 and text, (status, text)
    assert not bench.udp_passes()
    assert bench.api.request("GET", "/v1/policy")[0] == 404
    status, answer = bench.api.put_policy(bench.policy)
    assert status == 200, (status, answer)
    assert bench.udp_passes() and not bench.udp_passes(7001)
    assert bench.api.request("GET", "/readyz")[0] == 200


def last_good_serves_without_control_plane(bench):
    """A3: both restarted cold, the control plane missing: the last good generation is in force."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    bench.stop_service("controlplane")
    bench.stop_service("dataplane")
    bench.start_service("dataplane")
    bench.wait_forwarding()
    assert not bench.udp_passes(7001)
    bench.start_service("controlplane")
    status = bench.wait_in_sync()
    assert status["policy"]["hash"] == status["dataplane"]["hash"]


def corrupt_last_good_is_not_used(bench):
    """A3: one byte wrong: closed until the control plane publishes."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    bench.stop_service("controlplane")
    bench.stop_service("dataplane")
    path = os.path.join(bench.lab.last_good, "generation.slu")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    bench.start_service("dataplane")
    assert not bench.udp_passes()
    bench.start_service("controlplane")
    bench.wait_in_sync()
    bench.wait_forwarding()


def _forget_everything(bench):
    """No policy is stored anywhere; the numbers of generations, the slots and the audit go on."""
    bench.stop_service("controlplane")
    bench.stop_service("dataplane")
    with sqlite3.connect(f"{bench.lab.state_dir}/state.db") as database:
        name = "history_is_not_deleted"
        (trigger,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        for statement in (f"DROP TRIGGER {name}", "DELETE FROM history", "DELETE FROM pending", trigger):
            database.execute(statement)
    database.close()
    if os.path.isdir(bench.lab.last_good):
        for name in os.listdir(bench.lab.last_good):
            os.unlink(os.path.join(bench.lab.last_good, name))


TESTS = [
    nothing_passes_before_the_first_policy,
    last_good_serves_without_control_plane,
    corrupt_last_good_is_not_used,
    control_plane_restart_keeps_the_policy,
    control_plane_killed_loses_no_packet,
    dataplane_killed_forwards_again,
    dataplane_that_hangs_is_replaced,
    planned_restart_is_short,
]
