"""A small server for the lab's hosts: `listener.py http:ADDR:PORT tcp:ADDR:PORT ...`; IPv6 addresses in brackets.

http answers 200 to everything; tcp accepts and says its port, so that a connection that got through is seen.
"""
import asyncio
import sys


async def serve_http(reader, writer):
    try:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        body = b"hello from outside\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
        pass
    finally:
        writer.close()


async def serve_tcp(_reader, writer):
    try:
        writer.write(f"port {writer.get_extra_info('sockname')[1]}\n".encode())
        await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(words):
    servers = []
    for word in words:
        kind, _, place = word.partition(":")
        address, _, port = place.rpartition(":")
        handler = {"http": serve_http, "tcp": serve_tcp}[kind]
        servers.append(await asyncio.start_server(handler, address.strip("[]"), int(port), reuse_address=True))
    print("listening on", *words, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main(sys.argv[1:]))
