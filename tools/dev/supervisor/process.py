"""One running process: fork, descriptors, user, output pipe."""
import ctypes
import fcntl
import os
import signal
import sys
import time

_LISTEN_FDS_START = 3  # sd_listen_fds(3): the first passed descriptor
_PR_SET_PDEATHSIG = 1
_F_SETPIPE_SZ = 1031
_LIBC = ctypes.CDLL(None, use_errno=True)


class Process:
    """Started in the constructor. `pidfd` becomes readable when it has ended; `output` is its stdout and stderr."""

    def __init__(self, spec, environment, stored=(), takeover_fd=None):
        """`stored`: (name, fd) pairs for LISTEN_FDS; `takeover_fd`: our half's peer of the take-over pair."""
        self.started = time.monotonic()
        self.ready = False
        self.status_text = ""
        self.last_watchdog = None
        self.stop_deadline = None
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A burst of log lines must not block the process while we are busy.
            fcntl.fcntl(write_end, _F_SETPIPE_SZ, 1 << 20)
        except OSError:
            pass
        os.set_blocking(write_end, True)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(spec, dict(environment), list(stored), takeover_fd, write_end)
        os.close(write_end)
        self.output = read_end
        self.pidfd = os.pidfd_open(self.pid)

    def signal(self, number):
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def reap(self):
        """Call when `pidfd` is readable. Returns how it ended, in words."""
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        if os.WIFSIGNALED(status):
            return f"died by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"ended with code {os.waitstatus_to_exitcode(status)}"

    def age_s(self):
        return time.monotonic() - self.started


def _become(spec, environment, stored, takeover_fd, write_end):
    """In the child: never returns."""
    try:
        argv = spec["argv"]
        # Opened before the user changes: the build may lie in a home directory that the other user can't enter.
        program = os.open(argv[0], os.O_RDONLY | os.O_CLOEXEC) if spec.get("uid") is not None else argv[0]
        passed = [fd for _name, fd in stored] if takeover_fd is None else [takeover_fd]
        # Twice, so that no target number is overwritten before it was copied.
        floor = _LISTEN_FDS_START + len(passed)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor) for fd in [*passed, write_end]]
        if not isinstance(program, str):
            program = fcntl.fcntl(program, fcntl.F_DUPFD_CLOEXEC, floor)
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(high[-1], 1)
        os.dup2(high[-1], 2)
        for offset, fd in enumerate(high[:-1]):
            os.dup2(fd, _LISTEN_FDS_START + offset)
        if takeover_fd is not None:
            environment["SLUICE_TAKEOVER_FD"] = str(_LISTEN_FDS_START)
        elif stored:
            environment["LISTEN_PID"] = str(os.getpid())
            environment["LISTEN_FDS"] = str(len(stored))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _fd in stored)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o077)
        if spec.get("uid") is not None:
            os.setgroups([])
            os.setresgid(spec["gid"], spec["gid"], spec["gid"])
            os.setresuid(spec["uid"], spec["uid"], spec["uid"])
        # After the change of user, which clears it. If we are killed, nothing runs on unseen.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.chdir("/")
        os.execve(program, argv, environment)
    except BaseException as problem:  # noqa: BLE001  a child must never return into the parent's loop
        os.write(2, f"can't start {spec['argv'][0]}: {problem}\n".encode())
    os._exit(127)
