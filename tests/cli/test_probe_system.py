"""bench probe --dns system. The resolvers, /etc/hosts and the network are ours: the tests run in
namespaces of their own (namespaces(7)), which end with them, and from which nothing gets out."""
import ctypes
import errno
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from support import BENCH
from test_probe import BACKENDS, NAMES, ProbeCase, line_of

POOL = "dns_uv_getaddrinfo"
SKIPPED = 77
TIMED_OUT = "! {} (timed out: Connection timed out)\n"

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

LIBC = ctypes.CDLL(None, use_errno=True)
resolv_conf = None  # the file that is /etc/resolv.conf in the namespaces


# ---- namespaces ----

def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unshare():
    """As unshare -mn does; without the right to do so, as unshare -rmn."""
    user, group = os.geteuid(), os.getegid()
    try:
        checked(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET))
    except OSError:
        checked(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUSER))
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"),
                           ("gid_map", f"0 {group} 1")):
            pathlib.Path("/proc/self", name).write_text(text, encoding="ascii")


def mount(source, target, flags, kind=None):
    checked(LIBC.mount(os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None))


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def check_nothing_gets_out():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        number = client.connect_ex(("192.0.2.1", 53))
    if number != errno.ENETUNREACH:
        raise RuntimeError(f"there is a way out of the namespace: {os.strerror(number)}")


def enter(folder):
    """From here on this process and its children have a network and files of their own."""
    global resolv_conf
    files = {"resolv.conf": "nameserver 127.0.0.1\n", "nsswitch.conf": "hosts: files dns\n",
             "hosts": "127.0.0.1 localhost\n192.0.2.77 hosted.dev\n"}
    unshare()
    mount("none", "/", MS_REC | MS_PRIVATE)  # what is mounted from now on is not seen outside
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
        mount(folder / name, pathlib.Path("/etc", name), MS_BIND)
    if os.path.isdir("/var/run/nscd"):  # a cache that would look up names from outside
        mount("none", "/var/run/nscd", 0, b"tmpfs")
    loopback_up()
    check_nothing_gets_out()
    resolv_conf = folder / "resolv.conf"


def setUpModule():
    if resolv_conf is None:
        raise unittest.SkipTest("to be run as a program, which makes the namespaces")


# ---- tests ----

class SystemCase(ProbeCase):
    def setUp(self):
        super().setUp()
        for name in ("LOCALDOMAIN", "RES_OPTIONS", "UV_THREADPOOL_SIZE"):
            self.environment.pop(name, None)  # of whoever runs this
        self.resolvers("nameserver 127.0.0.1")

    def resolvers(self, *lines):
        resolv_conf.write_text("".join(line + "\n" for line in lines), encoding="ascii")

    def serve(self, *arguments, address="127.0.0.1"):
        super().serve("--bind", address, "--port", "53", *arguments)
        return self.ready

    def stats_of(self, ready):
        self.ready = ready
        return self.stats()

    def backends(self):
        """All, but for io_uring where the kernel denies it."""
        lines = self.bench("list").stdout.splitlines()
        denied = any(line.startswith("dns_io_uring") and "unavailable:" in line for line in lines)
        return [name for name in (*BACKENDS, POOL) if not denied or name != "dns_io_uring"]

    def system(self, backend, *arguments, code=0):
        return sorted(self.lines("--dns", "system", "-b", backend, *arguments, code=code))

    def timed(self, backend, *arguments, code):
        """The lines, and how many seconds it took."""
        begun = time.monotonic()
        lines = self.system(backend, *arguments, code=code)
        return lines, time.monotonic() - begun


