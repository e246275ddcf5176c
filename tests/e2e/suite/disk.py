"""A6: the control plane's disk is full."""
import os
import shutil

from lab import daemons
from lab.names import CONTROL_UID
from lab.shell import run


def disk_full_is_507_and_changes_nothing(bench):
    """A6: 507, the old policy intact on disk and in force; with space again, all is well."""
    bench.put(bench.policy)
    bench.stop_service("controlplane")
    state = bench.lab.state_dir
    kept = state + ".kept"
    shutil.copytree(state, kept)
    for folder, _, names in os.walk(kept):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            os.chown(path, CONTROL_UID, CONTROL_UID)
    room_kib = used_kib(kept) + 1024  # what earlier tests left in history and audit, and the write-ahead log beside it
    run("mount", "-t", "tmpfs", "-o", f"size={room_kib}k,mode=0700,uid={CONTROL_UID},gid={CONTROL_UID}", "tmpfs", state)
    try:
        run("cp", "-a", f"{kept}/.", state)
        bench.start_service("controlplane")
        bench.wait_in_sync()
        etag = bench.etag()
        fill(os.path.join(state, "filler"))
        big = bench.policy + "".join(f"# {'x' * 100} {number}\n" for number in range(200))
        big = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}", big)
        bench.put(big, expect=507)
        assert bench.etag() == etag
        assert bench.udp_passes() and not bench.udp_passes(7001)
        pid, _ = bench.kill("controlplane")
        daemons.wait_ready(bench.lab, "controlplane", other_than=pid)
        bench.wait_in_sync()
        assert bench.etag() == etag, "a restart on a full disk finds the old policy"
        os.unlink(os.path.join(state, "filler"))
        bench.put(big)
        assert bench.udp_passes(7001)
        assert bench.ctl("audit", "verify").returncode == 0, "nothing of the chain is lost"
        bench.put(bench.policy)
        bench.stop_service("controlplane")
        shutil.rmtree(kept)
        run("cp", "-a", f"{state}/.", kept)
    finally:
        bench.stop_service("controlplane")
        run("umount", state)
        run("cp", "-a", f"{kept}/.", state)
        shutil.rmtree(kept)
        bench.start_service("controlplane")
    bench.wait_in_sync()


def used_kib(folder):
    """Whole pages, as a tmpfs counts."""
    sizes = [os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names]
    return sum((size + 4095) // 4096 * 4 for size in sizes)


def fill(path):
    """To the last byte."""
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


TESTS = [disk_full_is_507_and_changes_nothing]
