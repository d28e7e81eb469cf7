"""The mock flag server by itself, over sockets: framing, counters, bad clients, its end."""
import json
import pathlib
import random
import resource
import select
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from support import (BUILD, DENY_IO_URING, MOCKSERVER, MockServerCase, alive, io_uring_works,
                     strict_json, wait_for)


class Client:
    """A connection, byte by byte."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def get(self, path, *fields, method="GET", version="HTTP/1.1"):
        lines = [f"{method} {path} {version}", "Host: h", *fields, "", ""]
        self.send("\r\n".join(lines))
        return self.reply(method)

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def reply(self, method="GET"):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise EOFError(self.buffer)
        lines = self.take(self.buffer.index(b"\r\n\r\n") + 4).decode().split("\r\n")[:-2]
        fields = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name not in fields, line
            fields[name] = value
        length = 0 if method == "HEAD" else int(fields.get("Content-Length", 0))
        while len(self.buffer) < length:
            if not self.more():
                raise EOFError(len(self.buffer))
        return int(lines[0].split(" ")[1]), fields, self.take(length)

    def take(self, count):
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def ended(self):
        return self.buffer == b"" and self.socket.recv(1) == b""


class ServerCase(MockServerCase):
    def client(self):
        return Client(self.port)


class Answers(ServerCase):
    def test_a_flag_its_metadata_and_the_manifest_agree(self):
        self.serve()
        with self.client() as client:
            status, fields, body = client.get("/manifest.json")
            self.assertEqual((status, fields["Content-Type"]), (200, "application/json"))
            manifest = strict_json(body)
            self.assertEqual(manifest["admin"], self.ready["admin"])
            self.assertEqual(manifest["corpus"], "dfa5dd31fb8fb89c")
            self.assertEqual(len(manifest["flags"]), 194)
            for flag in manifest["flags"][:5]:
                status, fields, body = client.get(flag["path"])
                self.assertEqual((status, len(body)), (200, flag["bytes"]))
                self.assertEqual(fields["Server"], "bench-mockserver")
                self.assertEqual(fields["Content-Type"], "image/gif")
                self.assertRegex(fields["Date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
                self.assertNotIn("X-Fault", fields)
                status, _, body = client.get(f"/flags/{flag['cc']}/metadata.json")
                self.assertEqual(strict_json(body), {
                    "country": flag["country"], "iso_cc": flag["cc"].upper(), "cc": flag["cc"],
                    "bytes": flag["bytes"]})

    def test_statuses(self):
        self.serve()
        cases = [
            ("GET", "/flags/zz/zz.gif", 404), ("GET", "/flags/cn/cn.png", 404),
            ("GET", "/flags/cn/br.gif", 404), ("GET", "/flags/CN/CN.gif", 404),
            ("GET", "/", 404), ("GET", "/flags/%63n/cn.gif", 200),
            ("GET", "/flags/%00/cn.gif", 400), ("GET", "/flags/cn/cn.gif?", 200),
            ("GET", "/flags/cn/cn.gif?x=1", 400), ("GET", "/flags/cn/cn.gif?delay=5", 400),
            ("GET", "/flags/cn/cn.gif?delay=1ms", 200), ("GET", "/flags/cn/cn.gif?size=0", 200),
            ("GET", "/flags/cn/cn.gif?size=67108865", 400),
            ("GET", "/flags/cn/cn.gif?fault=status:503", 503),
            ("GET", "/flags/cn/cn.gif?fault=status:204", 204),
            ("GET", "/flags/cn/cn.gif?fault=nonsense", 400),
            ("GET", "/flags/cn/metadata.json?size=1", 400),
            ("HEAD", "/flags/cn/cn.gif", 200), ("PUT", "/flags/cn/cn.gif", 405),
            ("GET", "/flags/" + "a" * 3000, 404), ("GET", "/flags/%61" + "a" * 3000, 404),
            ("GET", "/flags/cn/cn.gif", 200),
        ]
        with self.client() as client:
            for method, path, expected in cases:
                status, fields, _ = client.get(path, method=method)
                self.assertEqual(status, expected, path)
                self.assertEqual("Content-Length" in fields, status != 204)
        self.assertEqual(self.stats()["bad_requests"], 7)

    def test_sized_bodies_are_as_the_manifest_says(self):
        self.serve("--seed", "5")
        with self.client() as client:
            for size in (1, 70000, 1200000):
                manifest = strict_json(client.get(f"/manifest.json?size={size}")[2])
                flags = {flag["cc"]: flag for flag in manifest["flags"]}
                bodies = [client.get(flags[cc]["path"])[2] for cc in ("cn", "br", "cn")]
                self.assertEqual([len(body) for body in bodies], [size] * 3)
                self.assertEqual(bodies[0], bodies[2])
                self.assertEqual(bodies[0] == bodies[1], flags["cn"]["xxh3"] == flags["br"]["xxh3"])

    def test_pipelined_requests_are_answered_in_order(self):
        self.serve("--delay", "1ms")
        codes = ["cn", "br", "us", "zz", "de"] * 40
        with self.client() as client:
            client.send("".join(f"GET /flags/{cc}/metadata.json HTTP/1.1\r\nHost: h\r\n\r\n"
                                for cc in codes))
            for cc in codes:
                status, _, body = client.reply()
                self.assertEqual(status, 404 if cc == "zz" else 200)
                if status == 200:
                    self.assertEqual(json.loads(body)["cc"], cc)
        self.assertEqual(self.stats()["max_in_flight"], 1)

    def test_a_client_that_only_sends_is_made_to_wait(self):
        self.serve()
        request = b"GET /flags/cn/cn.gif?size=100000 HTTP/1.1\r\nHost: h\r\n\r\n"
        with self.client() as client:
            sent = 0
            client.socket.settimeout(0.5)
            with self.assertRaises(socket.timeout):
                while sent < 1 << 28:
                    sent += client.socket.send(request * 1000)
            client.socket.settimeout(10)
            for _ in range(200):
                self.assertEqual(len(client.reply()[2]), 100000)

    def test_a_head_may_come_byte_by_byte(self):
        self.serve()
        with self.client() as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual(client.reply()[0], 200)

    def test_when_a_connection_ends(self):
        self.serve("--max-requests", "3")
        path = "/flags/cn/cn.gif"
        with self.client() as client:
            for number in range(3):
                _, fields, _ = client.get(path)
                self.assertEqual(fields.get("Connection"), "close" if number == 2 else None)
            self.assertTrue(client.ended())
        with self.client() as client:
            self.assertEqual(client.get(path, "Connection: close")[1]["Connection"], "close")
            self.assertTrue(client.ended())
        with self.client() as client:
            self.assertEqual(client.get(path, version="HTTP/1.0")[1]["Connection"], "close")
            self.assertTrue(client.ended())
        with self.client() as client:
            fields = client.get(path, "Connection: keep-alive", version="HTTP/1.0")[1]
            self.assertEqual(fields["Connection"], "keep-alive")
            self.assertEqual(client.get(path)[0], 200)

    def test_malformed_requests_are_answered_and_the_connection_ends(self):
        self.serve()
        for text, expected in (("GARBAGE\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
                               ("GET / HTTP/1.1\r\nA: " + "a" * 9000, 431),
                               ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", 405),
                               ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 400)):
            with self.client() as client:
                client.send(text)
                self.assertEqual(client.reply()[0], expected)
                self.assertTrue(client.ended())
        stats = self.stats()
        self.assertEqual((stats["bad_requests"], stats["requests"]), (5, 0))

    def test_a_folder_of_flags(self):
        (self.folder / "cn.png").write_bytes(b"png")
        (self.folder / "br").mkdir()
        (self.folder / "br" / "br.gif").write_bytes(b"brazil")
        self.serve("--flags", self.folder)
        with self.client() as client:
            flags = json.loads(client.get("/manifest.json")[2])["flags"]
            self.assertEqual([flag["path"] for flag in flags],
                             ["/flags/br/br.gif", "/flags/cn/cn.png"])
            status, fields, body = client.get("/flags/cn/cn.png")
            self.assertEqual((status, fields["Content-Type"], body), (200, "image/png", b"png"))
            self.assertEqual(client.get("/flags/us/us.gif")[0], 404)

    def test_the_rate_holds_a_body_back(self):
        self.serve("--rate", "100kB")
        with self.client() as client:
            begin = time.monotonic()
            self.assertEqual(len(client.get("/flags/cn/cn.gif?size=30000")[2]), 30000)
            # The first slice, a hundredth of a second's worth, goes at once.
            self.assertGreaterEqual(time.monotonic() - begin, 0.29)


class Batches(ServerCase):
    """Answers that nothing delays are sent together, where there is io_uring."""
    CODES = ["cn", "br", "us", "zz", "de", "in"]

    def pipeline(self, codes, connections=8):
        """All these flags on each of so many connections, none read before all are asked for."""
        with self.client() as client:
            wanted = {cc: client.get(f"/flags/{cc}/{cc}.gif")[2] for cc in set(codes)}
        clients = [self.client() for _ in range(connections)]
        for client in clients:
            client.send("".join(f"GET /flags/{cc}/{cc}.gif HTTP/1.1\r\nHost: h\r\n\r\n"
                                for cc in codes))
        for client in clients:
            with client:
                for cc in codes:
                    status, _, body = client.reply()
                    self.assertEqual(status, 404 if cc == "zz" else 200)
                    self.assertEqual(body, wanted[cc])
        stats = self.stats()
        self.assertEqual(stats["requests"], connections * len(codes) + len(wanted))
        self.assertEqual((stats["client_aborts"], stats["in_flight"]), (0, 0))
        return stats

    def test_they_are_whole_and_in_order(self):
        self.serve()
        if not io_uring_works(self):
            self.skipTest("no io_uring here")
        stats = self.pipeline(self.CODES * 50)
        # Only the last of each connection is followed by nothing.
        self.assertGreater(stats["batched"], 0)
        self.assertLess(stats["batched"], stats["requests"])

    def test_one_that_the_last_deadline_brings_on_is_not_forgotten(self):
        self.serve()
        with self.client() as client:
            client.socket.settimeout(0.5)  # less than until the loop wakes up for its sweep
            for _ in range(20):
                client.send("GET /flags/cn/cn.gif?delay=20ms HTTP/1.1\r\nHost: h\r\n\r\n"
                            "GET /flags/br/br.gif HTTP/1.1\r\nHost: h\r\n\r\n")
                self.assertEqual([client.reply()[0] for _ in range(2)], [200, 200])

    def test_a_near_deadline_is_kept_where_there_was_none(self):
        self.serve()
        with self.client() as client:
            client.socket.settimeout(0.5)  # as above
            for delay in ["20us", "100us", "1ms"] * 10:
                self.assertEqual(client.get(f"/flags/cn/cn.gif?delay={delay}")[0], 200)

    def test_a_late_answer_that_its_socket_does_not_take_whole_is_sent_on(self):
        self.serve()
        with self.client() as client:
            client.socket.settimeout(0.5)
            for _ in range(10):
                body = client.get("/flags/cn/cn.gif?delay=1ms&size=4000000")[2]
                self.assertEqual(len(body), 4000000)

    def test_many_that_ask_at_once_are_all_answered(self):
        self.serve("--loops", "2")
        clients = [self.client() for _ in range(400)]
        for client in clients:
            client.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n")
        for client in clients:
            with client:
                self.assertEqual(client.reply()[0], 200)
        stats = self.stats()
        self.assertEqual((stats["requests"], stats["client_aborts"]), (400, 0))

    def test_a_turn_ends_when_they_are_sent(self):
        self.serve()
        with self.client() as client:
            for _ in range(50):
                self.assertEqual(client.get("/flags/cn/cn.gif")[0], 200)
        # One for each of them; and to accept, to see the end, and for the sweeps of a busy machine.
        self.assertIn(self.stats()["turn"]["count"], range(50, 80))

    def test_a_client_that_says_that_nothing_follows_is_answered(self):
        self.serve()
        for _ in range(50):
            with self.client() as client:
                client.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n")
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.reply()[0], 200)
                self.assertTrue(client.ended())
        self.assertEqual(self.stats()["client_aborts"], 0)

    def test_an_answer_that_its_socket_does_not_take_whole_is_sent_on(self):
        wanted = random.Random(1).randbytes(250_000)
        (self.folder / "cn.gif").write_bytes(wanted)
        self.serve("--flags", self.folder)
        with self.client() as client:
            asked = 0
            while not self.is_stuck(asked):
                self.assertLess(asked, 400, "the kernel takes it all")
                client.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n")
                asked += 1
            for _ in range(asked):
                self.assertEqual(client.reply()[2], wanted)
        stats = self.stats()
        self.assertEqual((stats["requests"], stats["client_aborts"]), (asked, 0))
        self.assertEqual(stats["batched"], asked if io_uring_works(self) else 0)

    def is_stuck(self, asked):
        """Is the last answer on its way, and stays there?"""
        wait_for(lambda: self.stats()["requests"] == asked)
        return all(self.stats()["in_flight"] == 1 for _ in range(5))

    def test_without_io_uring_each_is_sent_by_itself(self):
        self.serve(under=[DENY_IO_URING])
        self.assertEqual(self.pipeline(self.CODES * 10)["batched"], 0)

    def test_answers_with_a_deadline_are_not_kept_waiting(self):
        self.serve("--delay", "1ms")
        self.assertEqual(self.pipeline(self.CODES * 2)["batched"], 0)

    def test_a_client_that_is_gone_takes_nobody_along(self):
        self.serve()
        with self.client() as client:
            wanted = client.get("/flags/cn/cn.gif")[2]
            for _ in range(200):
                gone = self.client()
                gone.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n" * 20)
                gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                gone.socket.close()
                self.assertEqual(client.get("/flags/cn/cn.gif")[2], wanted)
        wait_for(lambda: self.stats()["open"] == 0)
        self.assertEqual(self.stats()["in_flight"], 0)


class Plan(ServerCase):
    def test_it_tells_what_the_server_then_does(self):
        options = ["--seed", "42", "--delay", "uniform:1ms:20ms", "--fault",
                   "status:418@.4,try<=2", "--fault", "status:503@.1,try<=1"]
        codes = ["cn", "in", "us", "zz", "br", "de", "fr", "vn"]
        plan = self.run_program(MOCKSERVER, *options, "--plan", ",".join(codes).upper())
        self.assertEqual((plan.returncode, plan.stderr), (0, ""))
        lines = [line.split("\t") for line in plan.stdout.splitlines()]
        self.assertEqual(lines[0], ["cc", "attempt", "status", "delay_ms"])
        self.assertEqual([line[:2] for line in lines[1:]],
                         [[cc, str(attempt)] for cc in codes for attempt in (1, 2, 3)])
        self.serve(*options)
        seen = set()
        total_ms = 0
        with self.client() as client:
            for cc, attempt, status, delay_ms in reversed(lines[1:]):
                begin = time.monotonic()
                got, fields, _ = client.get(
                    f"/flags/{cc}/{cc}.gif",
                    f"X-Bench: run=plan;req={codes.index(cc)};try={attempt}")
                self.assertGreaterEqual((time.monotonic() - begin) * 1000, float(delay_ms))
                self.assertEqual(got, int(status), (cc, attempt))
                hit = got in (418, 503)
                self.assertEqual(fields["X-Fault"], f"status:{got}" if hit else "none")
                seen.add(got)
                total_ms += float(delay_ms)
        self.assertLessEqual({200, 404, 418}, seen)
        stats = self.stats()
        self.assertEqual((stats["distinct_keys"], stats["duplicates"]), (8, 0))
        self.assertAlmostEqual(stats["sum_delay_ns"] / 1e6, total_ms, places=3)

    def test_what_is_refused(self):
        for arguments, says in (
                (["--delay", "20"], "units"), (["--delay", "uniform:2ms:1ms"], "LO <= HI"),
                (["--port", "65536"], "65535"), (["--loops", "0"], "1 to 64"),
                (["--fault", "status:418@2"], "out of range"), (["--fault", "x"], "status:CODE"),
                (["--fault", "status:418@.6", "--fault", "status:503@.6"], "more than 1"),
                (["--rate", "10"], "unit"), (["--bind", "localhost"], "127.0.0.1"),
                (["--flags", "/nonexistent"], "No such"), (["--flags", self.folder], "CC.gif"),
                (["--plan", "C"], "CN,IN,US"), (["--nope"], "--nope"), (["word"], "word")):
            done = self.run_program(MOCKSERVER, *arguments, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (64, ""), arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(says, done.stderr)

    def test_a_port_that_is_taken(self):
        self.serve()
        for option in ("--port", "--admin-port"):
            done = self.run_program(MOCKSERVER, option, str(self.port), timeout=20)
            self.assertEqual((done.returncode, done.stdout), (69, ""))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Counters(ServerCase):
    def test_they_count_what_happened(self):
        self.serve("--loops", "3")
        paths = ["/flags/cn/cn.gif", "/flags/br/br.gif", "/flags/br/metadata.json",
                 "/flags/zz/zz.gif"]
        self.assertEqual(self.admin("/reset?run=r1", "POST"), b"ok\n")
        clients = [self.client() for _ in range(6)]
        sent = 0
        for index, client in enumerate(clients):
            with client:
                client.get("/manifest.json")
                if index < 5:
                    for offset, path in enumerate(paths):
                        number = index * 4 + offset
                        _, _, body = client.get(path, f"X-Bench: run=r1;req={number};try=1")
                        sent += len(body)
        with self.client() as client:
            client.get(paths[0], "X-Bench: run=r1;req=0;try=1")
            client.get(paths[0], "X-Bench: run=r1;req=0;try=2")
            client.get(paths[0], "X-Bench: run=other;req=0;try=1")
        wait_for(lambda: self.stats()["open"] == 0)
        stats = self.stats()
        expected = {"run": "r1", "accepted": 6, "requests": 23, "in_flight": 0,
                    "max_in_flight": 1, "by_status": {"200": 18, "404": 5}, "faults": {},
                    "distinct_keys": 20, "duplicates": 1, "other_run": 1, "client_aborts": 0,
                    "bad_requests": 0, "sum_delay_ns": 0, "loops": 3,
                    "paths": {paths[0]: 8, paths[1]: 5, paths[2]: 5}}
        self.assertEqual({name: stats[name] for name in expected}, expected)
        self.assertGreater(stats["bytes_out"], sent)
        self.assertLess(stats["first_request_ns"], stats["last_response_ns"])
        self.admin("/reset", "POST")
        stats = self.stats()
        self.assertEqual((stats["run"], stats["requests"], stats["accepted"]), ("", 0, 0))

    def test_in_flight_is_exact_across_loops(self):
        self.serve("--loops", "2", "--delay", "1s")
        clients = [self.client() for _ in range(20)]
        for client in clients:
            client.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_for(lambda: self.stats()["in_flight"] == 20)
        for client in clients:
            self.assertEqual(client.reply()[0], 200)
        self.assertEqual(self.stats()["in_flight"], 0)  # at once: the last byte tells
        self.assertEqual(self.stats()["max_in_flight"], 20)
        for client in clients:
            client.socket.close()

    def test_clients_that_go_away(self):
        self.serve("--delay", "30s")
        request = "GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n"
        with self.client() as gone, self.client() as half, self.client() as broken:
            for client in (gone, half, broken):
                client.send(request)
            wait_for(lambda: self.stats()["in_flight"] == 3)
            gone.socket.close()
            half.socket.shutdown(socket.SHUT_WR)
            broken.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            broken.socket.close()
            wait_for(lambda: self.stats()["in_flight"] == 0)
        stats = self.stats()
        self.assertEqual((stats["client_aborts"], stats["open"]), (3, 0))
        with self.client() as client:  # in the middle of a body
            client.send("GET /flags/cn/cn.gif?size=60000000&delay=0 HTTP/1.1\r\nHost: h\r\n\r\n")
            client.more()
        wait_for(lambda: self.stats()["client_aborts"] == 4)
        self.assertLess(self.stats()["bytes_out"], 60000000)
        with self.client() as client:  # in the middle of a head
            client.send("GET /")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(client.ended())
        with self.client() as client:
            self.assertEqual(client.get("/flags/cn/cn.gif?delay=0")[0], 200)

    def test_the_admin_port_refuses_what_it_does_not_know(self):
        self.serve()
        port = int(self.ready["admin"].rsplit(":", 1)[1])
        with Client(port) as client:
            for method, path, expected in (("GET", "/healthz", 200), ("HEAD", "/stats", 200),
                                           ("GET", "/reset", 405), ("POST", "/stats", 405),
                                           ("POST", "/reset?run=", 400), ("GET", "/x", 404),
                                           ("POST", "/reset?run=" + "a" * 65, 400),
                                           ("POST", "/reset?run=" + "a" * 64, 200)):
                self.assertEqual(client.get(path, method=method)[0], expected, path)


class Loops(ServerCase):
    """Several threads: what they share has to be exact, whichever of them serves a request."""

    def together(self, count, work):
        """work(index) in `count` threads, each with a connection of its own."""
        failures = []

        def run(index):
            try:
                with self.client() as client:
                    work(index, client)
            except BaseException as failure:  # an assertion too: it has to reach the test
                failures.append(failure)
        threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def test_attempts_of_a_path_are_counted_across_loops(self):
        # Without a number in the request the server counts: the first 37 are hit, whoever asks.
        self.serve("--loops", "4", "--fault", "status:418@1,try<=37")
        statuses = []

        def work(_, client):
            for _ in range(40):
                status, fields, _ = client.get("/flags/cn/cn.gif")
                self.assertEqual(fields["X-Fault"], "status:418" if status == 418 else "none")
                statuses.append(status)
        self.together(8, work)
        self.assertEqual((statuses.count(418), statuses.count(200)), (37, 283))
        stats = self.stats()
        self.assertEqual(stats["faults"], {"status:418": 37})
        self.assertEqual(stats["by_status"], {"200": 283, "418": 37})
        self.assertEqual((stats["requests"], stats["accepted"], stats["distinct_keys"]),
                         (320, 8, 1))

    def test_faults_are_those_of_the_plan_on_any_loop(self):
        options = ["--seed", "9", "--fault", "status:503@.5,try<=3"]
        codes = ["cn", "in", "us", "br", "de", "fr", "vn", "jp"] * 6
        plan = self.run_program(MOCKSERVER, *options, "--plan", ",".join(codes))
        lines = [line.split("\t") for line in plan.stdout.splitlines()[1:]]
        expected = {(number, attempt): int(lines[number * 4 + attempt - 1][2])
                    for number in range(len(codes)) for attempt in range(1, 5)}
        self.serve("--loops", "4", *options)
        got = {}

        def work(index, client):
            cases = list(expected)
            random.Random(index).shuffle(cases)
            for number, attempt in cases[index::8]:
                got[index, number, attempt] = client.get(
                    f"/flags/{codes[number]}/{codes[number]}.gif",
                    f"X-Bench: run=r;req={number};try={attempt}")[0]
        self.together(8, work)
        self.assertEqual({status for status in got.values()}, {200, 503})
        for (_, number, attempt), status in got.items():
            self.assertEqual(status, expected[number, attempt])

    def test_counts_are_exact_under_load(self):
        self.serve("--loops", "3", "--delay", "uniform:0ms:2ms")
        self.together(12, lambda index, client: [
            client.get("/flags/br/metadata.json", f"X-Bench: run=r;req={index * 50 + i};try=1")
            for i in range(50)])
        stats = self.stats()
        self.assertEqual((stats["requests"], stats["distinct_keys"], stats["duplicates"],
                          stats["in_flight"], stats["accepted"]), (600, 600, 0, 0, 12))
        self.assertEqual(stats["paths"], {"/flags/br/metadata.json": 600})
        self.assertLessEqual(stats["max_in_flight"], 12)


def is_sanitized():
    cache = (BUILD / "CMakeCache.txt").read_text()
    return "\nBENCH_SANITIZE:STRING=\n" not in cache


def waited_for_core_ms(pid):
    """How long the threads of a process were ready to run and had no core."""
    return sum(int((task / "schedstat").read_text().split()[1])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e6


class Lateness(ServerCase):
    """Delays are kept to 0.1 ms, as the server itself measures."""
    TARGET_US = 1000 if is_sanitized() else 100
    BUSY_MS = 30  # without a core for so long, of 5 s, nobody could keep it
    ATTEMPTS = 4

    def open_many(self, count):
        low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + 100
        if high != resource.RLIM_INFINITY and high < wanted:
            self.skipTest(f"{wanted} descriptors are needed, the hard limit is {high}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(low, wanted), high))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (low, high))
        clients = []
        for _ in range(count):
            clients.append(self.client())
            self.addCleanup(clients[-1].socket.close)
        return clients

    def ask_evenly(self, clients, per_second):
        begin = time.monotonic()
        for index, client in enumerate(clients):
            early = begin + index / per_second - time.monotonic()
            if early > 0:
                time.sleep(early)
            client.send("GET /flags/cn/metadata.json HTTP/1.1\r\nHost: h\r\n"
                        f"X-Bench: run=late;req={index};try=1\r\n\r\n")

    def wait_for_all(self, clients):
        poller = select.epoll()
        self.addCleanup(poller.close)
        sockets = {client.socket.fileno(): client for client in clients}
        for number in sockets:
            poller.register(number, select.EPOLLIN)
        while sockets:
            ready = poller.poll(10)
            self.assertTrue(ready, "answers are missing")
            for number, _ in ready:
                poller.unregister(number)
                self.assertEqual(sockets.pop(number).reply()[0], 200)

    def test_ten_thousand_connections(self):
        self.serve("--delay", "uniform:3s:4500ms", "--seed", "3")
        pid = self.ready["pid"]
        clients = self.open_many(10000)
        told = []
        for _ in range(self.ATTEMPTS):
            self.admin("/reset?run=late", "POST")
            waited_ms = waited_for_core_ms(pid)
            self.ask_evenly(clients, 5000)
            self.wait_for_all(clients)
            waited_ms = waited_for_core_ms(pid) - waited_ms
            stats = self.stats()
            late = stats["lateness"]
            self.assertEqual(late["count"], 10000)
            self.assertLessEqual(late["p50_us"], late["p99_us"])
            self.assertLessEqual(late["p99_us"], late["max_us"])
            if late["p99_us"] <= self.TARGET_US and stats["max_in_flight"] == 10000:
                return
            told.append((late["p99_us"], stats["max_in_flight"], round(waited_ms)))
        what = f"(p99 in us, most in flight, ms without a core): {told}"
        if all(waited_ms >= self.BUSY_MS for _, _, waited_ms in told):
            self.skipTest(f"others had the cores: {what}")
        self.fail(what)

    def test_a_burst_is_reported_as_late_as_it_is(self):
        # Bodies of 30 ms in all, wanted at one instant: the last cannot be in time.
        self.serve("--delay", "50ms")
        clients = self.open_many(200)
        for client in clients:
            client.send("GET /flags/cn/cn.gif?size=300000 HTTP/1.1\r\nHost: h\r\n\r\n")
        self.wait_for_all(clients)
        late = self.stats()["lateness"]
        self.assertEqual(late["count"], 200)
        self.assertGreater(late["max_us"], 200)

    def test_without_delays_nothing_is_late(self):
        self.serve()
        with self.client() as client:
            self.assertEqual(client.get("/flags/cn/cn.gif")[0], 200)
        stats = self.stats()
        self.assertEqual(stats["lateness"],
                         {"count": 0, "p50_us": 0.0, "p99_us": 0.0, "max_us": 0.0})
        self.assertGreater(stats["turn"]["count"], 0)
        self.assertGreater(stats["turn"]["max_us"], 0)

    def test_no_answer_is_early_and_a_reset_forgets(self):
        self.serve("--delay", "3ms")
        with self.client() as client:
            for _ in range(30):
                begin = time.monotonic()
                client.get("/flags/cn/cn.gif")
                self.assertGreaterEqual(time.monotonic() - begin, 0.003)
        self.assertEqual(self.stats()["lateness"]["count"], 30)
        self.admin("/reset", "POST")
        self.assertEqual(self.stats()["lateness"]["max_us"], 0.0)

    def test_a_large_body_does_not_hold_up_the_others(self):
        self.serve("--delay", "0")
        stop = threading.Event()

        def read_on():
            with self.client() as client:
                while not stop.is_set():
                    self.assertEqual(len(client.get("/flags/cn/cn.gif?size=60000000")[2]),
                                     60000000)
        reader = threading.Thread(target=read_on)
        reader.start()
        with self.client() as client:
            for _ in range(50):
                client.get("/flags/cn/metadata.json?delay=5ms")
        stop.set()
        reader.join()
        self.assertEqual(self.stats()["lateness"]["count"], 50)


class End(ServerCase):
    def test_signals_end_it_with_requests_open(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server = self.serve("--loops", "2", "--delay", "30s")
            clients = [self.client() for _ in range(4)]
            for client in clients:
                client.send("GET /flags/cn/cn.gif HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_for(lambda: self.stats()["in_flight"] == 4)
            server.send_signal(number)
            self.assertEqual(server.wait(10), 0)
            for client in clients:
                client.socket.close()

    def test_signals_end_it_while_it_waits_for_requests(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server = self.serve("--loops", "2")
            clients = [self.client() for _ in range(4)]
            for client in clients:
                self.assertEqual(client.get("/flags/cn/cn.gif")[0], 200)
            server.send_signal(number)
            self.assertEqual(server.wait(10), 0)
            for client in clients:
                self.assertTrue(client.ended())
                client.socket.close()

    def test_it_follows_its_parent(self):
        script = ('import subprocess, sys; s = subprocess.Popen(sys.argv[1:], '
                  'stdout=subprocess.PIPE); print(s.pid, flush=True); s.stdout.readline()')
        parent = subprocess.run(["python3", "-c", script, str(MOCKSERVER), "--die-with-parent"],
                                stdout=subprocess.PIPE, text=True, env=self.environment,
                                check=True, timeout=20)
        wait_for(lambda: not alive(int(parent.stdout)))

    def test_a_parent_that_is_gone_already_is_noticed(self):
        done = self.run_program(MOCKSERVER, "--die-with-parent=1", timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_running_out_of_descriptors_turns_away_and_goes_on(self):
        server = subprocess.Popen(
            ["sh", "-c", 'ulimit -n 40; exec "$0"', MOCKSERVER], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.stderr.close)
        self.port = int(json.loads(server.stdout.readline())["url"].split(":")[2].split("/")[0])
        clients = [self.client() for _ in range(60)]
        served = 0
        for client in clients:
            try:
                served += client.get("/flags/cn/cn.gif")[0] == 200
            except (EOFError, ConnectionError):
                pass
        self.assertIn(served, range(10, 40))
        for client in clients:
            client.socket.close()

        def answers():
            with self.client() as client:
                try:
                    return client.get("/flags/cn/cn.gif")[0] == 200
                except (EOFError, ConnectionError):
                    return False
        wait_for(answers)
        server.terminate()
        self.assertEqual(server.wait(20), 0)
        self.assertRegex(server.stderr.read(), r"^mockserver: out of descriptors, .* is 40 .*\n$")

    def test_the_limit_of_descriptors_is_raised_to_the_hard_one(self):
        server = subprocess.Popen(["sh", "-c", 'ulimit -Sn 64; exec "$0"', MOCKSERVER],
                                  stdout=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(server.stdout.close)
        self.ready = strict_json(server.stdout.readline())
        self.stats()  # by now it waits for a signal too
        limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text()
        soft, hard = [line for line in limits.splitlines() if "open files" in line][0].split()[3:5]
        self.assertEqual(soft, hard)
        server.terminate()
        self.assertEqual(server.wait(20), 0)

    def test_who_keeps_connections_alive_has_them_closed_by_the_client(self):
        # Who closes first keeps the pair of ports in TIME_WAIT (RFC 9293 section 3.3.2).
        self.serve()
        for _ in range(20):
            with self.client() as client:
                client.get("/flags/cn/cn.gif")
        wait_for(lambda: self.stats()["open"] == 0)
        ours = f":{self.port:04X}"
        waiting = [line.split()[1] for line in pathlib.Path("/proc/net/tcp").read_text()
                   .splitlines()[1:] if line.split()[3] == "06"]
        self.assertEqual([pair for pair in waiting if pair.endswith(ours)], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
