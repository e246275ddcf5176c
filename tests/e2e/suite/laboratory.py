"""The lab itself: what a crash of it leaves is found and named, `down` removes what `up` made and nothing else."""
import os
import signal
import socket

from lab import demo, network
from lab.names import ROOT
from lab.shell import alive, run, until


def _demo(bench, *words):
    return run(os.path.join(ROOT, "tools/demo"), *words, "--lab", bench.lab.name, check=False, timeout_s=300)


def up_leaves_a_policy_of_the_user_in_force(bench):
    """`up` twice is harmless, also to who has applied something else in between."""
    bench.put(bench.policy)
    etag = bench.etag()
    done = _demo(bench, "up")
    assert done.returncode == 0 and "it stays" in done.stdout, done.stdout + done.stderr
    assert bench.etag() == etag


def leftovers_of_a_crash_are_named(bench):
    """supervise killed: the processes go with it, the rest is found by the next `up`."""
    record = demo.read_record(bench.lab)
    pids = [bench.pid("dataplane"), bench.pid("controlplane")]
    os.kill(record["supervise"], signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), "the end of both processes", 10.0)
    done = _demo(bench, "doctor")
    assert done.returncode == 1 and "supervise" in done.stdout, done.stdout
    done = _demo(bench, "up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "found and removed" in done.stdout and f"namespace {bench.lab.ns_fw}" in done.stdout, done.stdout
    assert os.path.getsize(f"{bench.lab.lab_log}.old") > 0, "the crashed lab's log is kept"


def down_removes_what_up_made(bench):
    """Namespaces, processes, folders and huge pages; a neighbour's namespace and files stay."""
    stranger = f"{bench.lab.prefix}-stranger"
    run("ip", "netns", "add", stranger)
    folder = f"/run/sluice-{bench.lab.name}-stranger"
    os.makedirs(folder, exist_ok=True)
    try:
        done = _demo(bench, "down")
        assert done.returncode == 0, done.stderr
        assert not network.namespaces_present(bench.lab)
        assert not demo.own_processes(bench.lab)
        for path in (bench.lab.run_dir, bench.lab.lib_dir, bench.lab.log_dir):
            assert not os.path.exists(path), path
        assert stranger in run("ip", "netns", "list").stdout and os.path.isdir(folder)
        assert "nothing to remove" in _demo(bench, "down").stdout
    finally:
        run("ip", "netns", "del", stranger)
        os.rmdir(folder)


def a_taken_port_is_named(bench):
    """Behind `down`: the lab's port is held by a stranger, here by this very test."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", bench.lab.port))
        holder.listen()
        done = _demo(bench, "up")
        assert done.returncode == 1, done.stdout
        assert f"port {bench.lab.port} is taken by" in done.stderr and f"process {os.getpid()}" in done.stderr, done.stderr
        assert not network.namespaces_present(bench.lab), "nothing is begun that can't be finished"


TESTS = [up_leaves_a_policy_of_the_user_in_force, leftovers_of_a_crash_are_named, down_removes_what_up_made, a_taken_port_is_named]
