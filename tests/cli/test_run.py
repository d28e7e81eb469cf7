"""bench run and bench list: what comes out of a measurement."""
import csv
import unittest

from support import BENCH, CSV_COLUMNS, WAITS_S, CliCase, in_time, strict_json


class Run(CliCase):
    def rows(self, name):
        with open(self.folder / name, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, strict=True))
        self.assertEqual(rows[0], CSV_COLUMNS)
        return [dict(zip(CSV_COLUMNS, row, strict=True)) for row in rows[1:]]

    def rows_of(self, count, *arguments):
        """A round that the host disturbs is made once more: then all of it again."""
        for _ in range(3):
            self.bench("run", *arguments, "--csv", "t.csv")
            rows = self.rows("t.csv")
            if len(rows) == count:
                break
        self.assertEqual(len(rows), count)
        return rows

    def test_without_arguments_it_compares_the_twenty_flags(self):
        done = self.bench("-r", "2")
        self.assertEqual(done.stderr, "")
        for name in ("curl_sequential", "curl_threads", "curl_libuv"):
            self.assertIn(name, done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        self.assertLessEqual(max(len(line) for line in done.stdout.splitlines()), 100)

    def test_csv_has_a_row_for_each_trial(self):
        def run(delay):  # the reference runs twice in each round
            return self.rows_of(9, "-b", "curl_threads,curl_libuv", "-r", "3", "--delay", delay)
        rows = in_time(run, lambda rows: all(row["server_max_in_flight"] == "20" for row in rows))
        delay = rows[0]["delay"]
        delay_s = WAITS_S[delay]
        for row in rows:
            self.assertEqual(row["valid"], "1", row["invalid_reason"])
            self.assertEqual((row["ok"], row["failed"]), ("20", "0"))
            self.assertEqual(row["server_max_in_flight"], "20")
            self.assertEqual(row["delay"], delay)
            self.assertNotIn("nan", ",".join(row.values()).lower())
            self.assertAlmostEqual(float(row["bound_s"]), delay_s)
            self.assertGreater(float(row["latency_p50_ms"]), 1000 * delay_s - 0.1)
        for number in ("1", "2", "3"):
            in_round = [row for row in rows if row["round"] == number]
            self.assertEqual(sorted(row["backend"] for row in in_round),
                             ["curl_libuv", "curl_threads", "curl_threads#2"])
            self.assertEqual(sorted(row["position"] for row in in_round), ["1", "2", "3"])

    def test_the_environment_stands_beside_the_csv(self):
        self.bench("run", "-b", "null", "-r", "1", "--seed", "7", "--csv", "t.csv",
                   "--json", "t.json")
        with open(self.folder / "t.csv.environment", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, strict=True))
        self.assertEqual(rows[0], ["name", "value"])
        values = dict(rows[1:])
        self.assertEqual(len(values), len(rows) - 1)
        document = strict_json((self.folder / "t.json").read_text())
        for name in ("kernel", "cpu_model", "build_type", "revision", "corpus", "mitigations",
                     "container", "placement", "libcurl", "libc"):
            self.assertEqual(values[name], document["environment"][name])
        self.assertEqual(values["seed"], "7")
        self.assertEqual(values["run_id"], self.rows("t.csv")[0]["run_id"])

    def test_a_csv_to_a_device_has_nothing_beside_it(self):
        self.bench("run", "-b", "null", "-r", "1", "--csv", "/dev/null")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_every_scenario_runs(self):
        for name, options in (("throughput", ["-n", "200"]), ("scale", ["-n", "2000"]),
                              ("faults", ["-n", "300"]), ("save", ["-n", "300"]),
                              ("slow", ["-n", "4", "-c", "4", "--delay", "10ms"])):
            self.bench("run", "--scenario", name, "-b", "raw_epoll", "-r", "1", "--json", "t.json",
                       *options)
            cell = strict_json((self.folder / "t.json").read_text())["cells"][0]
            self.assertEqual(cell["invalid"], 0)
            self.assertEqual("status:418" in cell["outcomes"] or "http_error" in cell["outcomes"],
                             name == "faults", cell["outcomes"])
        self.assertEqual(len(list((self.folder / "downloaded").iterdir())), 194)

    def test_loops_choose_the_backends_that_have_them(self):
        done = self.bench("run", "--loops", "2", "-n", "100", "-c", "10", "-r", "1")
        self.assertIn("raw_epoll", done.stdout)
        self.assertNotIn("curl_sequential", done.stdout)
        self.refused(64, "run", "--loops", "2", "-b", "curl_sequential", says="one loop")

    def test_an_old_csv_is_replaced(self):
        (self.folder / "t.csv").write_text("old\n" * 1000)
        self.rows_of(2, "-b", "null", "-r", "1")

    def test_csv_and_json_tell_the_same(self):
        self.bench("run", "-b", "curl_sequential,curl_threads", "-r", "2", "-n", "40", "-c", "10",
                   "--delay", "5ms", "--csv", "t.csv", "--json", "t.json")
        document = strict_json((self.folder / "t.json").read_text())
        for name in ("schema", "run_id", "environment", "options", "reference", "warnings",
                     "samples", "cells"):
            self.assertIn(name, document)
        self.assertEqual(document["reference"], "curl_sequential")
        rows = self.rows("t.csv")
        self.assertEqual(len(rows), len(document["samples"]))
        for row, sample in zip(rows, document["samples"]):
            self.assertEqual(row["backend"], sample["backend"])
            self.assertEqual(int(row["ok"]), sample["ok"])
            self.assertAlmostEqual(float(row["wall_s"]), sample["wall_s"], places=6)
        for cell in document["cells"]:
            for name in ("wall_s", "cpu_us_per_transfer", "transfers_per_s", "latency_p50_ms",
                         "latency_p99_ms"):
                self.assertGreater(cell["metrics"][name]["median"], 0)

    def test_a_sweep_runs_every_combination_in_every_round(self):
        rows = self.rows_of(48, "-b", "curl_threads,null", "-r", "2", "-n", "20", "-c", "2,20",
                            "--delay", "0,3ms", "--size", "1KiB,40KiB")
        points = {(row["backend"], row["concurrency"], row["delay"], row["size"]) for row in rows}
        self.assertEqual(len(points), 24)
        for row in rows:
            self.assertEqual(row["valid"], "1", row["invalid_reason"])
            if row["size"] == "40KiB":
                self.assertEqual(row["body_bytes"], str(20 * 40 * 1024))

    def test_the_same_seed_draws_the_same_order(self):
        orders = []
        for seed in ("5", "5", "6"):
            rows = self.rows_of(16, "-b", "null,curl_threads,curl_libuv", "-r", "4", "-n", "2",
                                "--delay", "0", "--seed", seed)
            orders.append([row["backend"] for row in rows])
        self.assertEqual(orders[0], orders[1])
        self.assertNotEqual(orders[0], orders[2])

    def test_an_injected_fault_explains_failures(self):
        self.bench("run", "-b", "curl_threads,curl_libuv", "-n", "100", "-r", "2", "--delay", "0",
                   "--fault", "status:418@.25", "--csv", "t.csv", "--json", "t.json")
        rows = self.rows("t.csv")
        failed = {row["failed"] for row in rows}
        self.assertEqual(len(failed), 1, "the same seed gives the same faults to every backend")
        self.assertIn(int(failed.pop()), range(10, 45))
        document = strict_json((self.folder / "t.json").read_text())
        self.assertIn("http_error", document["samples"][0]["outcomes"])

    def test_retries_get_past_a_fault_that_ends(self):
        self.bench("run", "-b", "curl_threads,curl_libuv", "-n", "40", "-r", "1", "--delay", "0",
                   "--fault", "status:503@1,try<=2", "--retries", "2", "--csv", "t.csv")
        for row in self.rows("t.csv"):
            self.assertEqual((row["ok"], row["valid"]), ("40", "1"), row["invalid_reason"])

    def test_saving_writes_the_flags(self):
        self.bench("run", "-b", "curl_threads,curl_libuv", "-r", "1", "--save", "out", "--save-mode",
                   "atomic")
        names = sorted(path.name for path in (self.folder / "out").iterdir())
        self.assertEqual(len(names), 20)
        self.assertIn("CN.gif", names)
        for path in (self.folder / "out").iterdir():
            self.assertEqual(path.read_bytes()[:6], b"GIF89a")

    def test_the_null_backend_shows_what_the_harness_costs(self):
        done = self.bench("run", "-b", "null", "-n", "100000", "-r", "1", "--csv", "t.csv")
        self.assertIn("null", done.stdout)
        self.assertEqual(self.rows("t.csv")[0]["ok"], "100000")

    def test_a_time_limit_ends_with_a_whole_round(self):
        self.bench("run", "-b", "curl_threads,null", "-r", "1000", "--time-limit", "1s", "--csv",
                   "t.csv")
        rows = self.rows("t.csv")
        self.assertGreaterEqual(len(rows), 2)
        self.assertEqual(len(rows) % 3, 0)

    def test_fresh_connections_are_counted(self):
        self.bench("run", "-b", "curl_threads,curl_libuv", "-r", "1", "-n", "40", "-c", "4",
                   "--delay", "0", "--connections", "fresh", "--csv", "t.csv")
        for row in self.rows("t.csv"):
            self.assertEqual(row["connections_opened"], "40")
            self.assertEqual(row["valid"], "1", row["invalid_reason"])

    def test_a_table_that_cannot_be_written_is_an_error(self):
        done = self.run_program("sh", "-c", f"{BENCH} run -b null -r 1 > /dev/full")
        self.assertEqual(done.returncode, 73)
        self.assertEqual(len(done.stderr.splitlines()), 1)


class List(CliCase):
    def test_list_says_what_each_backend_waits_in(self):
        done = self.bench("list")
        for text in ("curl_sequential", "curl_threads", "curl_libuv", "raw_io_uring", "null",
                     "poll(2)"):
            self.assertIn(text, done.stdout)
        self.assertEqual(done.stderr, "")

    def test_help_names_every_option(self):
        done = self.bench("run", "--help")
        for option in ("--backend", "--delay", "--csv", "--json", "--seed", "--save-mode"):
            self.assertIn(option, done.stdout)


if __name__ == "__main__":
    unittest.main()
