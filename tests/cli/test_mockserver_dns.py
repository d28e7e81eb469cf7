"""The mock DNS server by itself: messages made by hand, and dig and drill as witnesses."""
import json
import random
import re
import shutil
import socket
import struct
import threading
import time
import unittest

from support import MOCKSERVER, DnsServerCase, wait_for

A, AAAA, TXT, OPT, ANY = 1, 28, 16, 41, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
NAMES = [f"n{number}.dev" for number in range(24)]


def wire_name(name):
    labels = name.encode().split(b".") if name else []
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(name, kind=A, number=1, flags=0x0100, extra=b"", extras=0):
    header = struct.pack(">6H", number, flags, 1, 0, 0, extras)
    return header + wire_name(name) + struct.pack(">2H", kind, 1) + extra


def opt(version=0, flags=0, options=b""):
    return struct.pack(">BHHBBHH", 0, OPT, 1232, 0, version, flags, len(options)) + options


class Answer:
    """Of a message: what stands in it; the question has to be the one of the query."""

    def __init__(self, data, asked):
        self.data = data
        (self.number, self.flags, questions, answers, authorities,
         additional) = struct.unpack_from(">6H", data)
        self.rcode = self.flags & 15
        self.truncated = self.flags & 0x0200 != 0
        self.authoritative = self.flags & 0x0400 != 0
        end = 12
        if questions:
            end = asked.index(b"\0", 12) + 5
            assert data[12:end] == asked[12:end], (data, asked)
        self.has_question = questions == 1
        self.addresses, self.ttls = [], []
        for _ in range(answers):
            pointer, kind, family, ttl, length = struct.unpack_from(">3HIH", data, end)
            assert (pointer, kind, family, length) == (0xc00c, A, 1, 4), data
            self.addresses.append(socket.inet_ntoa(data[end + 12:end + 16]))
            self.ttls.append(ttl)
            end += 16
        self.opt = None
        if additional:
            root, kind, _, self.opt, length = struct.unpack_from(">BHHIH", data, end)
            assert (root, kind, length, additional) == (0, OPT, 0, 1), data
            end += 11
        assert authorities == 0 and end == len(data), data


