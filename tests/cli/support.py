"""What the tests of the command line share: running bench, and looking for what it left."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.request

BUILD = pathlib.Path(os.environ["BENCH_BUILD_DIR"])
BENCH = BUILD / "bin" / "bench"
MOCKSERVER = BUILD / "bin" / "mockserver"
MODULES = BUILD / "tests" / "modules"
BUILT_INS = BUILD / "lib" / "bench"
DENY_IO_URING = BUILD / "tests" / "deny_io_uring"

CSV_COLUMNS = (
    "schema,run_id,utc,round,position,backend,engine,model,concurrency,loops,transfers,delay,"
    "fault,size,connections,wall_s,cpu_user_s,cpu_sys_s,cpu_us_per_transfer,transfers_per_s,"
    "body_mb_per_s,ok,failed,body_bytes,latency_p50_ms,latency_p90_ms,latency_p99_ms,"
    "latency_max_ms,first_byte_p50_ms,voluntary_switches,involuntary_switches,syscalls,"
    "max_rss_kib,connections_opened,server_max_in_flight,server_cpu_s,bound_s,efficiency,valid,"
    "invalid_reason,minor_faults,major_faults,steal_share").split(",")


def strict_json(text):
    """JSON as RFC 8259 has it: no NaN, no Infinity, no duplicate names."""
    def refuse(constant):
        raise ValueError(constant)

    def unique(pairs):
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            raise ValueError("a name stands twice")
        return dict(pairs)
    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


def family(pid):
    """The processes below pid, by /proc."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def marked(marker):
    """The processes whose environment carries the marker."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]


def wait_for(condition, seconds=10):
    """Until it holds; there is no event to wait for in another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it never came to hold")
        time.sleep(0.005)


WAITS_S = {"100ms": 0.1, "600ms": 0.6, "3s": 3}


def in_time(run, holds, delays=tuple(WAITS_S)):
    """run(delay), again with a longer delay until what it returns holds: a busy machine takes its
    time to ask for all that is to wait at once. @return what the last one returned"""
    for delay in delays:
        result = run(delay)
        if holds(result):
            break
    return result


class CliCase(unittest.TestCase):
    """Each test has a folder of its own, and leaves no process behind."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="bench-cli-")
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)
        self.marker = "BENCH_TEST_MARKER=" + self.folder.name
        self.environment = {**os.environ, "BENCH_TEST_MARKER": self.folder.name}

    def tearDown(self):
        self.assertEqual(marked(self.marker), [], "a process was left behind")

    def run_program(self, *arguments, timeout=200):
        return subprocess.run([str(argument) for argument in arguments], cwd=self.folder,
                              env=self.environment, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, check=False)

    def bench(self, *arguments, code=0, timeout=200):
        done = self.run_program(BENCH, *arguments, timeout=timeout)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}{done.stdout}")
        return done

    def refused(self, code, *arguments, says):
        """One clear line on stderr, nothing on stdout."""
        done = self.bench(*arguments, code=code)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("bench: "), lines[0])
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, lines[0])
        return done


def io_uring_works(case):
    listed = case.bench("list").stdout
    line = next(line for line in listed.splitlines() if line.startswith("raw_io_uring"))
    return "unavailable" not in line


class MockServerCase(CliCase):
    """A mock server of its own, which ends without a word on stderr."""

    def serve(self, *arguments, under=()):
        server = subprocess.Popen([*under, MOCKSERVER, *arguments], stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.PIPE, env=self.environment)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.stderr.close)
        self.servers.append(server)
        self.ready = strict_json(server.stdout.readline())
        self.assertEqual(self.ready["pid"], server.pid)
        address = self.ready["dns"] if "dns" in self.ready else self.ready["url"].split("/")[2]
        self.port = int(address.rsplit(":", 1)[1])
        return server

    def setUp(self):
        super().setUp()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.terminate()
            self.assertEqual((server.wait(20), server.stderr.read()), (0, ""))
        super().tearDown()

    def admin(self, path, method="GET"):
        request = urllib.request.Request(self.ready["admin"] + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.read()

    def stats(self):
        return strict_json(self.admin("/stats"))


class DnsServerCase(MockServerCase):
    """The same as a DNS server, and what it is going to say."""

    def serve(self, *arguments):
        return super().serve("--dns", *arguments)

    def plan(self, names, *options):
        done = self.run_program(MOCKSERVER, "--dns", *options, "--plan", ",".join(names))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertEqual(lines[0], ["name", "attempt", "outcome", "address", "delay_ms"])
        return [dict(zip(lines[0], line)) for line in lines[1:]]
