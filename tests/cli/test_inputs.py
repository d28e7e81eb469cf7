"""Bad input: one clear line on stderr, the documented exit code, nothing else."""
import pathlib
import socket
import subprocess
import unittest
import urllib.request

from support import (BENCH, BUILT_INS, DENY_IO_URING, MOCKSERVER, MODULES, CliCase, io_uring_works,
                     strict_json)


class Inputs(CliCase):
    def test_an_unknown_backend(self):
        self.refused(64, "run", "-b", "nope", says=["'nope'", "curl_sequential", "path.so"])

    def test_an_unknown_command(self):
        self.refused(64, "nope", says=["'nope'", "run"])

    def test_an_unknown_option(self):
        self.refused(64, "run", "--nope", says="--nope")

    def test_a_concurrency_of_nothing(self):
        self.refused(64, "run", "-c", "0", says=["'0'", "from 1 to"])

    def test_a_concurrency_that_is_no_whole_number(self):
        self.refused(64, "run", "-c", "1e9", says=["'1e9'", "whole number"])

    def test_a_concurrency_above_the_descriptor_limit_names_the_number_needed(self):
        done = self.run_program("sh", "-c", f"ulimit -n 256; {BENCH} run -c 1000 -n 1000")
        self.assertEqual(done.returncode, 64)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^bench: .*1000 needs \d+ descriptors, the limit is 256")

    def test_a_concurrency_above_the_ports_there_are_names_the_number_needed(self):
        first, last = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
                          .split())
        count = last - first + 2
        if count > 60000:
            self.skipTest("more ports than --concurrency goes up to")
        script = f"ulimit -n 65536 2>/dev/null && exec {BENCH} run -c {count} -n {count}"
        done = self.run_program("sh", "-c", script)
        if not done.stderr:
            self.skipTest("no right to so many descriptors")
        self.assertEqual(done.returncode, 64)
        self.assertRegex(done.stderr, rf"needs {count} ports, the limit is {count - 1}")

    def test_a_delay_without_a_unit(self):
        self.refused(64, "run", "--delay", "20", says=["'20'", "unit", "20ms"])

    def test_a_csv_that_cannot_be_written(self):
        self.refused(73, "run", "--csv", "no/such/folder/t.csv", says=["t.csv", "cannot write"])

    def test_a_json_that_cannot_be_written(self):
        self.refused(73, "run", "--json", "no/such/folder/t.json", says=["t.json", "cannot write"])

    def test_a_folder_that_cannot_be_saved_to(self):
        self.refused(73, "run", "--save", "no/such/folder", says="cannot write")

    def test_a_reference_that_is_not_in_the_run(self):
        self.refused(64, "run", "-b", "null", "--reference", "curl_libuv", says="curl_libuv")

    def test_loops_that_a_backend_does_not_have(self):
        self.refused(64, "run", "-b", "curl_sequential", "-l", "2", says="curl_sequential")

    def test_a_server_that_is_not_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.refused(69, "run", "--server", f"http://127.0.0.1:{port}/flags", says=str(port))

    def test_a_list_of_urls_that_is_not_there(self):
        self.refused(64, "run", "--urls", "none.txt", says="none.txt")

    def test_a_list_of_urls_with_a_bad_line_names_the_line(self):
        (self.folder / "urls.txt").write_text("# mine\nhttp://127.0.0.1:1/a\nftp://x/y\n")
        self.refused(64, "run", "--urls", "urls.txt", says=["urls.txt:3", "ftp://x/y"])

    def test_a_flag_folder_that_is_not_there_fails_before_any_table(self):
        done = self.bench("run", "--flags", "none", code=69)
        self.assertEqual(done.stdout, "")
        self.assertIn("none", done.stderr)

    def test_old_results_survive_a_refused_run(self):
        (self.folder / "t.csv").write_text("kept")
        (self.folder / "t.json").write_text("kept")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.bench("run", "--server", f"http://127.0.0.1:{port}/", "--csv", "t.csv", "--json",
                   "t.json", code=69)
        self.assertEqual((self.folder / "t.csv").read_text(), "kept")
        self.assertEqual((self.folder / "t.json").read_text(), "kept")

    def test_a_control_byte_in_an_argument_is_shown_escaped(self):
        done = self.refused(64, "run", "-b", "a\x1b[31mb", says="\\x1b[31m")
        self.assertNotIn("\x1b", done.stderr)


