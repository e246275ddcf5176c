"""`tools/demo doctor`: looks at everything that the lab needs, one line each, and says what helps."""
import os
import shutil

from . import daemons, network
from .api import Api
from .names import Trouble, build_dir
from .shell import alive, in_ns, run


def examine(lab, record):
    """Yields (what, complaint or None, detail or cure)."""
    yield "root", None if os.geteuid() == 0 else "not root", "namespaces and AF_XDP need it: sudo tools/demo"
    missing = [name for name in ("ip", "ethtool", "nginx", "curl", "ping", "openssl", "ss") if not _which(name)]
    yield "commands", f"missing: {', '.join(missing)}" if missing else None, "tools/dev/install"
    absent = [
        name
        for name in ("sluice-dataplane", "sluice-controlplane", "sluicectl", "sluice-inspect")
        if not os.access(f"{build_dir()}/{name}", os.X_OK)
    ]
    yield "build", f"missing in {build_dir()}: {', '.join(absent)}" if absent else None, "tools/dev/build"
    free = network.huge_pages_free()
    short = free < daemons.HUGE_PAGES_NEEDED and not record
    yield (
        "huge pages",
        f"{free} of 2 MiB free, {daemons.HUGE_PAGES_NEEDED} wanted" if short else None,
        "up reserves them itself, or goes without (slower)" if short else f"{free} free",
    )
    present = network.namespaces_present(lab)
    if not record and not present:
        yield "lab", "not up", lab.demo_command.format("")
        return
    gone = sorted(set(lab.namespaces) - set(present))
    yield "namespaces", f"missing: {', '.join(gone)}" if gone else None, lab.demo_command.format(" up makes them anew")
    yield from _links(lab, present)
    yield from _processes(lab, record)
    yield from _answers(lab)


def _which(name):
    return shutil.which(name) or any(os.access(f"{path}/{name}", os.X_OK) for path in ("/usr/sbin", "/sbin"))


def _links(lab, present):
    for namespace, interface in ((lab.ns_outside, "c0"), (lab.ns_fw, "c1"), (lab.ns_fw, "s1"), (lab.ns_inside, "s0")):
        if namespace not in present:
            continue
        shown = run("ip", "-n", namespace, "-o", "link", "show", interface, check=False).stdout
        down = "LOWER_UP" not in shown
        yield f"link {interface}", "has no carrier" if down else None, lab.demo_command.format(" down; then up")
        features = run(*in_ns(namespace, "ethtool", "-k", interface), check=False).stdout
        if "tx-checksumming: on" in features and interface.endswith("0"):
            yield f"link {interface}", "transmit checksums are left to a device", f"ethtool -K {interface} tx off"


def _processes(lab, record):
    if not record or not alive(record.get("supervise", -1)):
        yield "supervise", "is not running", lab.demo_command.format(" down; then up")
        return
    yield "supervise", None, f"pid {record['supervise']}"
    try:
        found = daemons.services(lab)
    except Trouble as trouble:
        yield "supervise", trouble.cause, trouble.cure
        return
    for name, service in found.items():
        complaint = None if service["ready"] else "is not ready"
        detail = f"pid {service['pid']}, {service['restarts']} restarts" if service["ready"] else f"read {lab.lab_log}"
        yield name, complaint, detail


def _answers(lab):
    api = Api(lab)
    try:
        if not api.alive():
            yield "REST", f"{lab.url}/livez does not answer", f"read {lab.lab_log}"
            return
        status, _, text = api.request("GET", "/readyz")
        yield "REST", None if status == 200 else f"not ready: {text.strip()[:200]}", lab.url
    except (OSError, Trouble) as problem:
        yield "REST", str(problem), f"read {lab.lab_log}"


def show(lab, record):
    sick = False
    for what, complaint, detail in examine(lab, record):
        sick = sick or complaint is not None
        print(f"{'BAD' if complaint else 'ok ':<4} {what:<14} {complaint + '; ' if complaint else ''}{detail if complaint or detail[:1].isdigit() or 'pid' in detail or 'http' in detail else ''}")
    if sick and (tail := daemons.log_tail(lab)):
        print(f"--- end of {lab.lab_log}")
        print("\n".join(tail))
    return 1 if sick else 0
