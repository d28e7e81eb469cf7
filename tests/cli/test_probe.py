"""bench probe, and bench run of lookups: the same answers by every way of waiting."""
import csv
import itertools
import signal
import socket
import subprocess
import time
import unittest

from support import (BENCH, CSV_COLUMNS, DENY_IO_URING, MODULES, WAITS_S, DnsServerCase, in_time,
                     strict_json)

BACKENDS = ["dns_sequential", "dns_threads", "dns_epoll", "dns_libuv", "dns_io_uring"]
KEYWORDS = ["and", "as", "def", "del", "elif", "else", "for", "from", "if", "in", "is", "none",
            "not", "or", "pass", "true", "try", "with"]
NAMES = [f"n{number}.dev" for number in range(40)]
MARKS = {"found": "+", "nxdomain": " ", "servfail": "!"}


def line_of(planned):
    """What probe prints for a line of the plan, without the reason of a failure."""
    return f"{MARKS[planned['outcome']]} {planned['name']}"


class ProbeCase(DnsServerCase):
    def probe(self, *arguments, code=0, **more):
        return self.bench("probe", *arguments, code=code, **more)

    def lines(self, *arguments, code=0):
        """What is printed, without the reasons."""
        done = self.probe(*arguments, code=code)
        return [line.split(" (")[0] for line in done.stdout.splitlines()]

    def black_hole(self):
        """A port of UDP that hears everything and says nothing."""
        deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{deaf.getsockname()[1]}"


