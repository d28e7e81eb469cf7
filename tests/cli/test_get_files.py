"""bench get, and the files it leaves: stopped, killed, resumed, beside files of other runs."""
import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest

from support import BENCH, CliCase, MockServerCase, wait_for

CODES = "bd br cd cn de eg et fr id in ir jp mx ng ph pk ru tr us vn".split()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unread_bytes(pipe):
    """What was written into a pipe and not yet taken out of it."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def is_heard(pid, number):
    """Does a process let that signal do something, as /proc tells?"""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        fields = dict(line.split(":\t") for line in file)
    blocked, caught = (int(fields[name], 16) >> (number - 1) & 1 for name in ("SigBlk", "SigCgt"))
    return caught and not blocked


class FilesCase(MockServerCase):
    """With a mock server, and the record of what was saved kept apart."""

    def setUp(self):
        super().setUp()
        self.environment["XDG_STATE_HOME"] = str(self.folder / "state")
        self.serve()
        self.origin = self.ready["url"].rsplit("/flags", 1)[0]

    def url(self, cc, query=""):
        return f"{self.origin}/flags/{cc}/{cc}.gif{query}"

    def write_list(self, urls, name="urls.txt"):
        (self.folder / name).write_text("".join(url + "\n" for url in urls))
        return name

    def folder_of(self, name):
        return {path.name: path.read_bytes() for path in (self.folder / name).iterdir()}

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        process = subprocess.Popen([BENCH, *arguments], cwd=self.folder, env=self.environment,
                                   stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def record(self):
        """The lines of the one record there is."""
        paths = list((self.folder / "state" / "bench").glob("get-*.txt"))
        return paths[0].read_text().splitlines(keepends=True) if paths else []

    def write_record(self, lines):
        (path,) = (self.folder / "state" / "bench").glob("get-*.txt")
        path.write_text("".join(lines))


class Stopped(FilesCase):
    def check_end(self, process, number):
        """At once, with nothing to say."""
        begun = time.monotonic()
        process.send_signal(number)
        self.assertEqual(process.wait(20), 130)  # before its input is closed
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(process.communicate(), (b"", b""))

    def check_end_of_input(self, line, *arguments):
        for number in SIGNALS:
            with self.subTest(number):
                process = self.start(*arguments, stdin=subprocess.PIPE)
                process.stdin.write(line.encode())
                process.stdin.flush()
                wait_for(lambda: unread_bytes(process.stdin) == 0)
                self.check_end(process, number)

    def test_an_interrupt_ends_the_reading_of_a_list_from_standard_input(self):
        self.check_end_of_input(self.url("br") + "\n", "get", "-i", "-", "-o", "d")
        self.assertFalse((self.folder / "d").exists())

    def test_an_interrupt_ends_the_reading_of_keywords_from_standard_input(self):
        self.check_end_of_input("if\n", "probe", "--keywords", "-")

    def test_an_interrupt_ends_the_wait_for_the_writer_of_a_fifo(self):
        os.mkfifo(self.folder / "fifo")
        for arguments in (["get", "-i", "fifo"], ["probe", "--keywords", "./fifo"],
                          ["run", "--urls", "fifo"], ["compare", "fifo", "fifo"]):
            for number in SIGNALS:
                with self.subTest(arguments=arguments, number=number):
                    process = self.start(*arguments)
                    wait_for(lambda: is_heard(process.pid, number))
                    self.check_end(process, number)

    def test_an_interrupt_ends_the_wait_for_a_server_that_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(20)
            process = self.start("get", "-s", f"http://127.0.0.1:{server.getsockname()[1]}")
            connection, _ = server.accept()
            with connection:
                self.assertEqual(connection.recv(3), b"GET")
                self.check_end(process, signal.SIGINT)

    def test_an_interrupt_ends_the_look_at_what_is_complete(self):
        """There is far more to hash than can be in the time: every file is the same large one."""
        names = [f"n{number}" for number in range(4000)]
        self.bench("get", "-i", self.write_list([self.url("br")]), "-o", "d")
        with open(self.folder / "d" / "n0", "wb") as file:
            file.truncate(64 << 20)
        for name in names[1:]:
            os.link(self.folder / "d" / "n0", self.folder / "d" / name)
        self.write_list([f"{self.origin}/{name}" for name in names])
        self.write_record([f"{64 << 20} {0:016x} {name} {self.origin}/{name}\n" for name in names])
        process = self.start("get", "-i", "urls.txt", "-o", "d", "--resume")
        maps = f"/proc/{process.pid}/maps"
        wait_for(lambda: "/d/n" in pathlib.Path(maps).read_text(encoding="utf-8"))
        self.check_end(process, signal.SIGTERM)


class Killed(FilesCase):
    def asked(self):
        """The codes whose flags the server has been asked for."""
        return sorted(path.split("/")[2] for path in self.stats()["paths"])

    def test_what_was_complete_when_it_was_killed_is_not_asked_for_again(self):
        urls = {cc: self.url(cc, "?delay=200ms") for cc in CODES}
        name = self.write_list(urls.values())
        for backend in ("raw_epoll", "raw_threads", "curl_multi", "curl_processes"):
            with self.subTest(backend):
                shutil.rmtree(self.folder / "state", ignore_errors=True)
                process = self.start("get", "-i", name, "-m", "1", "-o", backend, "-b", backend)
                wait_for(lambda: len(self.record()) >= 2)
                process.kill()
                process.communicate()
                self.assertEqual(process.returncode, -signal.SIGKILL)
                recorded = [line.split()[3] for line in self.record()]
                wait_for(lambda: self.stats()["in_flight"] == 0)
                self.admin("/reset", "POST")
                done = self.bench("get", "-i", name, "-m", "20", "-o", backend, "--resume")
                missing = [cc for cc, url in urls.items() if url not in recorded]
                self.assertEqual(self.asked(), missing)
                self.assertIn(f"{len(recorded)} were complete already.\n"
                              f"{len(missing)} files downloaded.\n", done.stdout)
                self.assertEqual(sorted(self.folder_of(backend)), [f"{cc}.gif" for cc in CODES])

    def test_a_line_that_was_cut_short_is_of_no_file(self):
        """A URL without its end may be another one, and lines that follow are read all the same."""
        short, long = self.url("br", "?size=1"), self.url("br", "?size=10")
        name = self.write_list([short, long])
        self.bench("get", "-i", name, "-o", "d")
        (line,) = [line for line in self.record() if line.endswith(f" {long}\n")]
        self.write_record([line[:-2]])  # now it ends as the other URL does
        slow = self.write_list([self.url("cn"), self.url("de", "?delay=20s")], "slow.txt")
        process = self.start("get", "-i", slow, "-o", "d")
        wait_for(lambda: self.record()[-1].endswith(f" {self.url('cn')}\n"))
        process.kill()
        process.communicate()
        self.admin("/reset", "POST")
        done = self.bench("get", "-i", self.write_list([short, long, self.url("cn")]), "-o", "d",
                          "--resume")
        self.assertIn("1 was complete already.\n2 files downloaded.\n", done.stdout)
        self.assertEqual(self.stats()["paths"], {"/flags/br/br.gif": 2})
        self.assertEqual(sorted(map(len, self.folder_of("d").values()))[:2], [1, 10])

    def test_each_file_has_one_line_however_often_it_was_fetched(self):
        name = self.write_list([self.url(cc) for cc in CODES])
        for _ in range(2):
            self.bench("get", "-i", name, "-o", "d")
            self.assertEqual(sorted(line.split()[2] for line in self.record()),
                             [f"{cc}.gif" for cc in CODES])

    def test_the_record_is_written_anew_only_when_a_line_is_out_of_date(self):
        def identity():
            (path,) = (self.folder / "state" / "bench").glob("get-*.txt")
            return path.stat().st_ino

        self.bench("get", "-i", self.write_list([self.url("cn")]), "-o", "d")
        first = identity()
        both = self.write_list([self.url("cn"), self.url("br")])
        self.bench("get", "-i", both, "-o", "d", "--resume")
        self.assertEqual(identity(), first)
        self.assertEqual([line.split()[2] for line in self.record()], ["cn.gif", "br.gif"])
        self.bench("get", "-i", both, "-o", "d")
        self.assertNotEqual(identity(), first)
        self.assertEqual(len(self.record()), 2)


class Names(FilesCase):
    def serve_countries(self, countries):
        """A server of flags and metadata; a country that is None fails, a function is called."""
        class Flags(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                _, cc, *rest = self.path.split("/")
                if rest == ["metadata.json"]:
                    country = countries[cc]
                    name = country() if callable(country) else country
                    self.answer(200 if name else 503, json.dumps({"country": name}))
                else:
                    self.answer(200 if cc in countries else 404, cc)

            def answer(self, status, text):
                with contextlib.suppress(OSError):  # whoever asked may be gone
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text.encode())

            def log_message(self, *arguments):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flags)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def serve_late_country(self):
        """One that is not told before the test lets go. @return the URL, and what lets go"""
        told = threading.Event()
        self.addCleanup(told.set)
        return self.serve_countries({"br": lambda: told.wait(30) and "Brazil"}), told

    def start_and_wait_for_the_flag(self, url):
        process = self.start("get", "BR", "--names", "-o", "d", "-s", url)
        wait_for(lambda: (self.folder / "d").exists() and self.folder_of("d"))
        self.assertEqual(list(self.folder_of("d").values()), [b"br"])
        return process

    def test_a_flag_of_a_run_without_names_stays_as_it_is(self):
        url = self.serve_countries({"br": "Brazil"})
        for backend in ("raw_epoll", "raw_libuv", "raw_threads", "curl_threads"):
            with self.subTest(backend):
                (self.folder / backend).mkdir()
                (self.folder / backend / "BR.gif").write_bytes(b"of an earlier run")
                self.bench("get", "BR", "--names", "-o", backend, "-b", backend, "-s", url)
                self.assertEqual(self.folder_of(backend),
                                 {"BR.gif": b"of an earlier run", "Brazil.gif": b"br"})

    def test_a_flag_of_an_earlier_run_stays_when_there_is_no_country(self):
        url = self.serve_countries({"br": None})
        (self.folder / "d").mkdir()
        (self.folder / "d" / "BR.gif").write_bytes(b"of an earlier run")
        (self.folder / "d" / "Brazil.gif").write_bytes(b"another")
        done = self.bench("get", "BR", "--names", "-o", "d", "-s", url, code=6)
        self.assertIn("1 error.", done.stdout)
        self.assertEqual(self.folder_of("d"),
                         {"BR.gif": b"of an earlier run", "Brazil.gif": b"another"})

    def test_the_second_country_of_a_name_gets_its_code_behind_it(self):
        url = self.serve_countries({"ar": "Brazil", "br": "Brazil", "cn": "China"})
        done = self.bench("get", "AR", "BR", "CN", "--names", "-v", "-b", "raw_sequential", "-o",
                          "d", "-s", url)
        self.assertEqual(self.folder_of("d"), {"Brazil.gif": b"ar", "Brazil-BR.gif": b"br",
                                               "China.gif": b"cn"})
        self.assertIn("ok Brazil-BR.gif: ", done.stdout)
        before = self.folder_of("d")
        done = self.bench("get", "AR", "BR", "CN", "--names", "--resume", "-o", "d", "-s", url)
        self.assertIn("3 were complete already.\n", done.stdout)
        self.assertEqual(self.folder_of("d"), before)

    def test_an_interrupt_before_the_country_is_known_leaves_no_file(self):
        url, _ = self.serve_late_country()
        process = self.start_and_wait_for_the_flag(url)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.folder_of("d"), {})

    def test_what_a_killed_run_has_not_named_is_named_by_the_next(self):
        url, told = self.serve_late_country()
        process = self.start_and_wait_for_the_flag(url)
        process.kill()
        process.communicate()
        told.set()
        self.bench("get", "BR", "--names", "-o", "d", "-s", url)
        self.assertEqual(self.folder_of("d"), {"Brazil.gif": b"br"})


class SecondList(FilesCase):
    """URLs of one name, told apart by the length of what they lead to."""

    def get(self, *sizes, resume=False):
        name = self.write_list([self.url("br", f"?size={size}") for size in sizes])
        return self.bench("get", "-i", name, "-o", "d", *["--resume"] * resume).stdout

    def lengths(self):
        return {name: len(body) for name, body in self.folder_of("d").items()}

    def name_of(self, size):
        (name,) = [name for name, length in self.lengths().items() if length == size]
        return name

    def test_it_leaves_a_file_of_the_first_alone(self):
        self.get(10)
        self.get(20)
        self.assertEqual(self.name_of(10), "br.gif")
        self.assertRegex(self.name_of(20), r"^br-[0-9a-f]{16}\.gif$")
        self.assertEqual(len(self.lengths()), 2)

    def test_each_list_gets_the_same_names_again(self):
        self.get(10)
        self.get(20)
        names = self.lengths()
        self.get(20)
        self.get(10)
        self.get(30, 20, 10)
        self.assertEqual(names, {name: length for name, length in self.lengths().items()
                                 if length != 30})
        names = self.lengths()
        self.assertIn("3 were complete already.\n0 files downloaded.\n",
                      self.get(10, 20, 30, resume=True))
        self.assertEqual(self.lengths(), names)

    def test_a_name_is_kept_when_the_file_that_had_it_first_is_gone(self):
        self.get(10)
        self.get(20)
        marked = self.name_of(20)
        (self.folder / "d" / "br.gif").unlink()
        self.assertIn("1 was complete already.\n", self.get(20, resume=True))
        self.get(20)
        self.assertEqual(self.lengths(), {marked: 20})

    def test_the_name_of_a_file_that_is_gone_is_free(self):
        self.get(10)
        (self.folder / "d" / "br.gif").unlink()
        self.get(20)
        self.assertEqual(self.lengths(), {"br.gif": 20})
        self.get(10)
        self.assertEqual((self.name_of(20), len(self.lengths())), ("br.gif", 2))


class RefusedUrls(CliCase):
    URLS = [("http://me:secret@host/x", "http://host/x"),
            ("http://me:se@cret@host:8080?y", "http://host:8080?y"),
            ("ftp://me:secret@host", "ftp://host"),
            ("http:/me:secret@host/", "http:/host/"),
            ("//me:secret@host/x", "//host/x"),
            ("me:secret@host/x", "host/x"),
            ("ftp://host/@me:1", "ftp://host/@me:1")]

    def test_they_are_shown_without_user_and_password_in_a_list(self):
        for url, shown in self.URLS:
            with self.subTest(url):
                (self.folder / "urls.txt").write_text(url + "\n")
                self.refused(64, "get", "-i", "urls.txt", says=f"urls.txt:1: '{shown}': want")

    def test_and_so_is_a_server(self):
        for url, shown in self.URLS:
            with self.subTest(url):
                self.refused(64, "get", "-s", url, says=f"--server '{shown}': want")


if __name__ == "__main__":
    unittest.main()
