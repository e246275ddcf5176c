"""One packet for each of COUNT flows, as fast as this goes:   many_udp.py ADDR COUNT

In the namespace of the outside host: destination ports from 10000 on, source ports from 20000. Prints how many were sent.
Who wants all of them to arrive starts it again: a virtual cable may lose some.
"""
import itertools
import socket
import sys
import time

FIRST_DPORT, DPORTS = 10_000, 50_000
_FIRST_SPORT = 20_000
_CHUNK, _PAUSE_S = 200, 0.001  # what a virtual cable has room for


def main(address, count):
    sent = 0
    for sport in itertools.count(_FIRST_SPORT):
        if sent == count:
            break
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", sport))
            for dport in range(FIRST_DPORT, FIRST_DPORT + min(DPORTS, count - sent)):
                try:
                    sock.sendto(b"", (address, dport))
                except ConnectionRefusedError:  # nobody listens: the answer to an earlier one
                    sock.sendto(b"", (address, dport))
                sent += 1
                if sent % _CHUNK == 0:
                    time.sleep(_PAUSE_S)
    print(sent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
