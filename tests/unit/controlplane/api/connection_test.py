"""What peers may do to a connection of the real REST server: malformed and random requests, bodies beyond the limit, slow
and idle clients, too many connections and requests, a commit that takes long, an end in the middle (P8, Q25).
"""
import os
import pathlib
import random
import re
import socket
import ssl
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from api_harness import Server, binary_from, read_to_end, wait_until  # noqa: E402

BINARY = binary_from("API_TEST_SERVER")


class Limits(unittest.TestCase):
    def raw(self, server, data):
        connection = server.connect()
        try:
            connection.sendall(data)
        except OSError:
            pass
        answer = read_to_end(connection)
        connection.close()
        return answer

    def status_of(self, answer):
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else None

    def test_malformed_requests(self):
        with Server(BINARY, drain_ms=100) as server:
            token = server.token.encode()
            auth = b"Host: x\r\nAuthorization: Bearer " + token + b"\r\n"
            put = b"PUT /v1/policy?dry_run=true HTTP/1.1\r\n" + auth + b"Content-Type: application/yaml\r\n"
            cases = [(b"GET / HTTP/1.1\r\nAuthorization: Bearer " + token + b"\r\n\r\n", 400),  # no Host
                     (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                     (b"GET http://x HTTP/9.9\r\n\r\n", 505), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
                     (b"GET\r\n\r\n", 400), (b"\x16\x03\x01\r\n\r\n", 400), (b"GET /\x01 HTTP/1.1\r\n\r\n", 400),
                     (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400), (b"GET relative HTTP/1.1\r\n" + auth + b"\r\n", 400),
                     (b"GET /%zz?a=%zz HTTP/1.1\r\n" + auth + b"\r\n", 400),
                     (b"GET / HTTP/1.1\r\n" + auth + b"X: " + b"a" * 17_000 + b"\r\n\r\n", 431),
                     (put + b"Content-Length: 33554433\r\n\r\n", 413), (put + b"Content-Length: -1\r\n\r\n", 400),
                     (put + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
                     (put + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                     (put + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
                     (put + b"Content-Length: 1\r\nExpect: magic\r\n\r\n", 417)]
            for data, status in cases:
                with self.subTest(data=data[:60]):
                    self.assertEqual(self.status_of(self.raw(server, data)), status)
            self.assertEqual(server.request("GET", "/livez").status, 200)

    def test_random_bytes_never_harm(self):
        seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
        print("seed", seed, file=sys.stderr)
        generator = random.Random(seed)
        with Server(BINARY) as server:
            good = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.token.encode() + b"\r\nConnection: close\r\n\r\n"
            for _ in range(60):
                data = bytearray(good)
                for _ in range(generator.randrange(1, 8)):
                    data[generator.randrange(len(data))] = generator.randrange(256)
                connection = server.connect()
                connection.sendall(bytes(data))
                connection.close()
            self.assertEqual(server.request("GET", "/v1/status").status, 200)

    def test_bodies_over_the_limit(self):
        with Server(BINARY) as server:
            body = b"#" * (33 * 1024 * 1024)
            reply = server.put(body, headers={"If-None-Match": "*"})
            self.assertEqual((reply.status, reply.json()["code"]), (413, "body-too-large"))
            chunks = (b"#" * (1024 * 1024) for _ in range(40))
            reply = server.put(chunks, headers={"If-None-Match": "*"})  # http.client sends an iterable in chunks
            self.assertEqual(reply.status, 413)
            self.assertEqual(server.put(b"#" * (31 * 1024 * 1024), target="/v1/policy?dry_run=true").status, 200)
            reply = server.put((b"#" * 1000 for _ in range(10)), target="/v1/policy?dry_run=true")
            self.assertEqual(reply.status, 200)

    def test_strangers_bodies_are_not_held(self):
        with Server(BINARY) as server:
            server.request("GET", "/livez")
            before = server.rss_kib()
            try:
                self.assertEqual(server.put(b"#" * (16 * 1024 * 1024), token=False).status, 401)
            except OSError:
                pass  # we stopped listening before it had sent everything
            self.assertLess(server.rss_kib() - before, 8 * 1024)

    def test_large_bodies_at_once_are_bounded(self):
        with Server(BINARY, bodies_bytes_max=1000) as server:
            reply = server.put(b"#" * 1001, target="/v1/policy?dry_run=true")
            self.assertEqual((reply.status, reply.headers["Retry-After"]), (503, "1"))
            self.assertEqual(server.put(b"#" * 1000, target="/v1/policy?dry_run=true").status, 200)

    def test_keep_alive_and_pipelining(self):
        with Server(BINARY) as server:
            one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            answer = self.raw(server, one * 3 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 3)
            self.assertEqual(answer.count(b"HTTP/1.1 401"), 1)
            self.assertLess(answer.rindex(b"200 OK"), answer.index(b"401"))
            # A refused body ends the connection: what follows is no request.
            smuggled = (b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde" + one)
            answer = self.raw(server, smuggled)
            self.assertEqual((answer.count(b"HTTP/1.1 "), self.status_of(answer)), (1, 401))

    def test_slow_clients_are_closed(self):
        # Shaking hands has its own, longer limit: on a busy machine an honest client needs more than the others' 300 ms.
        with Server(BINARY, handshake_ms=5000, idle_ms=300, header_ms=300, body_ms=300) as server:
            plain = socket.create_connection(("127.0.0.1", server.port), 30)  # never says hello
            silent, slow_header, slow_body = server.connect(), server.connect(), server.connect()
            slow_header.sendall(b"GET / HTTP/1.1\r\nHost:")
            slow_body.sendall(b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\nContent-Length: 9\r\n"
                              b"Authorization: Bearer " + server.token.encode() + b"\r\n\r\nab")
            for connection in (silent, slow_header, slow_body, plain):
                self.assertEqual(read_to_end(connection), b"")  # a socket that nobody closes would time out and say so
                connection.close()
            wait_until(lambda: server.request("GET", "/v1/status").json()["api"]["connections"] == 1)

    @staticmethod
    def known(server):
        """A connection that has shown its token, and stays open."""
        connection = server.connect()
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.token.encode() + b"\r\n\r\n")
        assert b" 200 OK" in connection.recv(65536)
        return connection

    def test_connections_are_bounded(self):
        with Server(BINARY, connections_max=3) as server:
            held = [self.known(server) for _ in range(3)]
            with self.assertRaises(OSError):
                server.connect()
            held.pop().close()

            def admitted():
                try:
                    return server.request("GET", "/v1/status").json()["api"]["connections_refused"] >= 1
                except OSError:
                    return False
            wait_until(admitted)
            for connection in held:
                connection.close()

    def test_the_oldest_stranger_goes_for_who_comes(self):
        with Server(BINARY, connections_max=4) as server:
            known, silent, guest = self.known(server), server.connect(), server.connect()
            plain = socket.create_connection(("127.0.0.1", server.port), 30)  # never says hello
            wait_until(lambda: server.connect().close() is None and self.displaced(server, 2))
            self.assertEqual(read_to_end(silent), b"")
            for _ in range(20):
                server.connect().close()
            for connection in (guest, plain):
                self.assertEqual(read_to_end(connection), b"")
            known.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 200 OK", read_to_end(known))
            for connection in (known, silent, guest, plain):
                connection.close()

    @staticmethod
    def displaced(server, at_least):
        found = re.search(rb'sluice_api_slow_clients_total\{reason="displaced"\} (\d+)\n', server.request("GET", "/metrics").body)
        return int(found[1]) >= at_least

    def test_one_address_leaves_places_to_others(self):
        with Server(BINARY, connections_per_address=3) as server:
            held = [server.connect() for _ in range(3)]
            with self.assertRaises(OSError):
                server.connect()
            # Another one, of the same loopback.
            with socket.create_connection(("127.0.0.1", server.port), 30, source_address=("127.0.0.2", 0)) as other:
                connection = server.tls.wrap_socket(other, server_hostname="127.0.0.1")
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + server.token.encode() + b"\r\n\r\n")
                answer = read_to_end(connection)
            self.assertEqual(self.status_of(answer), 200)
            self.assertIn(b'sluice_api_connections_refused_total{reason="address"} 1\n', answer)
            self.assertIn(b'sluice_api_connections_refused_total{reason="all"} 0\n', answer)
            held.pop().close()
            wait_until(lambda: self.gets_in(server))
            for connection in held:
                connection.close()

    def test_who_is_gone_before_the_handshake_leaves_the_place(self):
        """Reset at once, so that at any step of the server's the connection may have no address any more."""
        with Server(BINARY, connections_max=8, connections_per_address=8) as server:
            for _ in range(400):
                connection = socket.create_connection(("127.0.0.1", server.port), 30)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            wait_until(lambda: self.gets_in(server))
            held = [server.connect() for _ in range(7)]
            wait_until(lambda: self.gets_in(server))
            for connection in held:
                connection.close()

    @staticmethod
    def gets_in(server):
        try:
            return server.request("GET", "/livez").status == 200
        except OSError:
            return False

    def test_who_asks_too_often_is_told_to_wait(self):
        def at_once(who, count=60):  # in one piece, so that no slow machine fills the bucket meanwhile
            one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" if who is None else b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + who.encode() + b"\r\n\r\n"
            answer = self.raw(server, one * count + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answer)[:count]], answer

        with Server(BINARY, requests_per_second=5) as server:
            statuses, answer = at_once(server.token)
            self.assertEqual(statuses[:10], [200] * 10, "twice as many at once")
            self.assertGreater(statuses.count(429), 30)
            self.assertIn(b"\r\nRetry-After: 1\r\n", answer)
            # Strangers of the same address are somebody else.
            self.assertEqual(server.request("GET", "/livez", token=False).status, 200)
            self.assertIn(429, at_once(None)[0])
            wait_until(lambda: server.request("GET", "/v1/status").status == 200)
            wait_until(lambda: re.search(rb"\nsluice_api_requests_limited_total [1-9]", server.request("GET", "/metrics").body))
            wait_until(lambda: server.put("rule web-in", target="/v1/policy?dry_run=true").status == 200)

    def test_a_body_that_trickles_is_closed_and_one_that_flows_is_not(self):
        with Server(BINARY, body_grace_ms=400, body_ms=20000) as server:
            head = b"PUT /v1/policy?dry_run=true HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\nConnection: close\r\nContent-Length: 9000\r\nAuthorization: Bearer "
            begun = time.monotonic()
            slow, steady = server.connect(), server.connect()
            for connection in (slow, steady):
                connection.sendall(head + server.token.encode() + b"\r\n\r\n")
            closed = False
            for _ in range(18):  # 500 bytes every 50 ms: 10,000 a second, for longer than the grace
                steady.sendall(b"#" * 500)
                if not closed:
                    try:
                        slow.sendall(b"#")
                    except OSError:
                        closed = True
                time.sleep(0.05)
            self.assertEqual(self.status_of(read_to_end(steady)), 200)
            self.assertEqual(read_to_end(slow), b"")
            self.assertLess(time.monotonic() - begun, 15)
            self.assertIn(b'sluice_api_slow_clients_total{reason="body"} 1\n', server.request("GET", "/metrics").body)
            for connection in (slow, steady):
                connection.close()

    def test_a_header_that_trickles_is_closed_in_time(self):
        with Server(BINARY, header_ms=400, idle_ms=20000) as server:
            connection = server.connect()
            begun = time.monotonic()
            try:
                for byte in b"GET /livez HTTP/1.1\r\nHost: somebody.who.has.all.the.time.of.the.world\r\n" * 9:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                pass
            self.assertLess(time.monotonic() - begun, 10)
            connection.close()
            wait_until(lambda: b'sluice_api_slow_clients_total{reason="header"} 1\n' in server.request("GET", "/metrics").body)
            answered = server.connect()  # who has been answered may wait for longer
            answered.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", answered.recv(4096))
            time.sleep(0.6)
            answered.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200 OK", read_to_end(answered))
            answered.close()

    def test_a_slow_commit_holds_up_nobody(self):
        with Server(BINARY) as server:
            connection = server.connect()
            connection.sendall(b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\nContent-Length: 4\r\n"
                               b"If-None-Match: *\r\nConnection: close\r\nAuthorization: Bearer " + server.token.encode() + b"\r\n\r\nSLOW")
            self.assertEqual(server.request("GET", "/v1/policy").status, 404)  # answered before the commit
            server.tell("release")
            self.assertEqual(self.status_of(read_to_end(connection)), 200)
            connection.close()

    def test_a_slow_dataplane_holds_up_no_other_question(self):
        with Server(BINARY) as server:
            slow = [server.connect() for _ in range(3)]
            for connection in slow:
                connection.sendall(b"GET /v1/flows?cursor=SLOW HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
                                   server.token.encode() + b"\r\n\r\n")
            polls = 0

            def all_read():
                nonlocal polls
                polls += 1
                total = re.search(rb"\nsluice_api_requests_total (\d+)", server.request("GET", "/metrics").body)[1]
                return int(total) >= polls + len(slow)
            wait_until(all_read)
            self.assertEqual(server.request("GET", "/v1/status").status, 200)
            self.assertFalse(self.answered(slow))
            server.tell("release")
            for connection in slow:
                connection.close()

    @staticmethod
    def answered(connections):
        for connection in connections:
            connection.setblocking(False)
            try:
                if connection.recv(1):
                    return True
            except ssl.SSLWantReadError:  # nothing, or a session ticket
                pass
        return False

    def test_stop_answers_requests_in_flight(self):
        server = Server(BINARY)
        connection = server.connect()
        connection.sendall(b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\nContent-Length: 4\r\n"
                           b"If-None-Match: *\r\nAuthorization: Bearer " + server.token.encode() + b"\r\n\r\nSLOW")
        wait_until(lambda: b"sluice_api_requests_total 0" not in server.request("GET", "/metrics").body)
        server.close()
        self.assertEqual(self.status_of(read_to_end(connection)), 200)
        connection.close()


if __name__ == "__main__":
    unittest.main(verbosity=1)
