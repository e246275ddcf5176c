"""A bad line: carries frames between two interfaces of its namespace, and loses, doubles and delays some of them.

    relay.py A B SEED LOSS DOUBLED DELAYED REPORT     shares of frames, 0 to 1; until SIGTERM, then writes REPORT (JSON)

A delayed frame is overtaken by those behind it. (The kernels of small machines often have no netem.)
"""
import heapq
import json
import random
import select
import signal
import socket
import sys
import time

_SO_RCVBUFFORCE, _SOL_PACKET, _PACKET_IGNORE_OUTGOING = 33, 263, 23
_DELAY_S_MAX = 0.02
_AT_A_TIME = 64


def _open(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    sock.bind((interface, 0))
    sock.setblocking(False)
    return sock


def main(first, second, seed, loss, doubled, delayed, report):
    rng = random.Random(int(seed))
    shares = (float(loss), float(loss) + float(doubled), float(loss) + float(doubled) + float(delayed))
    ends = (_open(first), _open(second))
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    counts = {"carried": 0, "lost": 0, "doubled": 0, "delayed": 0, "refused": 0}
    late = []  # (when, number, where to, frame)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    print("ready", flush=True)

    def carry(end, frame):
        try:
            end.send(frame)
            counts["carried"] += 1
        except OSError:
            counts["refused"] += 1

    number = 0
    while not stop:
        wait_s = max(0.0, late[0][0] - time.monotonic()) if late else 0.1
        for sock in select.select(ends, [], [], wait_s)[0]:
            for _ in range(_AT_A_TIME):
                try:
                    frame = sock.recv(65535)
                except BlockingIOError:
                    break
                chance = rng.random()
                if chance < shares[0]:
                    counts["lost"] += 1
                    continue
                if chance < shares[1]:
                    counts["doubled"] += 1
                    carry(other[sock], frame)
                elif chance < shares[2]:
                    counts["delayed"] += 1
                    number += 1
                    heapq.heappush(late, (time.monotonic() + rng.random() * _DELAY_S_MAX, number, other[sock], frame))
                    continue
                carry(other[sock], frame)
        while late and late[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(late)
            carry(end, frame)
    with open(report, "w", encoding="utf-8") as file:
        json.dump(counts, file)


if __name__ == "__main__":
    main(*sys.argv[1:8])