class DnsCase(DnsServerCase):
    def udp(self, timeout=10):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(timeout)
        client.connect(("127.0.0.1", self.port))
        return client

    def tcp(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.addCleanup(client.close)
        return client

    def ask(self, name, kind=A, client=None, **more):
        client = client or self.udp()
        asked = query(name, kind, **more)
        client.send(asked)
        return Answer(client.recv(4096), asked)

    def hear(self, client, asked):
        return Answer(self.read(client, struct.unpack(">H", self.read(client, 2))[0]), asked)

    def ask_over_tcp(self, name, kind=A, client=None):
        client = client or self.tcp()
        asked = query(name, kind)
        client.sendall(struct.pack(">H", len(asked)) + asked)
        return self.hear(client, asked)

    @staticmethod
    def read(client, count):
        data = b""
        while len(data) < count:
            more = client.recv(count - len(data))
            if not more:
                raise EOFError(data)
            data += more
        return data

    def is_silent(self, client):
        client.settimeout(0.2)
        with self.assertRaises(socket.timeout):
            client.recv(4096)
        client.settimeout(10)

    def check(self, answer, planned):
        """An answer against a line of the plan, over UDP."""
        outcome = planned["outcome"]
        self.assertEqual(answer.rcode, {"found": NOERROR, "truncate": NOERROR, "nxdomain": NXDOMAIN,
                                        "servfail": SERVFAIL}[outcome], planned)
        self.assertEqual(answer.truncated, outcome == "truncate")
        self.assertEqual(answer.addresses, [planned["address"]] if outcome == "found" else [])


class Answers(DnsCase):
    def test_names_are_there_or_not_as_planned(self):
        plan = self.plan(NAMES, "--seed", "7")
        self.assertEqual({line["outcome"] for line in plan}, {"found", "nxdomain"})
        self.serve("--seed", "7")
        self.assertRegex(self.ready["dns"], r"^127\.0\.0\.1:\d+$")
        for line in plan:
            answer = self.ask(line["name"])
            self.check(answer, line)
            self.assertTrue(answer.authoritative)
            self.assertEqual(set(answer.ttls) - {0}, set())
            self.assertEqual(self.ask_over_tcp(line["name"]).data, answer.data)

    def test_case_makes_no_difference_and_is_kept(self):
        self.serve()
        for name in NAMES[:6]:
            # Answer compares the question with the one that was sent, to the byte.
            self.assertEqual(self.ask(name.upper()).addresses, self.ask(name).addresses)
        self.assertEqual(self.stats()["keys"], {name: 2 for name in NAMES[:6]})

    def test_other_types_of_a_name_that_is_there_are_empty(self):
        found = next(line for line in self.plan(NAMES) if line["outcome"] == "found")
        self.serve()
        for kind in (AAAA, TXT, 65535):
            answer = self.ask(found["name"], kind)
            self.assertEqual((answer.rcode, answer.addresses), (NOERROR, []))
        self.assertEqual(self.ask(found["name"], ANY).addresses, [found["address"]])
        self.assertEqual(self.stats()["by_outcome"], {"no_data": 3, "found": 1})

    def test_opt_is_answered_with_opt(self):
        self.serve()
        cookie = struct.pack(">2H8s", 10, 8, b"12345678")
        for extra, answered in ((opt(), 0), (opt(flags=0x8000), 0x8000), (opt(options=cookie), 0)):
            answer = self.ask("if.dev", extra=extra, extras=1)
            self.assertEqual(answer.opt, answered)
        answer = self.ask("if.dev", extra=opt(version=1), extras=1)
        self.assertEqual((answer.rcode, answer.opt), (0, 0x01000000))  # BADVERS is 16
        self.assertIsNone(self.ask("if.dev").opt)

    def test_bytes_that_are_not_printed_are_told_escaped(self):
        self.serve()
        asked = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\4a. \xff\0\0\1\0\1"
        client = self.udp()
        client.send(asked)
        self.assertIn(Answer(client.recv(4096), asked).rcode, (NOERROR, NXDOMAIN))
        self.assertEqual(self.stats()["keys"], {"a\\.\\032\\255": 1})

    def test_it_serves_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        for bind in ("::1", "::"):
            self.serve("--bind", bind)
            self.assertRegex(self.ready["dns"], r"^\[::1\]:\d+$")
            asked = query("if.dev")
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                client.sendto(asked, ("::1", self.port))
                Answer(client.recv(4096), asked)

    def test_a_wildcard_is_told_as_loopback(self):
        self.serve("--bind", "0.0.0.0")
        self.assertRegex(self.ready["dns"], r"^127\.0\.0\.1:\d+$")
        self.ask("if.dev")


class Malformed(DnsCase):
    CASES = [
        ("an inverse query", query("if.dev", flags=0x0900), NOTIMP),
        ("a notification", query("if.dev", flags=0x2000), NOTIMP),
        ("an update", query("if.dev", flags=0x2800), NOTIMP),
        ("no question", struct.pack(">6H", 1, 0x0100, 0, 0, 0, 0), FORMERR),
        ("two questions", struct.pack(">6H", 1, 0, 2, 0, 0, 0) + query("a")[12:] * 2, FORMERR),
        ("65535 records", query("if.dev", extras=65535), FORMERR),
        ("a pointer", struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", FORMERR),
        ("a name too long", query(".".join(["x" * 63] * 4)), FORMERR),
        ("a name cut short", query("if.dev")[:-8], FORMERR),
        ("more than the message", query("if.dev") + b"x", FORMERR),
        ("another class", query("if.dev")[:-2] + b"\0\3", REFUSED),
        ("a transfer of the zone", query("if.dev", 252), REFUSED),
        ("less than a header", query("if.dev")[:11], None),
        ("nothing", b"", None),
        ("an answer", query("if.dev", flags=0x8180), None),
    ]

    def test_what_is_no_query_is_answered_by_the_book_or_dropped(self):
        self.serve()
        for what, asked, rcode in self.CASES:
            with self.subTest(what):
                client = self.udp()
                client.send(asked)
                if rcode is None:
                    self.is_silent(client)
                    continue
                answer = Answer(client.recv(4096), asked)
                self.assertEqual((answer.rcode, answer.addresses), (rcode, []))
                self.assertEqual(answer.flags >> 11 & 15, asked[2] >> 3 & 15)
                self.assertFalse(answer.authoritative)
        stats = self.stats()
        self.assertEqual((stats["requests"], stats["bad_requests"], stats["keys"]),
                         (0, len(self.CASES), {}))

    def test_noise_does_not_end_it(self):
        server = self.serve()
        source = random.Random(1)
        client = self.udp()
        valid = query("if.dev", extra=opt(), extras=1)
        for _ in range(3000):
            data = bytearray(valid if source.random() < 0.7 else source.randbytes(60))
            for _ in range(source.randrange(4)):
                data[source.randrange(len(data))] = source.randrange(256)
            client.send(bytes(data[:source.randrange(len(data) + 1)]))
        self.assertIsNone(server.poll())
        wait_for(lambda: sum(self.stats()[name] for name in
                             ("requests", "bad_requests", "lost")) == 3000)
        self.ask("if.dev")

    def test_noise_over_tcp_does_not_end_it(self):
        server = self.serve()
        source = random.Random(2)
        for _ in range(100):
            client = self.tcp()
            try:
                client.sendall(source.randbytes(source.randrange(4000)))
            except (ConnectionResetError, BrokenPipeError):
                pass  # a length beyond the limit ends the connection
            client.close()
        self.assertIsNone(server.poll())
        self.ask_over_tcp("if.dev")


class Tcp(DnsCase):
    def test_messages_may_come_byte_by_byte_and_many_at_once(self):
        self.serve()
        client = self.tcp()
        asked = query("if.dev")
        for byte in struct.pack(">H", len(asked)) + asked:
            client.sendall(bytes([byte]))
            time.sleep(0.001)
        expected = self.hear(client, asked).data
        client.sendall((struct.pack(">H", len(asked)) + asked) * 500)
        for _ in range(500):
            self.assertEqual(self.hear(client, asked).data, expected)
        stats = self.stats()
        self.assertEqual((stats["accepted"], stats["open"], stats["by_transport"]),
                         (1, 1, {"udp": 0, "tcp": 501}))

    def test_answers_come_in_the_order_of_their_delays(self):
        options = ("--delay", "uniform:1ms:200ms", "--seed", "3")
        plan = sorted(self.plan(NAMES, *options), key=lambda line: float(line["delay_ms"]))
        self.serve(*options)
        client = self.tcp()
        asked = [query(name, number=number) for number, name in enumerate(NAMES)]
        client.sendall(b"".join(struct.pack(">H", len(one)) + one for one in asked))
        order = []
        for _ in NAMES:
            data = self.read(client, struct.unpack(">H", self.read(client, 2))[0])
            order.append(NAMES[struct.unpack_from(">H", data)[0]])
        # Two that are due within a millisecond of each other may have arrived that much apart.
        delay = {line["name"]: float(line["delay_ms"]) for line in plan}
        for earlier, later in zip(order, order[1:]):
            self.assertLess(delay[earlier], delay[later] + 20)

    def test_a_message_too_long_ends_the_connection(self):
        self.serve()
        client = self.tcp()
        client.sendall(struct.pack(">H", 1025))
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.stats()["bad_requests"], 1)

    def test_who_goes_away_is_sent_nothing_more(self):
        self.serve("--delay", "60s")
        clients = [self.tcp() for _ in range(5)]
        asked = query("if.dev")
        for client in clients:
            client.sendall((struct.pack(">H", len(asked)) + asked) * 3)
        wait_for(lambda: self.stats()["in_flight"] == 15)
        for client in clients:
            client.close()
        wait_for(lambda: self.stats()["open"] == 0)
        stats = self.stats()
        self.assertEqual((stats["in_flight"], stats["client_aborts"], stats["max_in_flight"]),
                         (0, 5, 15))
        self.assertEqual(stats["by_outcome"], {})

    def test_an_idle_connection_is_closed(self):
        self.serve()
        client = self.tcp()
        client.settimeout(30)
        self.ask_over_tcp("if.dev", client=client)
        begin = time.monotonic()
        self.assertEqual(client.recv(1), b"")
        self.assertTrue(9.5 < time.monotonic() - begin < 20)


class Faults(DnsCase):
    OPTIONS = ("--seed", "11", "--delay", "uniform:0:5ms", "--fault", "servfail@.2,try<=3",
               "--fault", "nxdomain@.2,try<=3", "--fault", "drop@.2,try<=3",
               "--fault", "truncate@.2,try<=3")

    def test_every_attempt_is_answered_as_planned_in_any_order(self):
        plan = self.plan(NAMES, *self.OPTIONS)
        self.assertEqual({line["outcome"] for line in plan},
                         {"found", "nxdomain", "servfail", "drop", "truncate"})
        self.assertEqual(len(plan), 4 * len(NAMES))
        self.serve(*self.OPTIONS)
        lookups = {name: [line for line in plan if line["name"] == name] for name in NAMES}
        order = [name for name in NAMES for _ in range(4)]
        random.Random(5).shuffle(order)
        client = self.udp()
        for number, name in enumerate(order):
            line = lookups[name].pop(0)
            begin = time.monotonic()
            client.send(query(name, number=number))
            if line["outcome"] == "drop":
                continue
            answer = Answer(client.recv(4096), query(name))
            self.assertEqual(answer.number, number)
            self.assertGreaterEqual((time.monotonic() - begin) * 1000, float(line["delay_ms"]))
            self.check(answer, line)
        self.is_silent(client)
        self.check_stats(plan)

    def check_stats(self, plan):
        stats = self.stats()
        outcomes = [line["outcome"] for line in plan]
        self.assertEqual(stats["by_outcome"], {name: outcomes.count(name) for name in outcomes})
        self.assertEqual(stats["requests"], len(plan))
        self.assertEqual(stats["by_transport"], {"udp": len(plan), "tcp": 0})
        self.assertEqual(stats["keys"], {name: 4 for name in NAMES})
        self.assertEqual((stats["distinct_keys"], stats["in_flight"], stats["lost"],
                          stats["unsent"]), (len(NAMES), 0, 0, 0))
        for fault in ("servfail", "drop", "truncate"):
            self.assertEqual(stats["faults"][fault], outcomes.count(fault))
        delays = [float(line["delay_ms"]) for line in plan if line["outcome"] != "drop"]
        self.assertAlmostEqual(stats["sum_delay_ns"] / 1e6, sum(delays), places=3)
        self.assertAlmostEqual(stats["max_delay_ns"] / 1e6, max(delays), places=5)
        self.assertLess(0, stats["first_request_ns"])
        self.assertLess(stats["first_request_ns"], stats["last_response_ns"])

    def test_a_truncated_answer_is_whole_over_tcp_and_the_same_attempt(self):
        options = ("--fault", "truncate@.5", "--fault", "servfail@.5")
        plan = self.plan(NAMES, *options)
        self.serve(*options)
        for line in plan:
            answer = self.ask(line["name"])
            self.check(answer, line)
            if line["outcome"] == "truncate":
                answer = self.ask_over_tcp(line["name"])
                expected = [] if line["address"] == "-" else [line["address"]]
                self.assertEqual((answer.rcode, answer.addresses, answer.truncated),
                                 (NOERROR if expected else NXDOMAIN, expected, False))
        self.assertEqual({line["address"] == "-" for line in plan
                          if line["outcome"] == "truncate"}, {True, False})
        stats = self.stats()
        self.assertEqual(stats["keys"], {name: 1 for name in NAMES})
        truncated = sum(line["outcome"] == "truncate" for line in plan)
        self.assertEqual(stats["faults"], {"truncate": truncated,
                                           "servfail": len(NAMES) - truncated})
        self.assertEqual(stats["by_transport"], {"udp": len(NAMES), "tcp": truncated})

    def test_types_are_counted_apart(self):
        self.serve("--fault", "servfail,try<=1")
        for kind in (A, AAAA, TXT):
            self.assertEqual(self.ask("if.dev", kind).rcode, SERVFAIL)
            self.assertNotEqual(self.ask("if.dev", kind).rcode, SERVFAIL)
        self.assertEqual(self.stats()["keys"],
                         {"if.dev": 2, "if.dev AAAA": 2, "if.dev TYPE16": 2})

    def test_a_reset_begins_anew(self):
        self.serve("--fault", "servfail,try<=1")
        for run in ("one", "two", ""):
            self.admin(f"/reset?run={run}" if run else "/reset", "POST")
            self.assertEqual(self.ask("if.dev").rcode, SERVFAIL)
            self.assertNotEqual(self.ask("if.dev").rcode, SERVFAIL)
            stats = self.stats()
            self.assertEqual((stats["run"], stats["requests"], stats["keys"]),
                             (run, 2, {"if.dev": 2}))


class Load(DnsCase):
    def test_thousands_wait_at_once_and_none_is_early(self):
        self.serve("--delay", "3s")
        names = [f"load{number}.dev" for number in range(4000)]
        # A socket's buffer holds some 270 small messages where nobody may widen it: hence several
        # sockets here, and bursts that the server has seen before the next one comes.
        clients = [self.udp() for _ in range(20)]
        asked = {}
        for number, name in enumerate(names):
            asked[number] = time.monotonic()
            clients[number % 20].send(query(name, number=number))
            if number % 250 == 249:
                wait_for(lambda: self.stats()["requests"] == number + 1)
        for client in clients:
            for _ in range(len(names) // 20):
                number = struct.unpack_from(">H", client.recv(4096))[0]
                self.assertGreaterEqual(time.monotonic() - asked.pop(number), 3)
        self.assertEqual(asked, {})
        stats = self.stats()
        self.assertEqual((stats["max_in_flight"], stats["in_flight"], stats["lost"]),
                         (len(names), 0, 0))
        self.assertEqual(stats["lateness"]["count"], len(names))

    def test_what_waits_is_bounded_and_the_rest_refused(self):
        limit, beyond = 65536, 100
        self.serve("--delay", "60s")
        client = self.tcp()
        asked = query("if.dev")
        message = struct.pack(">H", len(asked)) + asked
        sender = threading.Thread(target=client.sendall, args=(message * (limit + beyond),))
        sender.start()
        for _ in range(beyond):
            self.assertEqual(self.hear(client, asked).rcode, REFUSED)
        sender.join()
        self.is_silent(client)
        stats = self.stats()
        self.assertEqual((stats["in_flight"], stats["max_in_flight"]), (limit, limit))
        self.assertEqual(stats["by_outcome"], {"refused": beyond})
        self.assertEqual(stats["keys"], {"if.dev": limit})
        # It ends with all of them waiting.


class Command(DnsCase):
    def test_what_is_refused(self):
        for arguments, says in (
                (["--dns", "--loops", "1"], "--loops: not with --dns"),
                (["--dns", "--flags", self.folder], "--flags: not with --dns"),
                (["--rate", "1MiB", "--dns"], "--rate: not with --dns"),
                (["--dns", "--max-requests", "0"], "--max-requests: not with --dns"),
                (["--dns", "--fault", "status:418"], "status:418: not with --dns"),
                (["--fault", "servfail"], "servfail: only with --dns"),
                (["--fault", "drop@.1,try<=2"], "drop: only with --dns"),
                (["--dns", "--fault", "drop@.6", "--fault", "servfail@.6"], "more than 1"),
                (["--dns", "--fault", "drop:1"], "not a fault"),
                (["--dns", "--plan", "a..b"], "if.dev"), (["--dns", "--plan", ""], "if.dev"),
                (["--dns", "--plan", "a,"], "if.dev"), (["--dns", "--plan", "x" * 64], "if.dev")):
            done = self.run_program(MOCKSERVER, *arguments, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (64, ""), arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(says, done.stderr)

    def test_no_download_asks_for_a_fault_of_dns(self):
        self.refused(64, "run", "--fault", "servfail@.1", says="status:CODE")
        super(DnsServerCase, self).serve()  # of flags
        client = self.tcp()
        client.sendall(b"GET /flags/cn/cn.gif?fault=drop HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 400 "))

    def test_a_port_that_is_taken_by_either_protocol(self):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", 0))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                port = taken.getsockname()[1]
                for option in ("--port",) if kind == socket.SOCK_DGRAM else ("--port",
                                                                             "--admin-port"):
                    done = self.run_program(MOCKSERVER, "--dns", option, port, timeout=20)
                    self.assertEqual((done.returncode, done.stdout), (69, ""))
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                    self.assertIn(f"{option} {port}", done.stderr)

    def test_the_plan_takes_names_as_people_write_them(self):
        plan = self.plan(["If.DEV.", "if.dev", "."])
        self.assertEqual([line["name"] for line in plan], ["if.dev", "if.dev", ""])
        self.assertEqual(plan[0], plan[1])

    def test_the_admin_port_is_that_of_the_flag_server(self):
        self.serve()
        self.assertEqual(self.admin("/healthz"), b"ok\n")
        stats = self.stats()
        super(DnsServerCase, self).serve()  # of flags
        shared = {"run", "accepted", "open", "max_open", "requests", "in_flight", "max_in_flight",
                  "faults", "distinct_keys", "bytes_out", "client_aborts", "bad_requests",
                  "sum_delay_ns", "max_delay_ns", "lateness", "turn", "first_request_ns",
                  "last_response_ns", "cpu_user_s", "cpu_sys_s", "loops"}
        flag_stats = self.stats()
        self.assertEqual(shared - set(flag_stats), set())
        self.assertEqual(set(stats) - shared, {"by_transport", "by_outcome", "by_rcode", "lost",
                                               "unsent", "keys"})
        for name in shared:
            self.assertIs(type(stats[name]), type(flag_stats[name]), name)
        json.dumps(stats)


class Witness:
    """What the tests of an independent client share."""

    def setUp(self):
        if shutil.which(self.PROGRAM) is None:
            self.skipTest(f"{self.PROGRAM} is not installed ({self.PACKAGE})")
        super().setUp()

    def ask_witness(self, name, *options):
        return self.run_program(self.PROGRAM, "-p", self.port, "@127.0.0.1", name, *options)

    def test_it_agrees_with_the_plan(self):
        plan = self.plan(NAMES[:8], "--seed", "7")
        self.assertEqual({line["outcome"] for line in plan}, {"found", "nxdomain"})
        self.serve("--seed", "7")
        for line in plan:
            found = line["outcome"] == "found"
            for kind, addresses in (("A", [line["address"]] if found else []), ("AAAA", [])):
                done = self.ask_witness(line["name"], kind)
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, 0, said)
                self.assertRegex(said, rf"(status|rcode): {'NOERROR' if found else 'NXDOMAIN'}\b")
                self.assertEqual(re.findall(r"\sIN\s+A\s+([\d.]+)$", said, re.M), addresses)
                self.assertNotIn("WARNING", said)

    def test_it_meets_each_fault(self):
        found = next(line for line in self.plan(NAMES) if line["outcome"] == "found")
        for fault, options, code, says, answered in self.FAULTS:
            with self.subTest(fault, options=options):
                self.serve("--fault", fault)
                done = self.ask_witness(found["name"], *options)
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, code, said)
                self.assertIn(says, said)
                self.assertEqual(found["address"] in said, answered, said)


