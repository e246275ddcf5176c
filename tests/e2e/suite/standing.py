"""Many connections to the shop that stand, and can be asked again and again whether they are alive."""
import subprocess

from lab.names import SHOP
from lab.shell import in_ns

# Opens connections; then, for each line that it is told, asks each for a head. Prints how many answered.
_HOLD = """
import socket, sys
socks = [socket.create_connection((sys.argv[1], 80), 5) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
for _ in sys.stdin:
    answered = 0
    for sock in socks:
        try:
            sock.sendall(b"HEAD / HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n")
            sock.settimeout(5)
            answered += sock.recv(65536).startswith(b"HTTP/1.1 200")
        except OSError:
            pass
    print(answered, flush=True)
"""


class Standing:
    def __init__(self, bench, count):
        self._process = subprocess.Popen(
            in_ns(bench.lab.ns_outside, "/usr/bin/python3", "-I", "-c", _HOLD, SHOP[0], str(count)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._process.stdout.readline() != "ready\n":
            self.close()
            raise AssertionError("the connections could not be opened")

    def alive(self):
        """How many answer."""
        self._process.stdin.write("ask\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
