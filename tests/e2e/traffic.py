"""Steady UDP through the firewall, with a time for each packet:

    traffic.py echo ADDR PORT...                 answers everything, until it is ended
    traffic.py send ADDR PORT RATE REPORT        sends until SIGTERM, waits 300 ms for late answers, writes REPORT (JSON)

Times are CLOCK_MONOTONIC in seconds, the same clock in every namespace.
"""
import json
import select
import signal
import socket
import struct
import sys
import time

_LATE_S = 0.3


def echo(address, ports):
    sockets = []
    for port in ports:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, int(port)))
        sockets.append(sock)
    print("ready", flush=True)
    while True:
        for sock in select.select(sockets, [], [])[0]:
            data, peer = sock.recvfrom(65535)
            sock.sendto(data, peer)


def send(address, port, rate, report):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect((address, int(port)))
    sock.setblocking(False)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    sent, answered = [], {}
    interval = 1.0 / float(rate)
    next_send = time.monotonic()
    print("ready", flush=True)
    end = None
    while end is None or time.monotonic() < end:
        now = time.monotonic()
        if end is None and stop:
            end = now + _LATE_S
        if end is None and now >= next_send:
            try:
                sock.send(struct.pack("!Q", len(sent)) + bytes(40))
                sent.append(now)
            except OSError:
                # An ICMP error of an earlier packet is reported here once; this packet was not sent.
                pass
            # A late wake-up is not made up for by a burst: that could be lost for its own reasons.
            next_send = max(next_send + interval, now)
        wait_s = max(0.0, (next_send if end is None else end) - time.monotonic())
        if select.select([sock], [], [], wait_s)[0]:
            try:
                answered.setdefault(struct.unpack("!Q", sock.recv(2048)[:8])[0], time.monotonic())
            except OSError:
                pass
    with open(report, "w", encoding="utf-8") as file:
        json.dump({"sent": sent, "answered": sorted(answered.items())}, file)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2], sys.argv[3:])
    else:
        send(*sys.argv[2:6])
