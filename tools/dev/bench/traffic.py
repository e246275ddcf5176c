"""Both ends of the end-to-end lane, each in its namespace; run as a program:
    traffic.py sink ADDRESS                  says "ready", then one line of JSON for each stream that ends
    traffic.py udp|tcp ADDRESS SECONDS       sends as fast as it can
One sender and one receiver: what they reach is bound by them and by the kernel's links, not by a fast firewall."""
import json
import selectors
import socket
import sys
import time

UDP_PORT, TCP_PORT = 9000, 9001
_UDP_PAYLOAD = b"sluice end to end!"  # 60 bytes on the wire
_END = b"end"


def sink(address):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    udp.bind((address, UDP_PORT))
    tcp = socket.create_server((address, TCP_PORT))
    selector = selectors.DefaultSelector()
    selector.register(udp, selectors.EVENT_READ)
    selector.register(tcp, selectors.EVENT_READ)
    print("ready", flush=True)
    count, first = 0, 0.0
    while True:
        for key, _ in selector.select():
            if key.fileobj is tcp:
                receive_tcp(tcp)
                continue
            data = udp.recv(64)
            if data != _END:
                first = first or time.monotonic()
                last = time.monotonic()
                count += 1
            elif count:
                print(json.dumps({"packets": count, "seconds": last - first}), flush=True)
                count, first = 0, 0.0


def receive_tcp(server):
    connection, _ = server.accept()
    received, start, buffer = 0, time.monotonic(), bytearray(1 << 18)
    with connection:
        while count := connection.recv_into(buffer):
            received += count
    print(json.dumps({"bytes": received, "seconds": time.monotonic() - start}), flush=True)


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


def send_tcp(address, seconds):
    end, block = time.monotonic() + seconds, bytes(1 << 18)
    with socket.create_connection((address, TCP_PORT), timeout=10) as connection:
        while time.monotonic() < end:
            connection.sendall(block)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2])
    else:
        {"udp": send_udp, "tcp": send_tcp}[sys.argv[1]](sys.argv[2], float(sys.argv[3]))
