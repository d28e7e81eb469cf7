"""bench get, and the files it leaves: stopped, killed, resumed, beside files of other runs."""
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest

from support import BENCH, MockServerCase, wait_for

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


if __name__ == "__main__":
    unittest.main()
