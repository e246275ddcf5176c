"""A service: its process, its descriptor store, its restarts, its watchdog, and the planned restart with a successor.

Crash: the process is started again at once, with the stored descriptors as LISTEN_FDS. If it keeps dying young, with a
growing pause. Planned restart (docs/decisions/0009): the successor starts beside the old process and says `standby` on
a SOCK_SEQPACKET pair when everything slow is done; only then the old one is told to stop, and when it is gone the
successor gets `go` and the stored descriptors on the same pair.
"""
import array
import os
import signal
import socket
import time

from . import notify
from .process import Process

_YOUNG_S = 1.0          # a process that dies earlier counts as a failed start
_FREE_RESTARTS = 3      # failed starts in a row that are tried again without a pause
_PAUSE_S_MAX = 5.0
_TAKEOVER_FDS_MAX = 250


class Service:
    def __init__(self, spec, loop, log):
        self.name = spec["name"]
        self.spec = spec
        self.loop = loop
        self.log = log
        self.store = notify.DescriptorStore(spec.get("store_max", _TAKEOVER_FDS_MAX))
        self.main = None
        self.wanted = False
        self.restarts = 0
        self.young_deaths = 0
        self.restart_at = None
        self.takeover = None
        self.answer_when_ready = []
        self.notify_path = spec["notify"]
        self.notify_socket = notify.listen(self.notify_path)
        loop.watch(self.notify_socket, self._on_notify)

    # ------------------------------------------------------------------------------------------------ start and stop
    def start(self):
        self.wanted = True
        if self.main is None:
            self._spawn_main()

    def stop(self, number=signal.SIGTERM):
        self.wanted = False
        self.restart_at = None
        if self.takeover is not None:
            self.takeover.successor.signal(signal.SIGKILL)
        if self.main is not None:
            self.main.signal(number)
            self.main.stop_deadline = time.monotonic() + self.spec.get("stop_s", 5.0)
        else:
            self.store.clear()

    def idle(self):
        return self.main is None and self.takeover is None

    def _environment(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LISTEN_", "SLUICE_T"))}
        environment.update(self.spec.get("env", {}))
        environment["NOTIFY_SOCKET"] = self.notify_path
        if self.spec.get("watchdog_s"):
            environment["WATCHDOG_USEC"] = str(int(self.spec["watchdog_s"] * 1_000_000))
        return environment

    def _spawn_main(self):
        self.restart_at = None
        self.main = Process(self.spec, self._environment(), self.store.entries)
        stored = f" with {len(self.store.entries)} stored descriptors" if self.store.entries else ""
        self.log(self.name, f"started pid {self.main.pid}{stored}")
        self._watch(self.main)

    def _watch(self, process):
        self.loop.watch(process.pidfd, lambda: self._on_exit(process))
        self.loop.watch_output(process.output, self.name)

    def _on_exit(self, process):
        self.loop.forget(process.pidfd)
        self.loop.drain_output(process.output)
        # A last message may still be in the queue: it was sent before the death that we were told of.
        self._on_notify()
        how = process.reap()
        self.log(self.name, f"pid {process.pid} {how} after {process.age_s():.1f} s")
        if self.takeover is not None and process is self.takeover.successor:
            self.takeover.successor_gone(how)
            return
        self.main = None
        if self.takeover is not None:
            self.takeover.old_gone()
        elif self.wanted:
            self._schedule_restart(process.age_s())
        else:
            self.store.clear()

    def _schedule_restart(self, age_s):
        self.restarts += 1
        self.young_deaths = self.young_deaths + 1 if age_s < _YOUNG_S else 0
        if self.young_deaths <= _FREE_RESTARTS:
            self._spawn_main()
            return
        pause_s = min(_PAUSE_S_MAX, 0.1 * 2 ** (self.young_deaths - _FREE_RESTARTS))
        self.log(self.name, f"dies at once, {self.young_deaths} times in a row; next try in {pause_s:.1f} s")
        self.restart_at = time.monotonic() + pause_s

    # --------------------------------------------------------------------------------------------------- its messages
    def _on_notify(self):
        while (message := notify.receive(self.notify_socket)) is not None:
            process = self._sender(message.sender_pid)
            if process is None:
                self.log(self.name, f"message from foreign pid {message.sender_pid} not taken")
                message.close()
                continue
            self._take(process, message)

    def _sender(self, pid):
        candidates = [self.main] if self.takeover is None else [self.main, self.takeover.successor]
        return next((process for process in candidates if process is not None and process.pid == pid), None)

    def _take(self, process, message):
        fields = message.fields
        if fields.get("FDSTORE") == "1":
            complaint = self.store.add(fields.get("FDNAME", "stored"), message.fds)
            message.fds = []
            if complaint:
                self.log(self.name, complaint)
        if fields.get("FDSTOREREMOVE") == "1":
            self.store.remove(fields.get("FDNAME", ""))
        if "STATUS" in fields:
            process.status_text = fields["STATUS"]
        if fields.get("WATCHDOG") == "1":
            process.last_watchdog = time.monotonic()
        if fields.get("READY") == "1" and not process.ready:
            process.ready = True
            process.last_watchdog = time.monotonic()
            self.log(self.name, f"pid {process.pid} ready after {process.age_s() * 1000:.0f} ms")
            if process is self.main:
                self.young_deaths = 0
            if self.takeover is not None and process is self.takeover.successor:
                self.takeover.successor_ready()
        message.close()

    # ---------------------------------------------------------------------------------------------------------- timers
    def deadlines(self):
        found = [self.restart_at]
        if self.main is not None:
            found.append(self.main.stop_deadline)
            found.append(self._watchdog_deadline())
        if self.takeover is not None:
            found.append(self.takeover.deadline)
        return [deadline for deadline in found if deadline is not None]

    def _watchdog_deadline(self):
        if not self.spec.get("watchdog_s") or not self.main.ready or self.main.last_watchdog is None:
            return None
        return self.main.last_watchdog + self.spec["watchdog_s"]

    def on_time(self, now):
        if self.restart_at is not None and now >= self.restart_at:
            self._spawn_main()
        if self.main is not None and self.main.stop_deadline is not None and now >= self.main.stop_deadline:
            self.log(self.name, f"pid {self.main.pid} does not stop: killed")
            self.main.stop_deadline = None
            self.main.signal(signal.SIGKILL)
        if self.main is not None and (deadline := self._watchdog_deadline()) is not None and now >= deadline:
            # SIGKILL and not SIGABRT: a stopped process would not die of the latter.
            self.log(self.name, f"pid {self.main.pid} missed its watchdog ({self.spec['watchdog_s']} s): killed")
            self.main.last_watchdog = None
            self.main.signal(signal.SIGKILL)
        if self.takeover is not None and self.takeover.deadline is not None and now >= self.takeover.deadline:
            self.takeover.late()

    # ------------------------------------------------------------------------------------------------- planned restart
    def planned_restart(self, answer):
        """`answer(ok, text)` is called once, when the new process is ready or the attempt has failed."""
        if self.main is None or self.takeover is not None:
            answer(False, f"{self.name} is not running, or a restart is under way")
        elif not self.spec.get("takeover"):
            self.main.signal(signal.SIGTERM)
            self.main.stop_deadline = time.monotonic() + self.spec.get("stop_s", 5.0)
            answer(True, f"{self.name} told to stop; it starts again by itself")
        else:
            self.takeover = Takeover(self, answer)

    def describe(self):
        process = self.main
        return {
            "name": self.name,
            "pid": process.pid if process else None,
            "ready": bool(process and process.ready),
            "status": process.status_text if process else "",
            "age_s": round(process.age_s(), 3) if process else None,
            "restarts": self.restarts,
            "wanted": self.wanted,
            "store": self.store.names(),
            "takeover": self.takeover.phase if self.takeover else None,
        }


class Takeover:
    """One planned restart: wait_standby -> wait_old -> wait_ready."""

    def __init__(self, service, answer):
        self.service = service
        self.answer = answer
        self.phase = "wait_standby"
        self.deadline = time.monotonic() + service.spec.get("standby_s", 30.0)
        self.gone = None
        self.pair, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pair.setblocking(False)
        self.successor = Process(service.spec, service._environment(), takeover_fd=theirs.fileno())
        theirs.close()
        service.log(service.name, f"successor pid {self.successor.pid} started")
        service._watch(self.successor)
        service.loop.watch(self.pair, self._on_pair)

    def _on_pair(self):
        try:
            message = self.pair.recv(64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message = b""
        if not message:
            # The end of the process says the rest.
            self.service.loop.forget(self.pair)
            return
        if message.strip(b"\n\0") == b"standby" and self.phase == "wait_standby":
            service = self.service
            service.log(service.name, f"successor stands by after {self.successor.age_s() * 1000:.0f} ms")
            self.phase = "wait_old"
            self.deadline = None
            if service.main is None:
                self.old_gone()
            else:
                service.main.signal(signal.SIGTERM)
                service.main.stop_deadline = time.monotonic() + service.spec.get("stop_s", 5.0)

    def old_gone(self):
        """The old process has ended: as asked, or by itself while the successor was still preparing."""
        self.gone = self.gone or time.monotonic()
        if self.phase == "wait_standby":
            self.service.log(self.service.name, "old process is gone before the successor stands by; waiting for it")
            return
        entries = self.service.store.entries[:_TAKEOVER_FDS_MAX]
        text = "go\n" + ":".join(name for name, _fd in entries)
        fds = array.array("i", [fd for _name, fd in entries])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if entries else []
        try:
            self.pair.sendmsg([text.encode()], ancillary)
        except OSError as problem:
            self.service.log(self.service.name, f"successor did not take `go`: {problem}")
            self.successor.signal(signal.SIGKILL)
            return
        self.phase = "wait_ready"
        self.deadline = time.monotonic() + self.service.spec.get("ready_s", 10.0)

    def successor_ready(self):
        service = self.service
        gap_ms = (time.monotonic() - self.gone) * 1000 if self.gone else 0.0
        service.main, service.takeover = self.successor, None
        service.restarts += 1
        self._close()
        service.log(service.name, f"planned restart done; {gap_ms:.0f} ms between the old one's end and ready")
        self.answer(True, f"pid {self.successor.pid} ready {gap_ms:.0f} ms after the old one's end")

    def successor_gone(self, how):
        service = self.service
        service.takeover = None
        self._close()
        if service.main is not None and self.phase == "wait_standby":
            service.log(service.name, "planned restart given up; the old process runs on")
            self.answer(False, f"successor {how} before it stood by; the old process was left alone")
            return
        self.answer(False, f"successor {how} while taking over; {service.name} is started afresh")
        if service.main is None and service.wanted:
            service._schedule_restart(self.successor.age_s())
        elif service.main is None:
            service.store.clear()

    def late(self):
        self.service.log(self.service.name, f"successor is late ({self.phase}): killed")
        self.deadline = None
        self.successor.signal(signal.SIGKILL)

    def _close(self):
        self.service.loop.forget(self.pair)
        self.pair.close()