class Unavailable(CliCase):
    def test_a_backend_made_unavailable_is_the_only_one(self):
        if not io_uring_works(self):
            self.skipTest("io_uring does not work here at all")
        done = self.run_program(DENY_IO_URING, BENCH, "run", "-b", "raw_io_uring")
        self.assertEqual(done.returncode, 69)
        self.assertEqual(done.stdout, "")
        self.assertIn("raw_io_uring is skipped: io_uring_setup: Operation not permitted",
                      done.stderr)

    def test_a_backend_made_unavailable_is_skipped_with_a_note(self):
        if not io_uring_works(self):
            self.skipTest("io_uring does not work here at all")
        for name in ("raw_io_uring", "curl_io_uring"):
            with self.subTest(name):
                done = self.run_program(DENY_IO_URING, BENCH, "run", "-b", f"{name},null", "-r", "1")
                self.assertEqual(done.returncode, 0)
                self.assertIn(f"{name} is skipped: io_uring_setup: Operation not permitted",
                              done.stderr)
                self.assertIn("null", done.stdout)

    def test_list_says_why(self):
        done = self.run_program(DENY_IO_URING, BENCH, "list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("unavailable: io_uring_setup: Operation not permitted", done.stdout)


class Files(CliCase):
    def test_a_module_that_is_not_there(self):
        self.refused(64, "run", "-b", "./nope.so", says="./nope.so")

    def test_a_file_that_is_no_module(self):
        (self.folder / "text.so").write_text("text")
        self.refused(64, "run", "-b", "x=./text.so", says="text.so")

    def test_modules_that_do_not_fit_say_what_was_found_and_wanted(self):
        wanted = {1: "magic", 2: "ABI 2.2", 3: "ABI 1.3", 4: "struct_size 16", 5: "model"}
        for number, says in wanted.items():
            with self.subTest(says):
                path = MODULES / f"libunfit_{number}.so"
                if not path.exists():
                    path = MODULES / f"unfit_{number}.so"
                self.refused(64, "run", "-b", f"x={path}", says=[f"unfit_{number}.so", says])

    def test_two_backends_of_one_name(self):
        path = BUILT_INS / "null.so"
        self.refused(64, "run", "-b", f"null,{path}", says=["'null'", "label=path.so"])


class Server(CliCase):
    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.run_program(MOCKSERVER, "--port", port)
        self.assertEqual(done.returncode, 69)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn(str(port), done.stderr)

    def test_a_concurrency_above_the_ports_there_are_names_the_number_needed(self):
        first, last = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
                          .split())
        count = last - first + 2
        if count > 60000:
            self.skipTest("more ports than --concurrency goes up to")
        script = f"ulimit -n 65536 2>/dev/null && exec {BENCH} run -c {count} -n {count}"
        done = self.run_program("sh", "-c", script)
        if not done.stderr:
            self.skipTest("no right to so many descriptors")
        self.assertEqual(done.returncode, 64)
        self.assertRegex(done.stderr, rf"needs {count} ports, the limit is {count - 1}")

    def test_a_delay_without_a_unit(self):
        done = self.run_program(MOCKSERVER, "--delay", "20")
        self.assertEqual(done.returncode, 64)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_it_ends_on_sigterm_with_exit_code_0(self):
        server = subprocess.Popen([MOCKSERVER], stdout=subprocess.PIPE, text=True,
                                  env=self.environment)
        ready = strict_json(server.stdout.readline())
        self.assertIn("url", ready)
        # ThreadSanitizer may lose a signal that comes before it first waits.
        with urllib.request.urlopen(ready["admin"] + "/healthz", timeout=10) as reply:
            self.assertEqual(reply.read(), b"ok\n")
        server.terminate()
        self.assertEqual(server.wait(10), 0)
        server.stdout.close()


if __name__ == "__main__":
    unittest.main()
