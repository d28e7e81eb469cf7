"""bench get: flags and lists of URLs into a folder, by every backend."""
import concurrent.futures
import errno
import http.server
import json
import os
import pty
import re
import signal
import ssl
import subprocess
import threading
import tty
import unittest
import urllib.request

from support import BENCH, MOCKSERVER, CliCase

POP20 = "BD BR CD CN DE EG ET FR ID IN IR JP MX NG PH PK RU TR US VN".split()


def hrefs(url):
    with urllib.request.urlopen(url) as reply:
        return reply.read()


def read_all(fd):
    """Until nobody writes any more, which a terminal tells by an error."""
    data = b""
    try:
        while chunk := os.read(fd, 65536):
            data += chunk
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return data.decode()


class GetCase(CliCase):
    """With a mock server to compare with, and the record of what was saved kept apart. The server
    is that of all tests of a class: it draws its flags first, which takes a slow build a second."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = subprocess.Popen([MOCKSERVER], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.wait, 10)
        cls.addClassCleanup(cls.server.terminate)
        cls.ready = json.loads(cls.server.stdout.readline())
        cls.origin = cls.ready["url"].rsplit("/flags", 1)[0]

    def setUp(self):
        super().setUp()
        self.environment["XDG_STATE_HOME"] = str(self.folder / "state")

    def flag(self, cc):
        return hrefs(f"{self.origin}/flags/{cc.lower()}/{cc.lower()}.gif")

    def stats(self):
        return json.loads(hrefs(self.ready["admin"] + "/stats"))

    def backends(self):
        """Those that download and can run here."""
        names = [line.split()[0] for line in self.bench("list").stdout.splitlines()[1:]
                 if line[0] != " " and "  unavailable: " not in line]
        return [name for name in names if name != "null" and not name.startswith("dns_")]

    def folder_of(self, name):
        return {path.name: path.read_bytes() for path in (self.folder / name).iterdir()}

    def serve_pages(self, answer, context=None):
        """A server that is none of ours: a path's status and body are what `answer` makes of it.
        With a `context` by TLS. @return its URL"""
        class Pages(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body = answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http{'' if context is None else 's'}://127.0.0.1:{server.server_port}"


class Flags(GetCase):
    def test_every_backend_saves_the_bytes_of_the_server(self):
        wanted = {f"{cc}.gif": self.flag(cc) for cc in POP20}
        for backend in self.backends():
            with self.subTest(backend):
                done = self.bench("get", "-b", backend, "-o", backend, "-s", self.ready["url"])
                self.assertEqual(self.folder_of(backend), wanted)
                codes, downloaded, elapsed = done.stdout.splitlines()
                self.assertEqual(sorted(codes.split()), POP20)
                self.assertEqual(downloaded, "20 flags downloaded.")
                self.assertRegex(elapsed, r"^Elapsed time: \d+\.\d\ds$")

    def test_several_loops_share_the_list_and_lose_nothing(self):
        for backend in {"raw_epoll", "raw_libuv", "raw_io_uring"}.intersection(self.backends()):
            for loops in ("1", "3"):
                with self.subTest(backend=backend, loops=loops):
                    done = self.bench("get", "-a", "-m", "8", "-b", backend, "--loops", loops, "-o",
                                      f"{backend}-{loops}", "-s", self.ready["url"])
                    self.assertIn("\n194 flags downloaded.\n", done.stdout)
                    self.assertEqual(len(self.folder_of(f"{backend}-{loops}")), 194)

    def test_every_code_finds_the_194_there_are(self):
        done = self.bench("get", "-e", "-o", "every")
        self.assertIn("\n194 flags downloaded.\n482 not found.\n", done.stdout)
        self.assertEqual(len(self.folder_of("every")), 194)

    def test_all_flags_are_194(self):
        self.assertIn("\n194 flags downloaded.\n", self.bench("get", "--all").stdout)
        self.assertEqual(len(self.folder_of("downloaded")), 194)

    def test_a_letter_stands_for_its_codes_and_a_limit_cuts_them(self):
        done = self.bench("get", "b", "-v", "-l", "7")
        self.assertEqual(sorted(re.findall(r"^ok (\w\w)\.gif", done.stdout, re.M)),
                         "BA BB BD BE BF BG".split())
        self.assertEqual(re.findall(r"^not_found (\w\w)", done.stdout, re.M), ["BC"])
        self.assertIn("\n6 flags downloaded.\n1 not found.\n", done.stdout)

    def test_names_are_those_of_the_countries(self):
        for backend in self.backends():
            with self.subTest(backend):
                self.bench("get", "BR", "US", "CN", "--names", "-b", backend, "-o", backend, "-s",
                           self.ready["url"])
                self.assertEqual(self.folder_of(backend), {
                    "Brazil.gif": self.flag("BR"), "United_States.gif": self.flag("US"),
                    "China.gif": self.flag("CN")})

    def test_a_flag_without_metadata_is_an_error_and_leaves_no_file(self):
        server = self.serve_pages(lambda path: (200 if path.endswith(".gif") else 503, b"GIF"))
        done = self.bench("get", "BR", "--names", "-o", "bare", "-s", server, code=6)
        self.assertIn("1 error.", done.stdout)
        self.assertEqual(self.folder_of("bare"), {})

    def test_resume_fetches_what_is_missing_or_not_as_it_should_be(self):
        self.bench("get", "-s", self.ready["url"], "-o", "d")
        (self.folder / "d" / "BR.gif").unlink()
        (self.folder / "d" / "CN.gif").write_bytes(b"half")
        before = self.stats()["requests"]
        done = self.bench("get", "-s", self.ready["url"], "-o", "d", "--resume")
        self.assertIn("18 were complete already.\n2 flags downloaded.\n", done.stdout)
        self.assertEqual(sorted(done.stdout.splitlines()[0].split()), ["BR", "CN"])
        self.assertEqual(self.folder_of("d"), {f"{cc}.gif": self.flag(cc) for cc in POP20})
        self.assertEqual(self.stats()["requests"] - before, 2 + 20)  # and ours above

    def test_resume_knows_the_files_named_by_country_again(self):
        get = ("get", "BR", "CN", "DE", "US", "--names", "-s", self.ready["url"], "-o", "d")
        self.bench(*get)
        (self.folder / "d" / "China.gif").unlink()
        (self.folder / "d" / "United_States.gif").write_bytes(b"half")
        before = self.stats()["requests"]
        done = self.bench(*get, "--resume")
        self.assertEqual(self.stats()["requests"] - before, 2 * 2)  # each with its metadata
        self.assertIn("2 were complete already.\n2 flags downloaded.\n", done.stdout)
        self.assertEqual(sorted(done.stdout.splitlines()[0].split()), ["CN", "US"])
        self.assertEqual(self.folder_of("d"), {
            "Brazil.gif": self.flag("BR"), "China.gif": self.flag("CN"),
            "Germany.gif": self.flag("DE"), "United_States.gif": self.flag("US")})

    def test_resume_knows_the_flags_of_a_server_that_it_starts_anew(self):
        for names in ([], ["--names"]):
            with self.subTest(names):
                folder = "-".join(["own", *names])
                self.bench("get", *names, "-o", folder)
                saved = self.folder_of(folder)
                done = self.bench("get", *names, "-o", folder, "--resume")
                self.assertIn("20 were complete already.\n0 flags downloaded.\n", done.stdout)
                self.assertEqual(self.folder_of(folder), saved)

    def test_a_pattern_says_where_the_codes_go(self):
        asked = []

        def answer(path):
            asked.append(path)
            return (200, path.encode()) if path.startswith("/pictures/") else (404, b"")
        server = self.serve_pages(answer)
        for backend in self.backends():
            with self.subTest(backend):
                asked.clear()
                done = self.bench("get", "BR", "CN", "-b", backend, "-o", backend, "-s",
                                  server + "/pictures/{cc}-large.png?of={cc}")
                paths = [f"/pictures/{cc}-large.png?of={cc}" for cc in ("br", "cn")]
                self.assertEqual(sorted(asked), ["/manifest.json", *paths])
                self.assertEqual(self.folder_of(backend), {
                    "BR.png": paths[0].encode(), "CN.png": paths[1].encode()})
                self.assertIn("\n2 flags downloaded.\n", done.stdout)

    def test_wrong_arguments_are_refused_in_one_line(self):
        for arguments, says in [
                (["BRA"], "'BRA': want a code of two letters"),
                (["1"], "'1': want a code"),
                (["-m", "0"], "--max-req '0': want a whole number from 1 to 65536"),
                (["-l", "x"], "--limit 'x'"),
                (["-s", "ftp://x"], "--server 'ftp://x': want LOCAL, DELAY, ERROR"),
                (["-b", "nope"], "--backend 'nope': unknown"),
                (["-b", "null"], "--backend 'null': downloads nothing"),
                (["-b", "raw_[el]*"], "want one backend, these are 2"),
                (["--timeout", "5"], "--timeout '5'"),
                (["--max-filesize", "0"], "--max-filesize '0': want a size from 1B to 4095MiB"),
                (["--max-filesize", "1000"], "--max-filesize '1000': want a size"),
                (["--max-filesize", "4GiB"], "--max-filesize '4GiB': want a size"),
                (["--names", "-s", self.origin + "/{cc}.gif"], "--names: wants a server with"),
                (["--loops", "0"], "--loops '0': want a whole number from 1 to 256"),
                (["--loops", "2", "-b", "curl_multi"], "--loops 2: curl_multi runs one loop only"),
                (["-i", "urls", "BR"], "--input-file: codes"),
                (["-i", "nowhere"], "--input-file 'nowhere': No such file"),
                (["--bogus"], "'--bogus'")]:
            with self.subTest(arguments):
                self.refused(64, "get", *arguments, says=says)

    def test_a_folder_that_cannot_be_made_is_refused(self):
        (self.folder / "file").write_text("")
        self.refused(73, "get", "-o", "file/below", says="--output 'file/below'")

    def test_a_server_that_is_not_there_is_said(self):
        self.refused(69, "get", "-s", "http://127.0.0.1:1/flags", says="127.0.0.1:1")


class Terminal(GetCase):
    """What somebody sees who looks on."""

    def watch(self, *arguments, code=0, pipes=()):
        """What bench get writes to stdout and to stderr: terminals, but for the `pipes`."""
        ends = [os.pipe() if stream in pipes else pty.openpty() for stream in ("stdout", "stderr")]
        for _, end in ends:
            if os.isatty(end):
                tty.setraw(end)  # as it is written: no \r before each \n
        process = subprocess.Popen([BENCH, "get", *arguments], cwd=self.folder,
                                   env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=ends[0][1], stderr=ends[1][1])
        for _, end in ends:
            os.close(end)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            out, err = pool.map(read_all, [end for end, _ in ends])
        for end, _ in ends:
            os.close(end)
        self.assertEqual(process.wait(20), code, out + err)
        return out, err

    def check_bar(self, err, total):
        """It is drawn in place again and again, and the last one stays. @return what each tells:
        ended, not found, failed"""
        title, bars = err.split("\n", 1)
        self.assertIn(f"{total} flags from ", title)
        self.assertRegex(bars, r"^\r")
        seen = []
        for bar in bars[:-1].split("\r\x1b[K")[1:]:
            match = re.fullmatch(rf"\[(#*)(\.*)\] (\d+)/{total}, (\d+) not found, (\d+) failed, "
                                 r"\d+\.\d MB, \d+\.\d s", bar)
            self.assertIsNotNone(match, bar)
            ended = int(match[3])
            self.assertEqual((len(match[1]), len(match[2])),
                             (30 * ended // total, 30 - 30 * ended // total))
            seen.append((ended, int(match[4]), int(match[5])))
        self.assertEqual(bars[-1], "\n")
        self.assertEqual(seen, sorted(seen))
        return seen

    def test_a_bar_fills_while_flags_come(self):
        # One after the other is far enough apart for a bar of its own.
        out, err = self.watch("BR", "CN", "DE", "US", "-m", "1", "-s",
                              self.origin + "/flags/{cc}/{cc}.gif?delay=150ms")
        self.assertEqual(self.check_bar(err, 4), [(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0),
                                                  (4, 0, 0)])
        self.assertRegex(out, r"^4 flags downloaded\.\nElapsed time: \d\.\d\ds\n$")

    def test_a_bar_ends_full(self):
        out, err = self.watch()
        self.assertEqual(self.check_bar(err, 20)[-1], (20, 0, 0))
        self.assertRegex(out, r"^20 flags downloaded\.\nElapsed time: \d\.\d\ds\n$")

    def test_a_bar_counts_what_there_is_not_and_what_failed(self):
        _, err = self.watch("b")
        missing = 26 - len(self.folder_of("downloaded"))
        self.assertEqual(self.check_bar(err, 26)[-1], (26, missing, 0))
        _, err = self.watch("-s", self.origin + "/flags/{cc}/{cc}.gif?fault=status:503", code=6)
        self.assertEqual(self.check_bar(err, 20)[-1], (20, 0, 20))

    def test_there_is_no_bar_unless_both_streams_are_terminals(self):
        for pipes in (["stderr"], ["stdout"], ["stdout", "stderr"]):
            with self.subTest(pipes):
                out, err = self.watch("-o", pipes[0], "-s", self.ready["url"], pipes=pipes)
                self.assertNotIn("\r", out + err)
                self.assertEqual(len(err.splitlines()), 1)
                self.assertEqual(sorted(out.splitlines()[0].split()), POP20)

    def test_lines_that_were_asked_for_are_no_bar(self):
        out, err = self.watch("-v", "-s", self.ready["url"])
        self.assertNotIn("\r", out + err)
        self.assertEqual(sorted(re.findall(r"^ok (\w\w)\.gif: \d+ bytes in", out, re.M)), POP20)

    def test_quiet_is_no_bar_and_no_title(self):
        out, err = self.watch("-q")
        self.assertEqual(err, "")
        self.assertRegex(out, r"^20 flags downloaded\.\nElapsed time: \d\.\d\ds\n$")

    def test_there_is_no_bar_of_nothing(self):
        self.bench("get")
        out, err = self.watch("--resume")
        self.assertNotIn("\r", out + err)
        self.assertIn("20 were complete already.\n0 flags downloaded.\n", out)


class Lists(GetCase):
    def write_list(self, urls, name="urls.txt"):
        (self.folder / name).write_text("".join(url + "\n" for url in urls))
        return name

    def test_names_never_collide_and_never_leave_the_folder(self):
        urls = [f"{self.origin}/flags/br/br.gif?size={size}" for size in (10, 20, 30)]
        urls += [f"{self.origin}/flags/cn/cn.gif", f"{self.origin}/flags/cn/cn.gif#again",
                 f"{self.origin}/flags/%2e%2e%2f..%2fde/de.gif", f"{self.origin}/"]
        done = self.bench("get", "-i", self.write_list(urls), "-o", "d", code=6)
        self.assertIn("1 URLs stand more than once", done.stderr)
        files = self.folder_of("d")
        self.assertEqual(sorted(len(body) for name, body in files.items()
                                if name.startswith("br-")), [10, 20, 30])
        self.assertEqual(files["cn.gif"], self.flag("cn"))
        self.assertEqual(len(files), 4)
        self.assertEqual({path.name for path in self.folder.iterdir()} - {"state"},
                         {"d", "urls.txt"})

    def test_failures_are_told_by_url_and_retried(self):
        urls = [f"{self.origin}/flags/br/br.gif?fault=status:503",
                f"{self.origin}/flags/zz/zz.gif", f"{self.origin}/flags/cn/cn.gif"]
        done = self.bench("get", "-i", self.write_list(urls), code=6)
        self.assertIn("1 file downloaded.\n1 not found.\n1 error.\n", done.stdout)
        self.assertRegex(done.stdout, r"  http_error after 3 attempts: \S+status:503")
        self.assertRegex(done.stdout, r"  not_found after 1 attempt: \S+zz\.gif")

    def test_quiet_leaves_the_counts_and_the_failures(self):
        failing = f"{self.origin}/flags/br/br.gif?fault=status:503"
        name = self.write_list([failing, *[f"{self.origin}/flags/cn/cn.gif"] * 2])
        done = self.bench("get", "-q", "-i", name, code=6)
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, r"^1 file downloaded\.\n1 error\.\n"
                         rf"  http_error after 3 attempts: {re.escape(failing)}: .*\n"
                         r"Elapsed time: \d+\.\d\ds\n$")

    def test_a_file_above_the_size_allowed_is_an_error_at_once_and_not_saved(self):
        urls = [f"{self.origin}/flags/br/br.gif?size=1000",
                f"{self.origin}/flags/cn/cn.gif?size=1001"]
        name = self.write_list(urls)
        for backend in self.backends():
            with self.subTest(backend):
                done = self.bench("get", "-i", name, "--max-filesize", "1kB", "-b", backend, "-o",
                                  backend, code=6)
                self.assertIn("1 file downloaded.\n1 error.\n", done.stdout)
                self.assertIn(f"  too_large after 1 attempt: {urls[1]}", done.stdout)
                self.assertEqual(self.folder_of(backend), {"br.gif": hrefs(urls[0])})

    def test_a_list_can_come_from_standard_input(self):
        done = subprocess.run([BENCH, "get", "-i", "-", "-o", "d"], cwd=self.folder, text=True,
                              env=self.environment, capture_output=True, timeout=60, check=False,
                              input=f"# mine\n\n{self.origin}/flags/br/br.gif\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.folder_of("d"), {"br.gif": self.flag("br")})

    def test_resume_goes_by_what_was_saved(self):
        urls = [f"{self.origin}/flags/{cc.lower()}/{cc.lower()}.gif" for cc in POP20]
        name = self.write_list(urls)
        self.bench("get", "-i", name, "-o", "d")
        (self.folder / "d" / "br.gif").write_bytes(b"not the same")
        (self.folder / "d" / "cn.gif").unlink()
        done = self.bench("get", "-i", name, "-o", "d", "--resume")
        self.assertIn("18 were complete already.\n2 files downloaded.\n", done.stdout)
        self.assertEqual(self.folder_of("d")["br.gif"], self.flag("br"))

    def check_interrupt(self, number, backend):
        """In the middle of a list. What is there is whole, and --resume gets the rest."""
        urls = [f"{self.origin}/flags/{cc.lower()}/{cc.lower()}.gif?delay=100ms" for cc in POP20]
        name = self.write_list(urls)
        process = subprocess.Popen([BENCH, "get", "-i", name, "-m", "2", "-o", backend, "-b",
                                    backend], cwd=self.folder, env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2):  # of twenty in a second
            process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, err)
        files = self.folder_of(backend)
        self.assertTrue(2 <= len(files) < 20, files.keys())
        self.assertIn(f"{len(files)} files downloaded.\n{20 - len(files)} not finished.\n", out)
        for file, body in files.items():
            self.assertEqual(body, self.flag(file[:2]))
        done = self.bench("get", "-i", name, "-m", "20", "-o", backend, "-b", backend, "--resume")
        self.assertIn(f"{len(files)} were complete already.\n"
                      f"{20 - len(files)} files downloaded.\n", done.stdout)

    def test_an_interrupt_keeps_what_is_complete_and_resume_goes_on(self):
        for backend in self.backends():
            with self.subTest(backend):
                self.check_interrupt(signal.SIGINT, backend)

    def test_sigterm_and_sighup_do_the_same(self):
        self.check_interrupt(signal.SIGTERM, "raw_epoll")
        self.check_interrupt(signal.SIGHUP, "curl_threads")

    def test_a_line_that_is_no_url_is_refused_with_its_number(self):
        for line in ["not a url", "ftp://x/y", "http:///x", "/flags"]:
            with self.subTest(line):
                name = self.write_list([f"{self.origin}/flags/br/br.gif", line])
                self.refused(64, "get", "-i", name, says=f"urls.txt:2: '{line}'")
        self.refused(64, "get", "-i", self.write_list(["# nothing"]), says="no URL in it")


class Https(GetCase):
    def setUp(self):
        super().setUp()
        made = self.run_program("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                                "-keyout", "key.pem", "-out", "cert.pem", "-subj",
                                "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
        self.assertEqual(made.returncode, 0, made.stderr)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        self.base = self.serve_pages(
            lambda path: (302 if path == "/moved" else 200, path.encode()), context)
        (self.folder / "urls.txt").write_text(f"{self.base}/a.txt\n{self.base}/moved\n")

    def test_curl_backends_download_from_a_server_they_can_trust(self):
        for backend in [name for name in self.backends() if name.startswith("curl_")]:
            with self.subTest(backend):
                self.bench("get", "-i", "urls.txt", "-o", backend, "-b", backend, "--cacert",
                           "cert.pem")
                self.assertEqual(self.folder_of(backend), {"a.txt": b"/a.txt",
                                                           "moved": b"/elsewhere"})

    def test_a_certificate_nobody_vouches_for_is_refused(self):
        done = self.bench("get", "-i", "urls.txt", "-o", "d", "--retries", "0", code=6)
        self.assertIn("2 errors.", done.stdout)
        self.assertRegex(done.stdout, r"refused after 1 attempt: \S+: .*cert")
        self.assertEqual(self.folder_of("d"), {})

    def test_raw_backends_say_that_they_cannot(self):
        self.refused(64, "get", "-i", "urls.txt", "-b", "raw_epoll", says="https")


if __name__ == "__main__":
    unittest.main()