class Answers(ProbeCase):
    def test_every_backend_gives_the_answers_of_the_plan(self):
        planned = sorted(line_of(line) for line in self.plan(NAMES, "--seed", "3"))
        self.assertEqual({line[0] for line in planned}, {"+", " "})
        for backend in BACKENDS:
            lines = self.lines("-b", backend, "--seed", "3", "--delay", "5ms", *NAMES)
            self.assertEqual(sorted(lines), planned, backend)

    def test_every_backend_tells_faults_from_names_that_are_not_there(self):
        options = ("--seed", "3", "--fault", "servfail@.2", "--fault", "truncate@.3")
        # What does not fit a datagram comes over TCP, as the zone has it.
        without = {line["name"]: line_of(line) for line in self.plan(NAMES, "--seed", "3")}
        planned = sorted(without[line["name"]] if line["outcome"] == "truncate" else line_of(line)
                         for line in self.plan(NAMES, *options))
        self.assertEqual({line[0] for line in planned}, {"+", " ", "!"})
        self.serve(*options)
        for backend in BACKENDS:
            self.admin("/reset", "POST")
            done = self.probe("-b", backend, "--dns", f"127.0.0.1:{self.port}", *NAMES, code=6)
            lines = done.stdout.splitlines()
            self.assertEqual(sorted(line.split(" (")[0] for line in lines), planned, backend)
            untold = [line for line in lines if line[0] == "!"]
            self.assertTrue(all("(DNS server returned general failure)" in line for line in untold))
            self.assertIn(f" {len(untold)} could not be told.", done.stderr)
            self.assertEqual(self.stats()["by_transport"]["udp"], len(NAMES))

    def test_without_arguments_it_looks_up_the_short_keywords_of_python(self):
        done = self.probe()
        lines = done.stdout.splitlines()
        self.assertEqual(sorted(line[2:] for line in lines), [f"{word}.dev" for word in KEYWORDS])
        found = sum(line[0] == "+" for line in lines)
        self.assertIn(f"{found} found. {18 - found} not found. Elapsed time: ", done.stderr)
        self.assertIn("18 names, 18 at a time, by dns_epoll", done.stderr)

    def test_another_seed_is_another_zone(self):
        self.assertEqual(sorted(self.lines()), sorted(self.lines("--seed", "0")))
        self.assertNotEqual(sorted(self.lines()), sorted(self.lines("--seed", "1")))

    def test_a_server_that_runs_is_asked(self):
        self.serve("--seed", "9", "--bind", "127.0.0.1")
        planned = sorted(line_of(line) for line in self.plan(NAMES, "--seed", "9"))
        lines = self.lines("--dns", f"127.0.0.1:{self.port}", *NAMES)
        self.assertEqual(sorted(lines), planned)
        self.assertEqual(self.stats()["keys"], {name: 1 for name in NAMES})

    def test_no_more_are_in_flight_than_asked_for(self):
        def most_of_three(delay):
            self.serve("--delay", delay)
            done = self.probe("-m", "3", "--dns", f"127.0.0.1:{self.port}", *NAMES[:9])
            self.assertIn("9 names, 3 at a time", done.stderr)
            most = self.stats()["max_in_flight"]
            self.assertLessEqual(most, 3)
            return most
        self.assertEqual(in_time(most_of_three, lambda most: most == 3), 3)
        done = self.probe("-b", "dns_sequential", "--dns", f"127.0.0.1:{self.port}", *NAMES[:3])
        self.assertIn("3 names, 1 at a time", done.stderr)

    def test_a_failure_is_asked_again_when_allowed(self):
        self.serve("--fault", "servfail@1,try<=1")
        planned = sorted(line_of(line) for line in self.plan(NAMES))
        address = f"127.0.0.1:{self.port}"
        self.assertEqual({line[0] for line in self.lines("--dns", address, *NAMES, code=6)}, {"!"})
        self.admin("/reset", "POST")
        self.assertEqual(sorted(self.lines("--dns", address, "--retries", "1", *NAMES)), planned)
        self.assertEqual(self.stats()["keys"], {name: 2 for name in NAMES})

    def test_a_closed_port_is_no_name_that_is_not_there(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as once:
            once.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{once.getsockname()[1]}"
        for backend in BACKENDS:
            done = self.probe("-b", backend, "--dns", address, "a.dev", "b.dev", code=6)
            self.assertEqual(sorted(done.stdout.splitlines()),
                             [f"! {name} (cannot connect: Connection refused)"
                              for name in ("a.dev", "b.dev")])

    def test_without_io_uring_its_backend_is_not_available(self):
        done = self.run_program(DENY_IO_URING, BENCH, "probe", "-b", "dns_io_uring", "a.dev")
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn("dns_io_uring", done.stderr)


class Order(ProbeCase):
    DELAY = "uniform:20ms:500ms"

    def test_lines_come_as_the_answers_do(self):
        for backend in BACKENDS[1:]:
            def names_and_delays(delay):
                planned = {line["name"]: float(line["delay_ms"])
                           for line in self.plan(NAMES[:10], "--delay", delay)}
                names = [line[2:] for line in self.lines("-b", backend, "--delay", delay,
                                                         *NAMES[:10])]
                self.assertEqual(sorted(names), sorted(NAMES[:10]))
                return names, [planned[name] for name in names]

            def is_in_order(told):
                # Those closer together than a sixth of it may come either way.
                _, delays = told
                return all(first < second + max(delays) / 6
                           for first, second in itertools.combinations(delays, 2))
            told = in_time(names_and_delays, is_in_order,
                           delays=(self.DELAY, "uniform:20ms:1s", "uniform:20ms:4s"))
            self.assertTrue(is_in_order(told), (backend, told))
            self.assertNotEqual(told[0], NAMES[:10])

    def test_one_after_the_other_comes_as_it_was_given(self):
        names = NAMES[9::-1]
        lines = self.lines("-b", "dns_sequential", "--delay", "uniform:1ms:40ms", *names)
        self.assertEqual([line[2:] for line in lines], names)

    def test_each_line_is_there_as_soon_as_its_answer(self):
        delays = sorted(float(line["delay_ms"])
                        for line in self.plan(NAMES[:10], "--delay", self.DELAY))
        process = subprocess.Popen([BENCH, "probe", "--delay", self.DELAY, *NAMES[:10]],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   env=self.environment)
        process.stdout.readline()
        first = time.monotonic()
        process.stdout.read()
        last = time.monotonic()
        process.stdout.close()
        self.assertEqual(process.wait(20), 0)
        self.assertGreater(last - first, (delays[-1] - delays[0]) / 1000 / 2)


class Names(ProbeCase):
    def names(self, *arguments):
        return sorted(line[2:] for line in self.lines("--delay", "0", *arguments))

    def test_words_get_the_top_level_domain_and_names_do_not(self):
        self.assertEqual(self.names("a", "b.org", "c.", "x.y.z"), ["a.dev", "b.org", "c.", "x.y.z"])
        self.assertEqual(self.names("--tld", "io", "a", "b.org"), ["a.io", "b.org"])
        self.assertEqual(self.names("a", "--tld", "co.uk"), ["a.co.uk"])

    def test_capitals_are_the_same_name(self):
        self.assertEqual(self.names("--tld", "DEV", "If", "Example.ORG"), ["example.org", "if.dev"])

    def test_keywords_are_a_list(self):
        self.assertEqual(self.names("--keywords", "b,a,c.org"), ["a.dev", "b.dev", "c.org"])
        self.assertEqual(self.names("--keywords", "b", "a"), ["a.dev", "b.dev"])

    def test_keywords_are_the_lines_of_a_file(self):
        (self.folder / "words").write_bytes(b"# of no use\nb\n\na\r\nc.org  and more\nlast")
        wanted = ["a.dev", "b.dev", "c.org", "last.dev"]
        self.assertEqual(self.names("--keywords", "words"), wanted)
        self.assertEqual(self.names("--keywords", str(self.folder / "words")), wanted)

    def test_keywords_are_the_lines_of_standard_input(self):
        done = subprocess.run([BENCH, "probe", "-q", "--delay", "0", "--keywords", "-"],
                              input="b\na\n", capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(line[2:] for line in done.stdout.splitlines()), ["a.dev", "b.dev"])

    def test_the_longest_names_are_looked_up(self):
        label = "a" * 63
        longest = ".".join([label, label, label, "b" * 61])
        self.assertEqual(self.names(longest, label), sorted([longest, label + ".dev"]))


class Output(ProbeCase):
    def test_a_table_has_what_is_found_beside_what_is_not(self):
        planned = {"+": [], " ": []}
        for line in self.plan(NAMES, "--seed", "3"):
            planned[MARKS[line["outcome"]]].append(line["name"])
        done = self.probe("--table", "--seed", "3", "--delay", "1ms", *NAMES)
        rows = done.stdout.splitlines()
        self.assertEqual(rows[0].split("  ")[0], "FOUND")
        column = rows[0].index("NOT FOUND")
        self.assertEqual([row[:column].strip() for row in rows[1:] if row[:column].strip()],
                         planned["+"])
        self.assertEqual([row[column:].strip() for row in rows[1:] if row[column:].strip()],
                         planned[" "])
        self.assertIn(f"{len(planned['+'])} found.", done.stderr)

    def test_a_table_tells_why_a_name_could_not_be_told(self):
        self.serve("--fault", "servfail@1")
        done = self.probe("--table", "--dns", f"127.0.0.1:{self.port}", "a", code=6)
        self.assertIn("COULD NOT BE TOLD", done.stdout.splitlines()[0])
        self.assertIn("a.dev (DNS server returned general failure)", done.stdout)

    def test_quiet_leaves_the_results(self):
        done = self.probe("-q", "a", "b")
        self.assertEqual(done.stderr, "")
        self.assertEqual(len(done.stdout.splitlines()), 2)

    def test_results_that_cannot_be_written_are_an_error(self):
        for options in ("-q", "-q --table"):
            for stdout in (">/dev/full", ">&-"):
                done = self.run_program("sh", "-c", f"exec '{BENCH}' probe {options} a {stdout}")
                self.assertEqual(done.returncode, 73, (options, stdout))
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_reader_who_leaves_ends_it(self):
        done = self.run_program("sh", "-c",
                                f"{{ '{BENCH}' probe -q; echo $? >code; }} | head -1")
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.assertEqual((self.folder / "code").read_text(), "73\n")


class Limits(ProbeCase):
    def test_a_black_hole_takes_no_longer_than_the_time_allowed(self):
        address = self.black_hole()
        for backend in BACKENDS:
            begun = time.monotonic()
            done = self.probe("-b", backend, "--dns", address, "--timeout", "200ms", "a", "b",
                              code=6)
            took = time.monotonic() - begun
            self.assertEqual(sorted(done.stdout.splitlines()),
                             [f"! {name} (timed out: Connection timed out)"
                              for name in ("a.dev", "b.dev")])
            self.assertGreaterEqual(took, 0.4 if backend == "dns_sequential" else 0.2)
            self.assertLess(took, 2)
            self.assertIn("0 found. 0 not found. 2 could not be told.", done.stderr)

    def interrupted(self, number, *arguments):
        process = subprocess.Popen([BENCH, "probe", "--dns", self.black_hole(), "--timeout", "60s",
                                    *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.environment)
        ready = process.stderr.readline()  # it looks up from here on
        begun = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, ready + stderr)
        self.assertLess(time.monotonic() - begun, 1)
        return stdout, stderr

    def test_ctrl_c_ends_it_soon(self):
        for backend in BACKENDS:
            stdout, stderr = self.interrupted(signal.SIGINT, "-b", backend, "-m", "2", *NAMES)
            self.assertEqual(stdout, "", backend)
            self.assertIn("40 not finished.", stderr)

    def test_sigterm_does_the_same_and_a_table_has_what_is_known(self):
        stdout, _ = self.interrupted(signal.SIGTERM, "--table", "a")
        self.assertNotIn("a.dev", stdout)

    def test_ctrl_c_keeps_what_is_told(self):
        delays = self.plan(NAMES[:10], "--delay", "uniform:1ms:30s")
        early = [line for line in delays if float(line["delay_ms"]) < 3000]
        self.assertTrue(0 < len(early) < 10)
        process = subprocess.Popen([BENCH, "probe", "--delay", "uniform:1ms:30s", "--timeout",
                                    "60s", *NAMES[:10]], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment)
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        lines += stdout.splitlines(keepends=True)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(1 <= len(lines) < 10, lines)
        self.assertIn(f"{10 - len(lines)} not finished.", stderr)


class Refusals(ProbeCase):
    def test_a_bad_value_is_told_in_one_line(self):
        for arguments, says in (
                (["--tld=a..b", "x"], "want a domain"),
                (["--tld=", "x"], "want a domain"),
                (["--max-req=0"], "--max-req '0'"),
                (["--max-req=65537"], "--max-req '65537'"),
                (["-m", "x"], "--max-req 'x'"),
                (["--timeout=0"], "--timeout '0'"),
                (["--timeout=1441m"], "--timeout '1441m'"),
                (["--timeout=5"], "--timeout '5'"),
                (["--retries=101"], "--retries '101'"),
                (["--retries=-1"], "--retries '-1'"),
                (["--seed=-1"], "--seed '-1'"),
                (["--delay=fast"], "--delay 'fast'"),
                (["--dns="], "--dns ''"),
                (["--dns=localhost"], "--dns 'localhost'"),
                (["--dns=127.0.0.1:0"], "--dns '127.0.0.1:0'"),
                (["--dns=127.0.0.1:65536"], "--dns '127.0.0.1:65536'"),
                (["--dns=::1"], "--dns '::1'"),
                (["--dns=127.0.0.1", "--delay=1ms"], "--delay is of the mock server"),
                (["--keywords="], "not a domain name"),
                (["--keywords=a,,b"], "not a domain name"),
                (["--keywords=/none/such"], "No such file"),
                (["--keywords=."], "Is a directory"),
                (["--keywords=/dev/null"], "no word in it"),
                (["-b", "none"], "unknown"),
                (["-b", "null"], "looks up nothing"),
                (["-b", "raw_epoll"], "looks up no names"),
                (["-b", "curl_libuv"], "looks up no names"),
                (["-b", "dns_epoll,dns_libuv"], "dns_epoll,dns_libuv"),
                (["-b", "dns_*"], "want one backend"),
                (["-b"], "missing value"),
                (["--wrong"], "--wrong"),
                (["--table=1"], "--table=1"),
                (["a..b"], "not a domain name"),
                ([""], "not a domain name"),
                (["a b"], "not a domain name"),
                (["*.dev"], "not a domain name"),
                (["b\u00fccher.example"], "xn--"),
                (["a" * 64], "not a domain name"),
                (["a" * 300], "longer than a domain name"),
                ([".".join(["a" * 63] * 3 + ["a" * 62])], "not a domain name")):
            with self.subTest(arguments):
                self.refused(64, "probe", *arguments, says=says)

    def test_control_bytes_of_a_name_do_not_reach_the_terminal(self):
        done = self.refused(64, "probe", "a\x1b[31mb", says="not a domain name")
        self.assertNotIn("\x1b", done.stderr)

    def test_what_looks_up_names_downloads_nothing(self):
        for command in ("get", "run"):
            for backend in BACKENDS:
                self.refused(64, command, "-b", backend,
                             says=[backend, "looks up names, and downloads nothing"])

    def test_the_pool_of_libuv_asks_the_machine_s_resolvers_only(self):
        self.refused(64, "probe", "-b", "dns_uv_getaddrinfo", "a",
                     says="asks this machine's resolvers only (--dns system)")
        self.refused(64, "run", "--workload", "dns", "-b", "dns_uv_getaddrinfo",
                     says="asks this machine's resolvers only (--dns system)")

    def test_help_tells_of_every_option(self):
        done = self.probe("--help")
        for option in ("--backend", "--delay", "--dns", "--keywords", "--max-req", "--quiet",
                       "--retries", "--seed", "--table", "--timeout", "--tld"):
            self.assertIn(option, done.stdout)


class Run(ProbeCase):
    def rows(self, name="t.csv"):
        with open(self.folder / name, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, strict=True))
        self.assertEqual(rows[0], CSV_COLUMNS)
        return [dict(zip(CSV_COLUMNS, row, strict=True)) for row in rows[1:]]

    def run_dns(self, *arguments, code=0):
        done = self.bench("run", "--workload", "dns", "--csv", "t.csv", *arguments, code=code)
        rows = self.rows()
        for row in rows:
            self.assertEqual(row["valid"], "1", (row["backend"], row["invalid_reason"]))
            self.assertNotIn("nan", ",".join(row.values()).lower())
        return done, rows

    def test_every_backend_is_compared(self):
        done, rows = self.run_dns("-r", "1", "--delay", "20ms")
        self.assertEqual(sorted({row["backend"] for row in rows}),
                         sorted([*BACKENDS, "dns_sequential#2"]))
        for name in BACKENDS:
            self.assertIn(name, done.stdout)
        for row in rows:
            self.assertEqual(row["engine"], "c-ares")
            self.assertEqual((row["transfers"], row["ok"], row["failed"]), ("20", "20", "0"))
            self.assertIn(int(row["body_bytes"]), range(4, 80, 4))  # of those that are there
        self.assertEqual(len({row["body_bytes"] for row in rows}), 1)
        self.assertNotIn("failed:", done.stdout)  # that there is no such name is an answer

    def run_waiting(self, most, *arguments):
        """With a delay that is long enough to ask for `most` names in it, and not twenty of it."""
        def run(delay):
            _, rows = self.run_dns("-r", "1", "--delay", delay, *arguments)
            for row in rows:
                self.assertLessEqual(int(row["server_max_in_flight"]), most)
            return rows

        def all_wait(rows):
            return all(row["server_max_in_flight"] == str(most) and
                       float(row["wall_s"]) < 10 * WAITS_S[row["delay"]] for row in rows)
        rows = in_time(run, all_wait)
        self.assertTrue(all_wait(rows), rows)
        return rows

    def test_one_after_the_other_waits_for_all_delays(self):
        rows = self.run_waiting(1, "-b", "dns_sequential", "-n", "5", "-c", "5")
        for row in rows:
            self.assertEqual(row["connections_opened"], "1")
            self.assertGreaterEqual(float(row["wall_s"]), 0.5)

    def test_all_at_once_wait_for_one_delay(self):
        rows = self.run_waiting(20, "-b", ",".join(BACKENDS[1:]), "-n", "20", "-c", "20")
        for row in rows:
            self.assertEqual(row["connections_opened"], "20")
            self.assertGreaterEqual(float(row["wall_s"]), WAITS_S[row["delay"]])

    def test_faults_are_told_alike_and_explained(self):
        _, rows = self.run_dns("-r", "1", "-n", "60", "-c", "20", "--delay", "1ms", "--seed", "4",
                               "--fault", "servfail@.2", "--fault", "truncate@.2", "--json",
                               "t.json")
        outcomes = [sample["outcomes"]
                    for sample in strict_json((self.folder / "t.json").read_text())["samples"]]
        self.assertEqual(len(rows), len(outcomes))
        self.assertTrue(all(one == outcomes[0] for one in outcomes), outcomes)
        for name in ("ok", "not_found", "unresolved"):
            self.assertGreater(outcomes[0][name], 0)

    def test_a_lost_question_is_a_timeout(self):
        _, rows = self.run_dns("-r", "1", "-n", "20", "-b", "dns_epoll,dns_threads", "--delay", "0",
                               "--timeout", "300ms", "--fault", "drop@.3", "--json", "t.json")
        for row in rows:
            self.assertLess(float(row["wall_s"]), 0.6)
        document = strict_json((self.folder / "t.json").read_text())
        for sample in document["samples"]:
            self.assertGreater(sample["outcomes"]["timeout"], 0)

    def test_retries_get_past_a_fault_that_ends(self):
        _, rows = self.run_dns("-r", "1", "--delay", "0", "--fault", "servfail@1,try<=1",
                               "--retries", "1")
        kept = {row["ok"] for row in rows}
        _, rows = self.run_dns("-r", "1", "--delay", "0")
        self.assertEqual(kept, {row["ok"] for row in rows})

    def test_fresh_sockets_are_counted(self):
        _, rows = self.run_dns("-r", "1", "-n", "40", "-c", "4", "--delay", "0", "--connections",
                               "fresh")
        self.assertEqual({row["connections_opened"] for row in rows}, {"40"})
        _, rows = self.run_dns("-r", "1", "-n", "40", "-c", "4", "--delay", "0")
        for row in rows:
            self.assertIn(int(row["connections_opened"]), range(1, 5))

    def test_several_loops_share_the_work(self):
        rows = self.run_waiting(20, "--loops", "2")
        self.assertEqual({row["backend"].split("#")[0] for row in rows},
                         {"dns_epoll", "dns_libuv", "dns_io_uring"})

    def test_a_server_that_runs_is_asked(self):
        self.serve("--delay", "10ms")
        _, rows = self.run_dns("-r", "1", "-b", "dns_epoll", "--dns", f"127.0.0.1:{self.port}")
        self.assertEqual({int(row["ok"]) + int(row["failed"]) for row in rows}, {20})
        self.assertGreaterEqual(self.stats()["requests"], 20)

    def test_a_server_that_is_not_there_is_no_measurement(self):
        self.bench("run", "--workload", "dns", "-r", "1", "-b", "dns_epoll", "--dns",
                   self.black_hole(), "--timeout", "100ms", code=6)

    def test_a_module_that_looks_up_is_taken_for_lookups_only(self):
        module = MODULES.parent.parent / "lib" / "bench" / "dns_epoll.so"
        _, rows = self.run_dns("-r", "1", "-b", f"mine={module}", "--delay", "5ms")
        self.assertEqual({row["backend"].split("#")[0] for row in rows}, {"mine"})
        self.refused(64, "run", "-b", f"mine={module}", says="looks up names")

    def test_what_does_not_go_together_is_told_in_one_line(self):
        dns = ["--workload", "dns"]
        for arguments, says in (
                ([*dns, "--size", "1KiB"], "do not go with --workload dns"),
                ([*dns, "--rate", "1KiB"], "do not go with --workload dns"),
                ([*dns, "--save", "out"], "do not go with --workload dns"),
                ([*dns, "--server", "http://127.0.0.1:1/"], "do not go with --workload dns"),
                ([*dns, "--urls", "/dev/null"], "do not go with --workload dns"),
                ([*dns, "--flags", "."], "do not go with --workload dns"),
                ([*dns, "--fault", "status:418"], "servfail"),
                ([*dns, "--scenario", "flags20"], "scenario"),
                ([*dns, "--dns", "system", "--delay", "1ms"], "--dns"),
                ([*dns, "--dns", "127.0.0.1:53", "--fault", "drop"], "--dns"),
                ([*dns, "--dns", "localhost"], "--dns 'localhost'"),
                ([*dns, "--dns", "127.0.0.1:99999"], "--dns '127.0.0.1:99999'"),
                ([*dns, "-n", "131073"], "--transfers 131073"),
                ([*dns, "-b", "raw_epoll"], "looks up no names"),
                ([*dns, "-b", "curl_*"], "looks up no names"),
                ([*dns, "--loops", "2", "-b", "dns_threads"], "one loop"),
                (["--workload", "mail"], "--workload 'mail'"),
                (["--dns", "127.0.0.1"], "--workload dns"),
                (["--fault", "drop"], "--workload flags")):
            with self.subTest(arguments):
                self.refused(64, "run", *arguments, says=says)


if __name__ == "__main__":
    unittest.main()
