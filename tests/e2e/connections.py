"""Many TCP connections that live on, each with a question and its echo in turn:

    connections.py echo ADDR PORT                     answers everything, until it is ended
    connections.py hold ADDR PORT COUNT RATE REPORT   COUNT connections, RATE questions a second on each, until SIGTERM

REPORT (JSON): for each connection how many echoes came, the longest time without one, and why it broke, if it did.
"""
import json
import selectors
import signal
import socket
import struct
import sys
import time

_QUESTION_BYTES = 64
# TCP doubles its wait with each repetition that is lost, up to two minutes: after a long row of interruptions the next
# one is that far away. Who has all echoes does not wait.
_LATE_S = 130.0


def echo(address, port):
    selector = selectors.DefaultSelector()
    listener = socket.create_server((address, port), backlog=512)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                sock, _peer = listener.accept()
                selector.register(sock, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.sendall(data)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()


class Connection:
    def __init__(self, address, port, start):
        self.sock = socket.create_connection((address, port), timeout=5)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next_question = start
        self.asked = self.echoes = 0
        self.got = b""
        self.last = time.monotonic()
        self.silence = 0.0
        self.broken = None

    def ask(self, now, interval):
        self.next_question = now + interval
        # One question at a time: while its echo is missing TCP repeats it.
        if self.broken is None and self.asked == self.echoes:
            self.asked += 1
            self._guarded(lambda: self.sock.send(struct.pack("!Q", self.asked).ljust(_QUESTION_BYTES, b"q")))

    def hear(self):
        data = self._guarded(lambda: self.sock.recv(65536))
        if data == b"":
            self.broken = self.broken or "closed by the other side"
        self.got += data or b""
        while len(self.got) >= _QUESTION_BYTES:
            number = struct.unpack("!Q", self.got[:8])[0]
            self.got = self.got[_QUESTION_BYTES:]
            self.echoes += 1
            if number != self.echoes:
                self.broken = f"echo {number} in the place of {self.echoes}"
            now = time.monotonic()
            self.silence = max(self.silence, now - self.last)
            self.last = now

    def _guarded(self, call):
        try:
            return call()
        except BlockingIOError:
            return None
        except OSError as problem:
            self.broken = self.broken or str(problem)
            return None


def hold(address, port, count, rate, report):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    interval = 1.0 / rate
    begin = time.monotonic()
    held = [Connection(address, port, begin + interval * n / count) for n in range(count)]
    selector = selectors.DefaultSelector()
    for connection in held:
        selector.register(connection.sock, selectors.EVENT_READ, connection)
    print("ready", flush=True)
    end = None
    while end is None or (time.monotonic() < end and any(c.asked != c.echoes and not c.broken for c in held)):
        now = time.monotonic()
        if stop and end is None:
            end = now + _LATE_S
        for connection in held:
            if end is None and connection.next_question <= now:
                connection.ask(now, interval)
        for key, _ in selector.select(0.005):
            key.data.hear()
            if key.data.broken:
                selector.unregister(key.fileobj)
    for connection in held:
        if connection.asked != connection.echoes:
            connection.broken = connection.broken or f"no echo of question {connection.asked}"
    with open(report, "w", encoding="utf-8") as file:
        json.dump([{"echoes": c.echoes, "silence_s": c.silence, "broken": c.broken} for c in held], file)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2], int(sys.argv[3]))
    else:
        hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
