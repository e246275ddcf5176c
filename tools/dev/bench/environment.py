"""Where a figure was taken: without this line a result means nothing to anybody else."""
import json
import os
import platform
import subprocess
import time

from lab.names import ROOT

_FLAGS = ("sse4_2", "aes", "avx2", "bmi2", "gfni", "vaes", "avx512f", "avx512bw", "avx512vl", "avx512vbmi", "hypervisor")


def _output(*argv):
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _cpu():
    fields = dict(
        [part.strip() for part in line.split(":", 1)] for line in _read("/proc/cpuinfo").split("\n\n")[0].split("\n") if ":" in line
    )
    present = fields.get("flags", "").split()
    return fields.get("model name", platform.machine()), [flag for flag in _FLAGS if flag in present]


def _meminfo(what):
    for line in _read("/proc/meminfo").split("\n"):
        if line.startswith(what + ":"):
            return int(line.split()[1])
    return 0


def _build(build):
    """Compiler and options as the build folder has them."""
    try:
        with open(os.path.join(build, "meson-info/intro-buildoptions.json"), encoding="utf-8") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
    except (OSError, ValueError):
        return {}
    compiler = (_output(os.environ.get("CXX", "c++"), "--version") or "").split("\n")[0]
    return {"compiler": compiler, "build_type": options.get("buildtype"), "sanitize": options.get("b_sanitize")}


def transparent_huge_pages():
    text = _read("/sys/kernel/mm/transparent_hugepage/enabled")
    return text.split("[")[1].split("]")[0] if "[" in text else None


def describe(build, process, priority):
    """`process` is what the bench program said of itself; it may be empty."""
    model, flags = _cpu()
    return {
        "commit": _output("git", "rev-parse", "--short=12", "HEAD"),
        "dirty": bool(_output("git", "status", "--porcelain", "--untracked-files=no")),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu_model": model,
        "cpu_flags": flags,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": list(os.getloadavg()),
        "autogroup_nice": priority,
        "kernel": platform.release(),
        "huge_pages": {"free": _meminfo("HugePages_Free"), "total": _meminfo("HugePages_Total")},
        "transparent_huge_pages": transparent_huge_pages(),
        **_build(build),
        **process,
    }
