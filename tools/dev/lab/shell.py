"""Running commands, and waiting without fixed sleeps."""
import os
import subprocess
import time

from .names import Trouble


def run(*argv, check=True, timeout_s=30.0, **more):
    """Returns the finished process; output is captured as text."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout_s, **more
    )
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip().split("\n")[-1]
        raise Trouble(f"`{' '.join(argv)}` failed: {said}", "run it by hand and see")
    return done


def in_ns(namespace, *argv):
    return ("ip", "netns", "exec", namespace, *argv)


def until(look, what, deadline_s=10.0, cure="see the log", step_s=0.02):
    """Polls until `look` gives something true, and returns it."""
    end = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Trouble(f"{what}: not within {deadline_s:.0f} s", cure)
        time.sleep(step_s)


def spawn(argv, log_path, lab_name):
    """A helper that outlives us, in its own session; its environment says whose it is."""
    with open(log_path, "ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "SLUICE_LAB": lab_name or "default"},
        )
    return process.pid


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
