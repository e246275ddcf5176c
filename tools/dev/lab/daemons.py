"""The two processes of the product under tools/dev/supervise: configurations, start, stop."""
import json
import os
import sys

from .names import CONTROL_UID, ROOT, Trouble, binary
from .shell import alive, in_ns, spawn, until

sys.path.insert(0, os.path.join(ROOT, "tools/dev"))
from supervisor.main import ask  # noqa: E402

_SUPERVISE = os.path.join(ROOT, "tools/dev/supervise")
_EAL_MB = 256
# EAL memory, and as much again for flow memory and sealed sections.
HUGE_PAGES_NEEDED = 2 * _EAL_MB // 2


def worker_cpu():
    """The last CPU that we may use; the control plane and the hosts' servers mostly run on the others."""
    return max(os.sched_getaffinity(0))


def dataplane_config(lab, huge=True, **changes):
    """As YAML text; JSON is YAML, and the standard library has only the former. `changes` replace whole keys."""
    memory = ["--in-memory"] if huge else ["--no-huge"]
    config = {
        "eal": ["--no-pci", "--no-telemetry", *memory, "-m", str(_EAL_MB), f"--file-prefix={lab.prefix}"],
        "ports": [
            {"name": "outside", "device": "net_af_xdp0,iface=c1"},
            {"name": "inside", "device": "net_af_xdp1,iface=s1"},
        ],
        "wires": [["outside", "inside"]],
        "workers": [worker_cpu()],
        "tables_socket": lab.tables_socket,
        "tables_socket_group": CONTROL_UID,
        "publisher_uids": [CONTROL_UID],
        "flow_table": {"entries_max": 262144},
        "idle": {"sleep_us": 20, "sleep_us_max": 320},
        "fail_mode": "closed",
        "last_good": lab.last_good,
        "last_good_uid": CONTROL_UID,
    }
    config.update(changes)
    return "# written by tools/demo\n" + json.dumps(config, indent=2) + "\n"


def control_config(lab):
    config = {
        "listen": f"127.0.0.1:{lab.port}",
        "state_dir": lab.state_dir,
        "tables_socket": lab.tables_socket,
        "last_good": lab.last_good,
        "flow_log": {"path": f"{lab.log_dir}/flows.jsonl", "rotate_bytes": "64MiB", "keep": 8},
        "flow_records": {"path": f"{lab.log_dir}/records", "bytes_max": "256MiB", "age_max": "1d"},
    }
    return "# written by tools/demo\n" + json.dumps(config, indent=2) + "\n"


def make_directories(lab):
    """Each process can write its own places and no others. Returns those that were made now."""
    made = []
    for path, owner, mode in (
        (lab.run_dir, 0, 0o755),
        (lab.lib_dir, 0, 0o755),
        (lab.state_dir, CONTROL_UID, 0o700),
        (lab.last_good, CONTROL_UID, 0o755),
        (lab.log_dir, CONTROL_UID, 0o755),
    ):
        if not os.path.isdir(path):
            os.makedirs(path, mode)
            made.append(path)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
    return made


def write_configs(lab, huge, **dataplane_changes):
    services = [
        {
            "name": "dataplane",
            "argv": list(in_ns(lab.ns_fw, binary("sluice-dataplane"), "--config", f"{lab.run_dir}/dataplane.yaml")),
            "notify": f"{lab.run_dir}/notify.dataplane",
            "takeover": True,
            # Longer than any pause that two busy CPUs give a healthy process.
            "watchdog_s": 2.0,
        },
        {
            "name": "controlplane",
            "argv": [binary("sluice-controlplane"), "--config", f"{lab.run_dir}/controlplane.yaml"],
            "notify": f"{lab.run_dir}/notify.controlplane",
            "uid": CONTROL_UID,
            "gid": CONTROL_UID,
        },
    ]
    services[0]["argv"][0] = "/usr/sbin/ip" if os.path.exists("/usr/sbin/ip") else "/sbin/ip"
    files = {
        "dataplane.yaml": dataplane_config(lab, huge, **dataplane_changes),
        "controlplane.yaml": control_config(lab),
        "supervise.json": json.dumps({"control": lab.control, "services": services}, indent=2),
    }
    for name, text in files.items():
        with open(f"{lab.run_dir}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{lab.run_dir}/{name}", 0o644)


def start(lab):
    """Returns supervise's pid. Both processes are starting when this returns."""
    pid = spawn(["/usr/bin/python3", "-I", _SUPERVISE, "run", f"{lab.run_dir}/supervise.json"], lab.lab_log, lab.name)
    until(lambda: os.path.exists(lab.control) or not alive(pid), "tools/dev/supervise", cure=f"read {lab.lab_log}")
    return pid


def stop(lab, pid):
    if alive(pid):
        os.kill(pid, 15)
        until(lambda: not alive(pid), "the end of both processes", 15.0, cure=f"kill -9 {pid}, then tools/demo down")


def ctl(lab, *words, timeout_s=60.0):
    """Asks supervise. Raises if it says no."""
    try:
        answer = ask(lab.control, list(words), timeout_s)
    except OSError as problem:
        raise Trouble(f"tools/dev/supervise does not answer: {problem}", lab.demo_command.format(" up")) from problem
    if not answer["ok"]:
        raise Trouble(f"supervise: {answer['text']}", f"read {lab.lab_log}")
    return answer


def services(lab):
    return {service["name"]: service for service in ctl(lab, "status")["services"]}


def wait_ready(lab, name, other_than=None, deadline_s=30.0):
    """Waits until the service says READY=1 (with another pid than `other_than`); returns its status."""

    def look():
        service = services(lab)[name]
        return service if service["ready"] and service["pid"] != other_than else None

    return until(look, f"{name} ready", deadline_s, cure=f"read {lab.lab_log}")


def log_tail(lab, lines=15):
    try:
        with open(lab.lab_log, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()[-lines:]
    except OSError:
        return []


def stale_binaries(lab):
    """Names of services whose program was built anew since they started."""
    stale = []
    for name, service in services(lab).items():
        try:
            if os.readlink(f"/proc/{service['pid']}/exe").endswith(" (deleted)"):
                stale.append(name)
        except OSError:
            pass
    return stale


