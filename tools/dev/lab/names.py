"""Where everything of one lab lives. The unnamed lab has the product's default paths, so that sluicectl needs no flags."""
import os
import re
import zlib
from dataclasses import dataclass

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))

# The control plane's user in the lab: a number, no account. High enough to belong to nobody (Debian policy 9.2.2).
CONTROL_UID = 64110

# Addresses of the lab (documentation ranges, RFC 5737 and RFC 3849); no namespace has a default route.
OUTSIDE = ("198.51.100.7", "2001:db8:51::7")
SHOP = ("198.51.100.80", "2001:db8:51::80")
DB = ("198.51.100.90", "2001:db8:51::90")


class Trouble(Exception):
    """What went wrong and what helps, each one line for people."""

    def __init__(self, cause, cure):
        super().__init__(cause)
        self.cause = cause
        self.cure = cure


@dataclass(frozen=True)
class Lab:
    name: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9]{0,8}", self.name):
            raise Trouble(f"lab name {self.name!r} is not allowed", "use up to 8 of a-z and 0-9")

    @property
    def prefix(self):
        return f"sl{self.name}"

    @property
    def ns_outside(self):
        return f"{self.prefix}-outside"

    @property
    def ns_fw(self):
        return f"{self.prefix}-fw"

    @property
    def ns_inside(self):
        return f"{self.prefix}-inside"

    @property
    def namespaces(self):
        return (self.ns_outside, self.ns_fw, self.ns_inside)

    def _dir(self, parent):
        return f"{parent}/sluice-{self.name}" if self.name else f"{parent}/sluice"

    @property
    def run_dir(self):
        return self._dir("/run")

    @property
    def lib_dir(self):
        return self._dir("/var/lib")

    @property
    def log_dir(self):
        return self._dir("/var/log")

    @property
    def state_dir(self):
        return f"{self.lib_dir}/control"

    @property
    def last_good(self):
        return f"{self.lib_dir}/last-good"

    @property
    def tables_socket(self):
        return f"{self.run_dir}/tables.sock"

    @property
    def control(self):
        return f"{self.run_dir}/supervise.sock"

    @property
    def lab_log(self):
        return f"{self.log_dir}/lab.log"

    @property
    def record(self):
        """What `up` made, for `down`."""
        return f"{self.run_dir}/lab.json"

    @property
    def port(self):
        # Named labs: any port will do as long as it is always the same one.
        return 8443 if not self.name else 18443 + zlib.crc32(self.name.encode()) % 2000

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    @property
    def demo_command(self):
        return f"tools/demo{{}} --lab {self.name}" if self.name else "tools/demo{}"


def build_dir():
    build = os.environ.get("BUILD", "build")
    return build if os.path.isabs(build) else os.path.join(ROOT, build)


def binary(name):
    path = os.path.join(build_dir(), name)
    if not os.access(path, os.X_OK):
        raise Trouble(f"{path} is missing", "tools/dev/build")
    return path
