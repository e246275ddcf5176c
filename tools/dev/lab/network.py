"""Namespaces and cables:   [outside: c0] ---- [c1 | fw | s1] ---- [s0: inside]

Each setting below avoids a trap of links of this kind; it says which.
"""
import os

from .names import DB, OUTSIDE, SHOP
from .shell import in_ns, run


def namespaces_present(lab):
    listed = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.strip()}
    return [name for name in lab.namespaces if name in listed]


def sysctl(namespace, **values):
    assignments = [f"net.ipv6.conf.{key.replace('__', '.')}={value}" for key, value in values.items()]
    run(*in_ns(namespace, "sysctl", "-qw", *assignments))


def cable(host_ns, host_if, fw_ns, fw_if):
    """A veth pair whose firewall end is bare: no addresses, no ARP, nothing of the kernel's own on the wire."""
    run("ip", "-n", host_ns, "link", "add", host_if, "type", "veth", "peer", "name", fw_if, "netns", fw_ns)
    sysctl(fw_ns, **{f"{fw_if}__disable_ipv6": 1})
    run("ip", "-n", fw_ns, "link", "set", fw_if, "arp", "off", "multicast", "off", "up")
    # Without this the frame holds only a pseudo-header sum (CHECKSUM_PARTIAL), which no virtual device carries on, and
    # 64 KB super-frames that fit no buffer.
    for namespace, interface in ((host_ns, host_if), (fw_ns, fw_if)):
        run(*in_ns(namespace, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"), check=False)


def host(namespace, interface, addresses):
    """Addresses are usable at once: duplicate address detection would cost a second at every start."""
    sysctl(namespace, **{f"{interface}__accept_dad": 0, f"{interface}__accept_ra": 0})
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "link", "set", interface, "up")
    for v4, v6 in addresses:
        run("ip", "-n", namespace, "addr", "add", f"{v4}/24", "dev", interface)
        run("ip", "-n", namespace, "addr", "add", f"{v6}/64", "dev", interface, "nodad")


def create(lab):
    for namespace in lab.namespaces:
        run("ip", "netns", "add", namespace)
    cable(lab.ns_outside, "c0", lab.ns_fw, "c1")
    cable(lab.ns_inside, "s0", lab.ns_fw, "s1")
    host(lab.ns_outside, "c0", [OUTSIDE])
    host(lab.ns_inside, "s0", [SHOP, DB])


def create_quiet(lab):
    """The same cables between hosts that never say anything by themselves: for frames made by hand."""
    for namespace in lab.namespaces:
        run("ip", "netns", "add", namespace)
    for namespace, interface, firewall_end in ((lab.ns_outside, "c0", "c1"), (lab.ns_inside, "s0", "s1")):
        cable(namespace, interface, lab.ns_fw, firewall_end)
        sysctl(namespace, **{f"{interface}__disable_ipv6": 1})
        run("ip", "-n", namespace, "link", "set", interface, "arp", "off", "multicast", "off", "up")


def pids_in(namespace):
    return [int(word) for word in run("ip", "netns", "pids", namespace, check=False).stdout.split()]


def remove(lab):
    for namespace in namespaces_present(lab):
        run("ip", "netns", "del", namespace)


def huge_pages_free():
    return _huge_pages("free_hugepages")


def _huge_pages(what):
    try:
        with open(f"/sys/kernel/mm/hugepages/hugepages-2048kB/{what}", encoding="utf-8") as file:
            return int(file.read())
    except OSError:
        return 0


def reserve_huge_pages(needed):
    """Returns (enough, number before or None if unchanged)."""
    missing = needed - huge_pages_free()
    if missing <= 0:
        return True, None
    before = _huge_pages("nr_hugepages")
    set_huge_pages(before + missing)
    return huge_pages_free() >= needed, before


def set_huge_pages(count):
    path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    if os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(count))
