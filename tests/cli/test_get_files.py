"""bench get, and the files it leaves: stopped, killed, resumed, beside files of other runs."""
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest

from support import BENCH, MockServerCase, wait_for

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
        for arguments in (["get", "-i", "fifo"], ["probe", "--keywords", "./fifo"]):
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
        urls = {cc: self.url(cc, "?delay=300ms") for cc in CODES}
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


if __name__ == "__main__":
    unittest.main()
