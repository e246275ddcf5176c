"""The loop: one thread, level-triggered; timers are read off the services. And the control socket with its client."""
import argparse
import json
import os
import selectors
import signal
import socket
import sys
import time

from .service import Service

_LINE_BYTES_MAX = 16 * 1024


class Loop:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.partial = {}

    def watch(self, file, handler):
        self.selector.register(file, selectors.EVENT_READ, handler)

    def forget(self, file):
        try:
            self.selector.unregister(file)
        except (KeyError, ValueError):
            pass

    # ------------------------------------------------------------------------------------------------ output of children
    def watch_output(self, fd, name):
        self.partial[fd] = (name, b"")
        self.watch(fd, lambda: self._read_output(fd))

    def _read_output(self, fd):
        """Returns False when nothing more is there yet."""
        try:
            chunk = os.read(fd, 64 * 1024)
        except (BlockingIOError, InterruptedError):
            return False
        name, held = self.partial[fd]
        *lines, rest = (held + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES_MAX or (not chunk and rest):
            lines.append(rest)
            rest = b""
        self.partial[fd] = (name, rest)
        for line in lines:
            log(name, line.decode("utf-8", "replace"))
        if not chunk:
            self.forget(fd)
            del self.partial[fd]
            os.close(fd)
        return bool(chunk)

    def drain_output(self, fd):
        """What a process wrote before its end stands in the log before the line that tells of the end."""
        while fd in self.partial and self._read_output(fd):
            pass


def log(name, text):
    now = time.time()
    clock = time.strftime("%H:%M:%S", time.gmtime(now))
    print(f"{clock}.{int(now * 1000) % 1000:03d} {name:<12} {text}", flush=True)


class Supervisor:
    def __init__(self, config):
        self.loop = Loop()
        self.stopping = False
        self.services = [Service(spec, self.loop, log) for spec in config["services"]]
        self.clients = {}
        self.control_path = config["control"]
        if os.path.exists(self.control_path):
            os.unlink(self.control_path)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.control.bind(self.control_path)
        os.chmod(self.control_path, 0o600)
        self.control.listen(8)
        self.loop.watch(self.control, self._on_client)
        # Signals arrive as bytes on a pipe, so that the loop has one place to wait.
        self.wake, wake_write = socket.socketpair()
        self.wake.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno())
        self._wake_write = wake_write
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.loop.watch(self.wake, self._on_signal)

    def run(self):
        for service in self.services:
            service.start()
        while not (self.stopping and all(service.idle() for service in self.services)):
            deadlines = [deadline for service in self.services for deadline in service.deadlines()]
            timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            for key, _events in self.loop.selector.select(timeout):
                # An earlier handler of this round may have closed it, and its number may be in use again.
                if self.loop.selector.get_map().get(key.fd) is key:
                    key.data()
            now = time.monotonic()
            for service in self.services:
                service.on_time(now)
        for service in self.services:
            os.unlink(service.notify_path)
        os.unlink(self.control_path)
        log("supervise", "all stopped")

    def _on_signal(self):
        for number in self.wake.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stop()
            elif number == signal.SIGHUP:
                for service in self.services:
                    if service.spec.get("takeover"):
                        service.planned_restart(lambda ok, text: log("supervise", text))

    def stop(self):
        self.stopping = True
        for service in reversed(self.services):
            service.stop()

    # -------------------------------------------------------------------------------------------------- control socket
    def _on_client(self):
        client, _ = self.control.accept()
        client.setblocking(False)
        self.clients[client.fileno()] = b""
        self.loop.watch(client, lambda: self._on_request(client))

    def _on_request(self, client):
        try:
            chunk = client.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        held = self.clients.get(client.fileno(), b"") + chunk
        if chunk and b"\n" not in held and len(held) < 4096:
            self.clients[client.fileno()] = held
            return
        self.clients.pop(client.fileno(), None)
        self.loop.forget(client)
        if not chunk:
            client.close()
            return

        def answer(ok, text, **more):
            try:
                client.sendall(json.dumps({"ok": ok, "text": text, **more}).encode() + b"\n")
            except OSError:
                pass
            client.close()

        try:
            words = json.loads(held.split(b"\n")[0])
        except ValueError:
            answer(False, "not a JSON list of words")
            return
        self._obey(words, answer)

    def _obey(self, words, answer):
        if words == ["status"]:
            answer(True, "", services=[service.describe() for service in self.services])
            return
        by_name = {service.name: service for service in self.services}
        if not (isinstance(words, list) and len(words) == 2 and words[1] in by_name):
            answer(False, f"unknown request {words!r}; services: {', '.join(by_name)}")
            return
        service = by_name[words[1]]
        if words[0] == "restart":
            service.planned_restart(answer)
        elif words[0] == "start":
            service.start()
            answer(True, f"{service.name} started")
        elif words[0] == "stop":
            service.stop()
            answer(True, f"{service.name} told to stop")
        else:
            answer(False, f"unknown request {words[0]!r}")


def ask(control_path, words, timeout_s=60.0):
    """The client's side: returns the answer as a dict."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect(control_path)
        sock.sendall(json.dumps(words).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            chunk = sock.recv(65536)
            if not chunk:
                break
            data += chunk
    return json.loads(data)


def main(arguments):
    parser = argparse.ArgumentParser(prog="supervise", description="the lab's service manager")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("config")
    ctl = commands.add_parser("ctl")
    ctl.add_argument("--control", required=True)
    ctl.add_argument("words", nargs="+")
    options = parser.parse_args(arguments)
    if options.command == "ctl":
        answer = ask(options.control, options.words)
        print(json.dumps(answer, indent=2) if "services" in answer else answer["text"])
        return 0 if answer["ok"] else 1
    with open(options.config, encoding="utf-8") as file:
        config = json.load(file)
    Supervisor(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