class Dig(Witness, DnsCase):
    PROGRAM, PACKAGE = "dig", "bind9-dnsutils"
    FAULTS = [  # options, exit code, what it says, whether the address is there
        ("servfail", ["+tries=1"], 0, "status: SERVFAIL", False),
        ("nxdomain", ["+tries=1"], 0, "status: NXDOMAIN", False),
        ("truncate", ["+tries=1"], 0, "Truncated, retrying in TCP mode", True),
        ("truncate", ["+tries=1", "+ignore"], 0, " tc ", False),
        ("drop", ["+tries=1", "+time=1"], 9, "timed out", False),
        ("drop,try<=1", ["+tries=2", "+time=1"], 0, "status: NOERROR", True),
        ("servfail", ["+tcp"], 0, "status: SERVFAIL", False),
        ("truncate", ["+tcp"], 0, "status: NOERROR", True),
    ]


class Drill(Witness, DnsCase):
    PROGRAM, PACKAGE = "drill", "ldnsutils"
    FAULTS = [  # after a question that was dropped it waits for 5 seconds
        ("servfail", [], 0, "rcode: SERVFAIL", False),
        ("nxdomain", [], 0, "rcode: NXDOMAIN", False),
        ("truncate", [], 0, " tc ", False),
        ("truncate", ["-a"], 0, "rcode: NOERROR", True),
        ("drop,try<=1", [], 0, "rcode: NOERROR", True),
        ("servfail", ["-t"], 0, "rcode: SERVFAIL", False),
        ("truncate", ["-t"], 0, "rcode: NOERROR", True),
    ]


def load_tests(loader, tests, pattern):
    """Without arguments all but the witnesses: each of these is a test of ctest's, so that one
    which is not installed is seen to be skipped."""
    return unittest.TestSuite(suite for suite in tests
                              if not any(isinstance(case, Witness) for case in suite))


if __name__ == "__main__":
    unittest.main(verbosity=2)
