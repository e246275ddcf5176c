"""UDP packets of the end-to-end lane, each end in its namespace; run as a program:
    traffic.py sink ADDRESS              says "ready", then one line of JSON for each stream that ends
    traffic.py udp ADDRESS SECONDS       sends as fast as it can
"""
import json
import socket
import sys
import time

UDP_PORT = 9000
_UDP_PAYLOAD = b"sluice end to end!"  # 60 bytes on the wire
_END = b"end"


def sink(address):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    udp.bind((address, UDP_PORT))
    print("ready", flush=True)
    count, first = 0, 0.0
    while True:
        data = udp.recv(64)
        if data != _END:
            first = first or time.monotonic()
            last = time.monotonic()
            count += 1
        elif count:
            print(json.dumps({"packets": count, "seconds": last - first}), flush=True)
            count, first = 0, 0.0


def send_udp(address, seconds):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((address, UDP_PORT))
    end, sent = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(64):
            udp.send(_UDP_PAYLOAD)
        sent += 64
    # The last word is said more than once: a queue on the way may be full.
    for _ in range(20):
        time.sleep(0.02)
        udp.send(_END)
    print(json.dumps({"sent": sent}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2])
    else:
        send_udp(sys.argv[2], float(sys.argv[3]))