class Answers(SystemCase):
    def check_plan(self, names, *options, code=0):
        """Every backend has the answers of the plan, and has asked for these names alone."""
        planned = sorted(line_of(line) for line in self.plan(names, *options))
        for backend in self.backends():
            self.admin("/reset", "POST")
            self.assertEqual(self.system(backend, *names, code=code), planned, backend)
            self.assertEqual(self.stats()["keys"], {name: 1 for name in names}, backend)
        return planned

    def test_every_backend_gives_the_answers_of_the_plan(self):
        self.serve("--seed", "3")
        planned = self.check_plan(NAMES, "--seed", "3")
        self.assertEqual({line[0] for line in planned}, {"+", " "})

    def test_every_backend_tells_a_server_that_failed_from_names_that_are_not_there(self):
        options = ("--seed", "3", "--fault", "servfail@.2")
        self.resolvers("nameserver 127.0.0.1", "options attempts:1")  # of the C library
        self.serve(*options)
        planned = self.check_plan(NAMES, *options, code=6)
        self.assertEqual({line[0] for line in planned}, {"+", " ", "!"})

    def test_what_does_not_fit_a_datagram_comes_over_tcp(self):
        planned = sorted(line_of(line) for line in self.plan(NAMES, "--seed", "3"))
        self.serve("--seed", "3", "--fault", "truncate@1")
        for backend in self.backends():
            self.admin("/reset", "POST")
            self.assertEqual(self.system(backend, *NAMES), planned, backend)
            self.assertEqual(self.stats()["by_transport"], {"udp": 40, "tcp": 40}, backend)

    def test_what_resolv_conf_says_of_searching_changes_nothing(self):
        domain = "search.example"
        options = ("--seed", "3")
        absent = [line["name"] for line in self.plan(NAMES, *options)
                  if line["outcome"] == "nxdomain"]
        longer = self.plan([f"{name}.{domain}" for name in absent], *options)
        self.assertIn("found", {line["outcome"] for line in longer})  # else it tells nothing
        self.resolvers(f"search {domain}", "options ndots:5", "nameserver 127.0.0.1")
        self.serve(*options)
        self.check_plan(NAMES, *options)

    def test_the_hosts_file_and_the_looks_of_an_address_are_no_answer(self):
        names = ["hosted.dev", "10.1", "192.0.2.1"]
        options = ("--seed", "30")
        self.serve(*options)
        self.assertEqual(self.check_plan(names, *options), sorted(f"  {name}" for name in names))

    def test_the_last_dot_of_a_name_may_be_given(self):
        self.assertEqual(self.plan(["localhost"], "--seed", "30")[0]["outcome"], "nxdomain")
        self.serve("--seed", "30")
        for backend in self.backends():
            self.assertEqual(self.system(backend, "localhost."), ["  localhost."], backend)

    def test_the_longest_name_is_looked_up(self):
        label = "a" * 63
        self.serve("--seed", "3")
        self.check_plan([".".join([label, label, label, "b" * 61])], "--seed", "3")

    def test_a_resolver_that_is_not_there_says_nothing_of_a_name(self):
        for backend in self.backends():
            lines = self.system(backend, "a.dev", "b.dev", code=6)
            self.assertEqual(lines, ["! a.dev", "! b.dev"], backend)


class TwoResolvers(SystemCase):
    NAMES = NAMES[:2]

    def setUp(self):
        super().setUp()
        self.first = self.serve("--seed", "3", "--fault", "drop@1", address="127.0.0.2")
        self.resolvers("nameserver 127.0.0.2", "nameserver 127.0.0.1", "options timeout:1")

    def asked(self, ready):
        """How often for each name, since the last time."""
        keys = self.stats_of(ready)["keys"]
        self.admin("/reset", "POST")
        return keys

    def test_a_silent_one_leaves_time_for_the_next(self):
        planned = sorted(line_of(line) for line in self.plan(self.NAMES, "--seed", "3"))
        second = self.serve("--seed", "3")
        for backend in self.backends():
            timeout = "5s" if backend == POOL else "800ms"
            lines, took = self.timed(backend, "--timeout", timeout, *self.NAMES, code=0)
            self.assertEqual(lines, planned, backend)
            self.assertGreater(took, 0.35)
            # Newer versions of c-ares know by the second name which one is silent.
            self.assertIn(self.NAMES[0], self.asked(self.first), backend)
            self.assertEqual(self.asked(second), {name: 1 for name in self.NAMES}, backend)

    def test_silent_ones_share_the_time_of_an_attempt(self):
        second = self.serve("--seed", "3", "--fault", "drop@1")
        for backend in self.backends():
            lines, took = self.timed(backend, "--timeout", "800ms", *self.NAMES, code=6)
            self.assertEqual(lines, [f"! {name}" for name in self.NAMES], backend)
            self.assertLess(took, 3)
            for ready in (self.first, second):
                self.assertEqual(self.asked(ready), {name: 1 for name in self.NAMES}, backend)


