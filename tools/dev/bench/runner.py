"""Builds the bench program, gives it memory and priority, and reads its lines."""
import contextlib
import json
import lzma
import os
import subprocess
import sys
import tempfile

from lab import network
from lab.names import ROOT, Trouble

# Benches are built as a release: -O3 and without asserts, since a figure is about the code that would be shipped; in a
# folder of their own, since tests want the asserts.
BUILD = os.path.join(ROOT, "build-bench")
_MESON_OPTIONS = "--buildtype=release"
_PRIORITY = -15
_HUGE_PAGE_MIB = 2


def build(folder, *targets):
    """Prints nothing unless it fails."""
    environment = {**os.environ, "BUILD": folder, "MESON_OPTIONS": _MESON_OPTIONS}
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        print(f"build: {os.path.relpath(folder, ROOT)} is made; the first time takes minutes", file=sys.stderr)
    done = subprocess.run(
        [os.path.join(ROOT, "tools/dev/build"), *targets],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stdout.split("\n") if "error" in line or "FAILED" in line]
        raise Trouble(f"the build failed: {(lines or done.stdout.strip().split(chr(10)))[-1]}", "tools/dev/install; tools/dev/build")


def raise_priority():
    """`nice` alone does nothing where the kernel groups processes by session: the group's own weight is what counts.
    Called in the child, which has a session of its own."""
    with contextlib.suppress(OSError):
        with open("/proc/self/autogroup", "w", encoding="utf-8") as file:
            file.write(str(_PRIORITY))


def priority_possible():
    return _PRIORITY if os.geteuid() == 0 and os.path.exists("/proc/self/autogroup") else None


def memory_mib(bench, rules, flows):
    """What DPDK needs: buffers, and the peer's tables. rte_acl took up to 143 MiB at 10,000 rules and 793 at 100,000;
    rte_hash takes some 55 bytes a flow."""
    mib = 64
    if bench in ("patch", "plan"):
        return mib  # no packets, no peer
    if bench == "crafted-keys":
        return mib  # no packets, and our table is not of DPDK's memory
    if bench != "flow-index":
        mib += 64 if rules <= 2_000 else 512 if rules <= 20_000 else 2_048
    else:
        mib += flows * 64 // 2**20 + 16
    return mib


def reserve_huge_pages(mib):
    """Upwards only, and what was reserved stays. Without enough the program warns and goes without."""
    with contextlib.suppress(OSError):
        network.reserve_huge_pages((mib + _HUGE_PAGE_MIB - 1) // _HUGE_PAGE_MIB)


@contextlib.contextmanager
def plain_filters(path):
    """The path of a plain file, made from an .xz one if need be, and how many rules it has."""
    if not path.endswith(".xz"):
        with open(path, "rb") as file:
            yield path, sum(1 for line in file if line.strip())
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, os.path.basename(path)[: -len(".xz")])
        with lzma.open(path, "rb") as packed, open(plain, "wb") as file:
            content = packed.read()
            file.write(content)
        yield plain, sum(1 for line in content.split(b"\n") if line.strip())


def run(folder, bench, options, on_line):
    """Runs the program; each line of JSON goes to `on_line` as it comes. Returns its exit code."""
    program = os.path.join(folder, "tests/bench/sluice_bench")
    argv = [program, bench]
    for name, value in options.items():
        argv += [f"--{name}", str(value)]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=raise_priority
    )
    try:
        for line in process.stdout:
            # DPDK speaks on stdout too, for example when it finds no huge pages.
            if line.startswith("{"):
                on_line(json.loads(line))
            else:
                print(line, end="", file=sys.stderr)
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
