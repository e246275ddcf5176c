"""A small program that speaks the service manager's protocol as its arguments say; supervise_test.py runs it.

It writes one line per life into REPORT: how it was started and what it was given, as JSON.
"""
import array
import json
import os
import signal
import socket
import sys
import time


def notify(text, fds=()):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([text.encode()], ancillary, 0, os.environ["NOTIFY_SOCKET"])


def read_back(names, fds):
    return {name: os.pread(fd, 100, 0).decode() for name, fd in zip(names, fds)}


def listen_fds():
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ["LISTEN_FDNAMES"].split(":")
    return read_back(names, range(3, 3 + int(os.environ["LISTEN_FDS"])))


def stand_by(mode):
    """Returns the descriptors' contents once `go` has come."""
    pair = socket.socket(fileno=int(os.environ["SLUICE_TAKEOVER_FD"]))
    if mode == "successor_dies":
        sys.exit(3)
    pair.send(b"standby")
    data, ancillary, _flags, _address = pair.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
    head, _, names = data.decode().partition("\n")
    assert head == "go", data
    fds = array.array("i")
    for _level, _kind, payload in ancillary:
        fds.frombytes(payload)
    return read_back(names.split(":") if names else [], fds)


def report(path, **fields):
    line = json.dumps({"pid": os.getpid(), "uid": os.getuid(), **fields}) + "\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(fd, line.encode())
    os.close(fd)


def main():
    path, mode = sys.argv[1:3]
    if mode == "dies_at_once":
        report(path, how="died")
        sys.exit(1)
    taken_over = "SLUICE_TAKEOVER_FD" in os.environ
    held = stand_by(mode) if taken_over else listen_fds()
    report(path, how="takeover" if taken_over else "start", held=held, watchdog=os.environ.get("WATCHDOG_USEC"))
    if "state" not in held:
        for name, text in (("state", "one"), ("m.7", "manifest"), ("s.00", "first"), ("s.00", "second"), ("gone", "x")):
            fd = os.memfd_create(name)
            os.write(fd, text.encode())
            notify(f"FDSTORE=1\nFDNAME={name}", [fd])
        notify("FDSTOREREMOVE=1\nFDNAME=gone")
    print("hello from the helper", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    notify("READY=1\nSTATUS=as it should be")
    while True:
        notify("WATCHDOG=1")
        time.sleep(0.05)


main()