class Pool(SystemCase):
    """What is different when the C library waits, in a pool of threads."""

    def test_the_time_of_a_name_begins_when_it_is_asked_for(self):
        self.serve("--seed", "3", "--delay", "300ms")
        planned = sorted(line_of(line) for line in self.plan(NAMES[:16], "--seed", "3"))
        lines, took = self.timed(POOL, "--timeout", "1s", *NAMES[:16], code=0)
        self.assertEqual(lines, planned)
        self.assertGreaterEqual(took, 1.2)  # four at a time: libuv's threads
        self.assertEqual(self.stats()["max_in_flight"], 4)

    def test_a_larger_pool_asks_for_more_names_at_a_time(self):
        self.environment["UV_THREADPOOL_SIZE"] = "10"
        self.serve("--delay", "600ms")
        self.system(POOL, *NAMES[:12])
        self.assertEqual(self.stats()["max_in_flight"], 10)
        self.admin("/reset", "POST")
        self.system(POOL, "-m", "3", *NAMES[:6])
        self.assertEqual(self.stats()["max_in_flight"], 3)

    def start(self, *arguments):
        process = subprocess.Popen([BENCH, "probe", "--dns", "system", "-b", POOL, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment)
        process.stderr.readline()  # it looks up from here on
        return process

    def test_a_timeout_is_told_in_time_and_the_call_goes_on(self):
        self.serve("--fault", "drop@1")
        begun = time.monotonic()
        process = self.start("--timeout", "200ms", "a.dev")
        line = process.stdout.readline()
        told = time.monotonic() - begun
        process.communicate(timeout=30)
        took = time.monotonic() - begun
        self.assertEqual((line, process.returncode), (TIMED_OUT.format("a.dev"), 6))
        self.assertLess(told, 1)
        self.assertGreaterEqual(took, 0.9)  # the shortest time that the C library knows
        self.assertLess(took, 2)
        self.assertEqual(self.stats()["keys"], {"a.dev": 1})

    def test_ctrl_c_ends_it_when_the_calls_have_returned(self):
        self.serve("--fault", "drop@1")
        self.resolvers("nameserver 127.0.0.1", "options timeout:1 attempts:1")
        process = self.start("--timeout", "60s", *NAMES)  # ten seconds, were it to go on
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        self.assertLess(time.monotonic() - begun, 3)
        self.assertEqual((stdout, process.returncode), ("", 130))
        self.assertIn("40 not finished.", stderr)
        self.assertLessEqual(len(self.stats()["keys"]), 4)

    def test_it_follows_a_resolv_conf_that_changes(self):
        self.environment["UV_THREADPOOL_SIZE"] = "1"
        first = self.serve("--delay", "300ms")
        second = self.serve(address="127.0.0.2")
        process = self.start("-m", "1", *NAMES[:5])
        process.stdout.readline()
        self.resolvers("nameserver 127.0.0.2")
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        asked = [self.stats_of(ready)["keys"] for ready in (first, second)]
        self.assertEqual(asked[0] | asked[1], {name: 1 for name in NAMES[:5]})
        self.assertIn(NAMES[0], asked[0])
        self.assertIn(NAMES[4], asked[1])


class PoolLimits(SystemCase):
    """How long the calls of the C library are let wait when nobody answers."""

    def setUp(self):
        super().setUp()
        self.holes = [self.serve("--fault", "drop@1", address=address)
                      for address in ("127.0.0.1", "127.0.0.2")]

    def check(self, timeout, names, seconds, questions, line=TIMED_OUT):
        """It ends when the calls are to end, and so often each name was asked of each resolver."""
        for _ in range(4):  # a busy machine may take as long as one second more is
            begun = time.monotonic()
            done = self.probe("--dns", "system", "-b", POOL, "--timeout", timeout, *names, code=6)
            took = time.monotonic() - begun
            lines = sorted(done.stdout.splitlines(True))
            self.assertEqual(lines, [line.format(name) for name in names])
            self.assertGreaterEqual(took, seconds - 0.1)
            for ready, count in zip(self.holes, questions):
                wanted = {name: count for name in names if count}
                self.assertEqual(self.stats_of(ready)["keys"], wanted)
                self.admin("/reset", "POST")
            if took < seconds + 0.9:
                return
        self.fail(f"{took} s instead of {seconds} s")

    def test_they_end_with_the_timeout(self):
        self.check("1s", ["a.dev"], seconds=1, questions=(1, 0))

    def test_each_resolver_gets_a_second(self):
        self.resolvers("nameserver 127.0.0.1", "nameserver 127.0.0.2")
        self.check("1s", ["a.dev"], seconds=2, questions=(1, 1))

    def test_resolvers_share_a_longer_timeout(self):
        self.resolvers("nameserver 127.0.0.1", "nameserver 127.0.0.2")
        self.check("4s", ["a.dev"], seconds=4, questions=(1, 1))

    def test_every_call_of_a_thread_is_limited(self):
        self.check("1s", NAMES[:9], seconds=3, questions=(1, 0))  # four at a time

    def test_attempts_that_begin_in_that_time_are_made(self):
        self.resolvers("nameserver 127.0.0.1", "options timeout:1 attempts:5")
        self.check("2s", ["a.dev"], seconds=2, questions=(2, 0))

    def test_resolv_conf_may_have_less_patience(self):
        self.resolvers("nameserver 127.0.0.1", "options timeout:1 attempts:2")
        self.check("5s", ["a.dev"], seconds=2, questions=(2, 0),
                   line="! {} (Temporary failure in name resolution)\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-cli-") as own_folder:
        try:
            enter(pathlib.Path(own_folder))
        except OSError as reason:
            print(f"skipped: no namespaces of its own here: {reason}", file=sys.stderr)
            sys.exit(SKIPPED)
        unittest.main()
