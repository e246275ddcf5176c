"""Sets of UDP packets, one packet for each port, so that what passed of a set tells which policy it met:

    tagged.py receive ADDR FIRST_PORT COUNT REPORT      until SIGTERM; REPORT (JSON): set number -> bits of the ports that it came to
    tagged.py send ADDR FIRST_PORT COUNT RATE REPORT    RATE sets a second until SIGTERM; REPORT: [first sent, all sent] for each set

Even sets come from one socket and are flows that live on; odd ones come from a new port each and are first packets. A
set is sent in the order of its ports. Times are CLOCK_MONOTONIC in seconds, the same clock in every namespace.
"""
import json
import select
import signal
import socket
import struct
import sys
import time


def _report(path, content):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def receive(address, first, count, report):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    sockets = {}
    for tag in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, first + tag))
        sock.setblocking(False)
        sockets[sock] = tag
    print("ready", flush=True)
    came = {}
    while True:
        ready = select.select(list(sockets), [], [], 0.05)[0]
        if not ready and stop:
            break
        for sock in ready:
            number = struct.unpack("!Q", sock.recv(2048)[:8])[0]
            came[number] = came.get(number, 0) | 1 << sockets[sock]
    _report(report, came)


def send(address, first, count, rate, report):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    lasting = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lasting.bind(("", 0))
    times = []
    interval = 1.0 / rate
    next_set = time.monotonic()
    print("ready", flush=True)
    while not stop:
        number = len(times)
        sock = lasting if number % 2 == 0 else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        start = time.monotonic()
        for tag in range(count):
            sock.sendto(struct.pack("!Q", number) + bytes(24), (address, first + tag))
        times.append([start, time.monotonic()])
        if sock is not lasting:
            sock.close()
        # A late wake-up is not made up for by a burst: that could be lost for its own reasons.
        next_set = max(next_set + interval, time.monotonic())
        time.sleep(max(0.0, next_set - time.monotonic()))
    _report(report, times)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
