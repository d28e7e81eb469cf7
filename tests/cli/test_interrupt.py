"""Ctrl-C and worse: what was measured is kept, nothing is left running."""
import csv
import os
import signal
import subprocess
import time
import unittest

from support import BENCH, CSV_COLUMNS, MockServerCase, marked, strict_json, wait_for


class Interrupt(MockServerCase):
    def start(self, *arguments):
        return subprocess.Popen([BENCH, *arguments], cwd=self.folder, env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_rows(self, name, count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            path = self.folder / name
            if path.exists() and path.read_text().count("\n") > count:
                return
            time.sleep(0.02)
        self.fail("no rows")

    def check_kept(self, least):
        with open(self.folder / "t.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, strict=True))
        self.assertEqual(rows[0], CSV_COLUMNS)
        self.assertGreaterEqual(len(rows) - 1, least)
        self.assertTrue(all(len(row) == len(CSV_COLUMNS) for row in rows))
        document = strict_json((self.folder / "t.json").read_text())
        self.assertTrue(document["interrupted"])
        self.assertEqual(len(document["samples"]), len(rows) - 1)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["t.csv", "t.csv.environment", "t.json"])

    def interrupted_by(self, number):
        process = self.start("run", "-r", "1000", "--csv", "t.csv", "--json", "t.json", "-b",
                             "curl_sequential,curl_threads")
        self.wait_for_rows("t.csv", 3)
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn("interrupted", stdout)
        self.check_kept(3)

    def test_ctrl_c_keeps_what_was_measured(self):
        self.interrupted_by(signal.SIGINT)

    def test_sigterm_does_the_same(self):
        self.interrupted_by(signal.SIGTERM)

    def test_ctrl_c_of_the_whole_process_group_as_a_terminal_sends_it(self):
        process = subprocess.Popen([BENCH, "run", "-r", "1000", "--csv", "t.csv", "--json",
                                    "t.json", "-b", "curl_sequential,curl_threads"],
                                   cwd=self.folder, env=self.environment, start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait_for_rows("t.csv", 3)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.check_kept(3)

    def test_ctrl_c_in_a_long_trial_ends_it_at_once(self):
        self.serve("--delay", "40s")
        process = self.start("run", "-b", "curl_sequential", "--server", self.ready["url"],
                             "--timeout", "50s", "--csv", "t.csv", "--json", "t.json")
        wait_for(lambda: self.stats()["in_flight"] == 1, 20)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(strict_json((self.folder / "t.json").read_text())["samples"], [])

    def test_a_killed_bench_leaves_nothing_running(self):
        process = self.start("run", "-r", "1000", "--csv", "t.csv", "-b", "curl_sequential")
        self.wait_for_rows("t.csv", 1)
        process.kill()
        process.communicate(timeout=20)
        wait_for(lambda: marked(self.marker) == [])


if __name__ == "__main__":
    unittest.main()
