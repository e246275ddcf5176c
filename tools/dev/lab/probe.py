"""One TCP connection attempt, timed inside the namespace: `probe.py ADDR PORT TIMEOUT_S` prints `OUTCOME MILLISECONDS`."""
import socket
import sys
import time

address, port, timeout_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
sock.settimeout(timeout_s)
start = time.monotonic()
try:
    sock.connect((address, port))
    outcome = "connected"
except ConnectionRefusedError:
    outcome = "refused"
except (TimeoutError, socket.timeout):
    outcome = "timed out"
except OSError as problem:
    # 113, 13: an ICMP or ICMPv6 answer that forbids.
    outcome = f"error {problem.errno}"
print(f"{outcome}|{(time.monotonic() - start) * 1000:.1f}")
