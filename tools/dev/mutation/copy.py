"""A private copy of the tree, with a build folder of its own; it is kept between runs, so that a run starts fast."""
import fcntl
import itertools
import os
import shutil
import subprocess

_BUILD_OPTIONS = ("-Ddataplane=disabled",)


def free_copies(root, count):
    """Copies that no other run holds. They are ours as long as this process lives."""
    found = []
    os.makedirs(os.path.join(root, "build-mutation"), exist_ok=True)
    for number in itertools.count():
        lock = open(os.path.join(root, "build-mutation", f"{number}.lock"), "w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        found.append(Copy(root, number, lock))
        if len(found) == count:
            return found


class Copy:
    def __init__(self, root, number, lock):
        self.source = root
        self._lock = lock
        self.tree = os.path.join(root, "build-mutation", str(number))
        self.build = os.path.join(self.tree, "build")
        self._environment = {
            **os.environ,
            "CCACHE_BASEDIR": self.tree, "CCACHE_NOHASHDIR": "1", "CCACHE_SLOPPINESS": "pch_defines,time_macros",
            # The simulation is asked last, for every mutant that the others let live: what it finds it finds early.
            "SIMULATION_SEEDS": os.environ.get("SIMULATION_SEEDS", "2000"),
            "GTEST_BRIEF": "1", "GTEST_COLOR": "no", "GTEST_FAIL_FAST": "1",
        }  # fmt: skip

    def refresh(self):
        """As `sync`, with a build folder that is set up."""
        self.sync()
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            shutil.rmtree(self.build, ignore_errors=True)
            subprocess.run(
                ["meson", "setup", *_BUILD_OPTIONS, self.build, self.tree],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, env=self._environment,
            )  # fmt: skip

    def sync(self):
        """Brings every file to what the tree says now. Untouched files keep their time: ninja goes by it."""
        listed = subprocess.run(
            ["git", "-C", self.source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        names = {name for name in listed.stdout.decode().split("\0") if name}
        names = {name for name in names if os.path.isfile(os.path.join(self.source, name))}
        for folder, folders, files in os.walk(self.tree):
            folders[:] = [name for name in folders if folder != self.tree or not name.startswith("build")]
            for file in files:
                path = os.path.join(folder, file)
                if os.path.relpath(path, self.tree) not in names:
                    os.unlink(path)
        for name in names:
            self.restore(name)

    def restore(self, name):
        theirs, ours = os.path.join(self.source, name), os.path.join(self.tree, name)
        with open(theirs, "rb") as file:
            wanted = file.read()
        if os.path.exists(ours):
            with open(ours, "rb") as file:
                if file.read() == wanted:
                    return
        os.makedirs(os.path.dirname(ours), exist_ok=True)
        with open(ours, "wb") as file:
            file.write(wanted)
        shutil.copymode(theirs, ours)

    def break_with(self, mutant):
        path = os.path.join(self.tree, mutant.file)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(mutant.apply(text))

    def make(self, *targets, jobs=1):
        """None, or the compiler's first complaint."""
        done = subprocess.run(
            ["ninja", "-C", self.build, f"-j{jobs}", *targets], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment,
        )  # fmt: skip
        if done.returncode == 0:
            return None
        lines = done.stdout.strip().split("\n")
        return next((line for line in lines if "error:" in line), lines[-1])

    @property
    def environment(self):
        return self._environment
