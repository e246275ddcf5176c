"""tools/demo: builds the lab, applies the example policy, shows real traffic meeting it, and takes all of it away again."""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

from . import daemons, doctor, hosts, network, verdicts
from .api import Api
from .names import DB, OUTSIDE, ROOT, SHOP, Lab, Trouble, binary, build_dir
from .shell import alive, command_of, run, until

POLICY = os.path.join(ROOT, "policies/examples/demo-edge/policy.yaml")


# DPDK and libxdp make these at start and leave them.
_RUN_TIME_FOLDERS = ("/run/dpdk", "/run/xdp")


# ------------------------------------------------------------------------------------------------------------ the record
def read_record(lab):
    try:
        with open(lab.record, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write_record(lab, record):
    with open(lab.record + ".tmp", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(lab.record + ".tmp", lab.record)


def whole(lab, record):
    """Is the lab that the record tells of still standing?"""
    return bool(
        record
        and record.get("complete")
        and alive(record["supervise"])
        and all(alive(pid) for pid in record["hosts"])
        and len(network.namespaces_present(lab)) == len(lab.namespaces)
    )


def mounts_under(folder):
    """A test of a full disk mounts one, and may have been killed before it could take it away."""
    with open("/proc/mounts", encoding="utf-8") as file:
        places = [line.split()[1] for line in file]
    return [place for place in reversed(places) if place.startswith(folder + "/")]


def own_processes(lab):
    """Pids of what this lab started, wherever it runs: by namespace, and by the mark in their environment."""
    found = set()
    for namespace in network.namespaces_present(lab):
        found.update(network.pids_in(namespace))
    mark = f"SLUICE_LAB={lab.name or 'default'}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                # A lab in a chroot or container has another root: same mark, not ours.
                if not os.path.samestat(os.stat(f"/proc/{entry}/root"), os.stat("/")):
                    continue
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.add(int(entry))
            except OSError:
                pass
    return sorted(pid for pid in found if alive(pid))


# ------------------------------------------------------------------------------------------------------------------- up
def require_free_port(lab):
    """Named at once: the control plane would start, fail and start again until somebody reads its log."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", lab.port))
            return
        except OSError:
            pass
    told = run("ss", "-Hltnp", f"sport = :{lab.port}", check=False).stdout
    holders = [f"{name} (process {pid})" for name, pid in re.findall(r'"([^"]+)",pid=(\d+)', told)]
    raise Trouble(
        f"port {lab.port} is taken by {', '.join(holders) or 'somebody'}", "end that, or use another lab: --lab NAME"
    )


def build_up(lab, huge=True, with_hosts=True, **dataplane_changes):
    """Makes the lab; the processes run, no policy is applied. The caller reports trouble."""
    for path in (lab.run_dir, lab.lib_dir, lab.log_dir):
        if os.path.isdir(path) and os.listdir(path) and not os.path.exists(f"{path}/.lab"):
            raise Trouble(f"{path} exists and is not the lab's", "use another lab: tools/demo --lab NAME")
    require_free_port(lab)
    huge_before = None
    if huge:
        huge, huge_before = network.reserve_huge_pages(daemons.HUGE_PAGES_NEEDED)
        if not huge:
            print("warning: too few huge pages and the kernel gives no more; going without (slower)", file=sys.stderr)
    daemons.make_directories(lab)
    for path in (lab.run_dir, lab.lib_dir, lab.log_dir):
        with open(f"{path}/.lab", "w", encoding="utf-8"):
            pass
    made = [path for path in _RUN_TIME_FOLDERS if not os.path.isdir(path)]
    record = {"complete": False, "huge_before": huge_before, "supervise": -1, "hosts": [], "made": made}
    write_record(lab, record)
    network.create(lab) if with_hosts else network.create_quiet(lab)
    daemons.write_configs(lab, huge, **dataplane_changes)
    record["supervise"] = daemons.start(lab)
    write_record(lab, record)
    record["hosts"] = hosts.start(lab) if with_hosts else []
    record["complete"] = True
    write_record(lab, record)
    return record


def wait_connected(lab, api, deadline_s=30.0):
    """Until both processes are up and know each other."""

    def look():
        record = read_record(lab)
        if not alive(record["supervise"]):
            raise Trouble("tools/dev/supervise ended", f"read {lab.lab_log}")
        return api.alive() and api.status()["dataplane"]["connected"]

    until(look, "control plane and dataplane connected", deadline_s, cure=f"read {lab.lab_log}", step_s=0.05)


def sluicectl_flags(lab):
    if not lab.name:
        return []
    return ["--url", lab.url, "--ca", f"{lab.state_dir}/ca.pem", "--token-file", f"{lab.state_dir}/token"]


def apply_policy(lab, path=POLICY):
    done = run(binary("sluicectl"), *sluicectl_flags(lab), "apply", "-f", path, check=False, timeout_s=60)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().split("\n")[0]
        raise Trouble(f"sluicectl apply: {said}", f"build/sluicectl plan -f {os.path.relpath(path, ROOT)}")


def dry_run(api, path=POLICY):
    with open(path, encoding="utf-8") as file:
        return api.put_policy(file.read(), query="?dry_run=true")[1]


def tests_line(api):
    tests = dry_run(api).get("tests", [])
    return f"{sum(1 for test in tests if test.get('passed'))}/{len(tests)} tests"


def up(lab):
    if os.geteuid() != 0:
        raise Trouble("the lab needs root (namespaces, AF_XDP)", "sudo tools/demo")
    record = read_record(lab)
    if not whole(lab, record):
        old_log = read_bytes(lab.lab_log)
        leftovers = take_down(lab)
        build_up(lab)
        if leftovers:
            with open(f"{lab.lab_log}.old", "wb") as file:
                file.write(old_log)
            print("found and removed what an earlier lab left: " + ", ".join(leftovers))
            print(f"its log is kept: {lab.lab_log}.old")
    else:
        for name in daemons.stale_binaries(lab):
            print(f"{name} was built anew: restarted")
            pid = daemons.services(lab)[name]["pid"]
            daemons.ctl(lab, "restart", name)
            daemons.wait_ready(lab, name, other_than=pid)
    api = Api(lab)
    wait_connected(lab, api)
    in_force = api.status()["policy"]
    if in_force["hash"] and in_force["hash"] != dry_run(api)["hash"]:
        again = " ".join(["build/sluicectl", *sluicectl_flags(lab), "apply -f", os.path.relpath(POLICY, ROOT)])
        print(f"the lab is up and runs a policy of yours, {in_force['version']}: it stays. The demo's again: {again}")
        return 0
    apply_policy(lab)
    return show(lab, api)


def show(lab, api):
    status = api.status()
    print(
        f"lab     outside {OUTSIDE[0]} | sluice | shop {SHOP[0]}, db {DB[0]}    "
        f"policy {status['policy']['version']}  generation {status['dataplane']['generation']}  {tests_line(api)}"
    )
    complaints = verdicts.show(api, verdicts.checks(lab))
    if complaints:
        raise Trouble("; ".join(complaints), "build/sluicectl status; build/sluicectl get rules")
    flags = " ".join(sluicectl_flags(lab))
    ctl = f"{os.path.relpath(build_dir(), ROOT)}/sluicectl{' ' + flags if flags else ''}"
    print(
        f"next    {ctl} get rules | {ctl} flows -f | {lab.url} (token: {lab.state_dir}/token)    "
        f"undo: {lab.demo_command.format(' down')}"
    )
    return 0


# ----------------------------------------------------------------------------------------------------------------- down
def take_down(lab):
    """Removes what `up` made, or what is left of it. Returns names of what was there; nothing else is touched."""
    removed = []
    record = read_record(lab)
    if record:
        daemons.stop(lab, record.get("supervise", -1))
    for number in (signal.SIGTERM, signal.SIGKILL):
        pids = own_processes(lab)
        for pid in pids:
            if number == signal.SIGTERM:
                removed.append(f"process {pid} ({os.path.basename(command_of(pid).split(' ')[0])})")
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        try:
            until(lambda: not own_processes(lab), "the end of the lab's processes", 5.0)
            break
        except Trouble:
            continue
    removed += [f"namespace {name}" for name in network.namespaces_present(lab)]
    network.remove(lab)
    if record and record.get("huge_before") is not None:
        network.set_huge_pages(record["huge_before"])
    for path in (lab.run_dir, lab.lib_dir, lab.log_dir):
        if os.path.exists(f"{path}/.lab"):
            for place in mounts_under(path):
                run("umount", place)
            shutil.rmtree(path)
            removed.append(path)
    shutil.rmtree(f"/run/dpdk/{lab.prefix}", ignore_errors=True)
    for path in (record or {}).get("made", []):
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)
    return removed


def down(lab):
    removed = take_down(lab)
    print("removed " + ", ".join(removed) if removed else "nothing to remove")
    return 0


def status(lab):
    record = read_record(lab)
    if not whole(lab, record):
        left = network.namespaces_present(lab)
        print("not up" + (f"; left over: {', '.join(left)}" if left else ""))
        return 1
    return subprocess.call([binary("sluicectl"), *sluicectl_flags(lab), "status"])


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/demo", description="a real firewall between two real hosts, here")
    parser.add_argument("command", nargs="?", default="up", choices=["up", "down", "status", "doctor"])
    parser.add_argument("--lab", default="", metavar="NAME", help="another lab beside the default one")
    options = parser.parse_args(arguments)
    suffix = f" --lab {options.lab}" if options.lab else ""
    try:
        lab = Lab(options.lab)
        if options.command == "up":
            return up(lab)
        if options.command == "down":
            return down(lab)
        if options.command == "status":
            return status(lab)
        return doctor.show(lab, read_record(lab))
    except Trouble as trouble:
        print(f"cause: {trouble.cause}\ncure:  {trouble.cure}\nthen:  tools/demo doctor{suffix}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped halfway; tools/demo down{suffix} removes what is there", file=sys.stderr)
        return 130
