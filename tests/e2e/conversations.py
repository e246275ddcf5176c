"""TCP connections of the kernel's own stack, of every length and with every kind of end:

    conversations.py serve PORT                                    answers, over IPv4 and IPv6, until it is ended
    conversations.py talk PORT COUNT SEED REPORT ADDR...           COUNT connections, then writes REPORT (JSON)

A connection begins with a head that says what each side sends and who ends it how. What comes back is checked byte for
byte: the answer is the digest of what the server got, and a stream that the head determines.
"""
import asyncio
import collections
import hashlib
import json
import random
import socket
import struct
import sys
import time

_HEAD = struct.Struct("!BII")
_AT_A_TIME = 100
_DEADLINE_S = 60.0
# Who ends it: the client or the server, in order; the client says first that it is done (half close); either by RST;
# the client by RST in the middle of the answer.
ENDS = ("client", "server", "half", "client-reset", "server-reset", "midway-reset")
_SIZES = (1, 90, 1500, 6000, 40_000)


def _stream(kind, size):
    block = hashlib.sha256(_HEAD.pack(kind, size, size)).digest()
    return (block * (size // len(block) + 1))[:size]


def _reset_on_close(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _read(loop, sock, size):
    got = bytearray()
    while len(got) < size:
        data = await loop.sock_recv(sock, min(65536, size - len(got)))
        if not data:
            raise EOFError(f"the end after {len(got)} of {size} bytes")
        got += data
    return bytes(got)


async def _until_end(loop, sock):
    """Nothing more may come but the end, in either way."""
    try:
        rest = await loop.sock_recv(sock, 1)
    except ConnectionResetError:
        return
    if rest:
        raise ValueError("more bytes than were announced")


async def _answer(loop, sock):
    try:
        kind, up, down = _HEAD.unpack(await _read(loop, sock, _HEAD.size))
        data = await _read(loop, sock, up)
        await loop.sock_sendall(sock, hashlib.sha256(data).digest() + _stream(kind, down))
        end = ENDS[kind]
        if end == "server-reset":
            await _read(loop, sock, 1)  # the client has everything
            _reset_on_close(sock)
        elif end != "server":
            await _until_end(loop, sock)
    except (OSError, EOFError):
        pass  # the client tells what went wrong
    finally:
        sock.close()


async def _serve(port):
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    listener.setblocking(False)
    print("ready", flush=True)
    tasks = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        sock.setblocking(False)
        task = asyncio.create_task(_answer(loop, sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _talk_once(loop, address, port, kind, up, down, window):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setblocking(False)
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    try:
        await loop.sock_connect(sock, (address, port))
        data = _stream(255, up)
        await loop.sock_sendall(sock, _HEAD.pack(kind, up, down) + data)
        end = ENDS[kind]
        if end == "half":
            sock.shutdown(socket.SHUT_WR)
        if end == "midway-reset":
            await _read(loop, sock, 1)
            _reset_on_close(sock)
            return
        if await _read(loop, sock, 32) != hashlib.sha256(data).digest():
            raise ValueError("the server got other bytes")
        if await _read(loop, sock, down) != _stream(kind, down):
            raise ValueError("other bytes came back")
        if end == "client-reset":
            _reset_on_close(sock)
        elif end == "server-reset":
            await loop.sock_sendall(sock, b"!")
        elif end in ("server", "half"):
            await _until_end(loop, sock)
    finally:
        sock.close()


async def _talk(port, count, seed, addresses):
    loop = asyncio.get_running_loop()
    rng = random.Random(seed)
    left = iter(range(count))
    failures, kinds, slowest = [], collections.Counter(), 0.0

    async def one_after_another():
        nonlocal slowest
        for number in left:
            kind = rng.randrange(len(ENDS))
            address = rng.choice(addresses)
            up, down = rng.choice(_SIZES[:4]), rng.choice(_SIZES)
            window = rng.choice((0, 0, 0, 4096, 20_000))
            kinds[ENDS[kind]] += 1
            start = time.monotonic()
            try:
                await asyncio.wait_for(_talk_once(loop, address, port, kind, up, down, window), _DEADLINE_S)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as problem:
                said = f"{type(problem).__name__}: {problem}"
                failures.append(f"{number} to {address}, {ENDS[kind]}, {up} up, {down} down: {said}")
            slowest = max(slowest, time.monotonic() - start)

    await asyncio.gather(*(one_after_another() for _ in range(_AT_A_TIME)))
    return {"failures": failures, "kinds": kinds, "slowest_s": slowest}


def main():
    if sys.argv[1] == "serve":
        asyncio.run(_serve(int(sys.argv[2])))
    _, _, port, count, seed, report, *addresses = sys.argv
    found = asyncio.run(_talk(int(port), int(count), int(seed), addresses))
    with open(report, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
