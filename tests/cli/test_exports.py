"""The other formats, read by parsers as strict as their readers."""
import csv
import pathlib
import re
import subprocess
import tempfile
import unittest

from support import BENCH, BUILT_INS, CliCase, strict_json

METRICS = ("wall_s", "cpu_us_per_transfer", "transfers_per_s", "latency_p50_ms", "latency_p99_ms")


class Formats(unittest.TestCase):
    """One run in each of the formats."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="bench-cli-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        subprocess.run([BENCH, "run", "-b", "curl_threads,curl_libuv", "-r", "8", "-n", "60", "-c",
                        "10", "--delay", "1ms", "--json", "t.json", "--summary", "t.csv",
                        "--markdown", "t.md", "--bmf", "bmf.json", "--gab", "gab", "--hyperfine",
                        "hyperfine.json"], cwd=cls.folder, check=True, timeout=200,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def test_json_has_an_interval_and_a_verdict_for_each_metric(self):
        document = strict_json((self.folder / "t.json").read_text())
        cells = {cell["backend"]: cell for cell in document["cells"]}
        self.assertEqual(set(cells), {"curl_threads", "curl_libuv", "curl_threads#2"})
        for name in METRICS:
            self.assertEqual(cells["curl_threads"]["metrics"][name]["verdict"], "reference")
            other = cells["curl_libuv"]["metrics"][name]
            self.assertIn(other["verdict"], ("faster", "slower", "same", "unresolved"))
            self.assertLessEqual(other["low"], other["ratio"])
            self.assertLessEqual(other["ratio"], other["high"])
            self.assertGreater(other["detectable"], 0)
        for name in ("curl_threads", "curl_libuv"):
            first, last = cells[name]["rank"]
            self.assertTrue(1 <= first <= last <= 2)
        for name in ("kernel", "cpu_model", "cores", "libcurl", "libuv", "build_type", "revision",
                     "corpus", "mitigations", "container", "placement", "load_1min"):
            self.assertIn(name, document["environment"])

    def test_summary_has_one_row_per_cell(self):
        with open(self.folder / "t.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        self.assertEqual([row["backend"] for row in rows],
                         ["curl_threads", "curl_libuv", "curl_threads#2"])
        for row in rows:
            self.assertNotIn(None, row)
            for name in METRICS:
                self.assertGreater(float(row[f"{name}_median"]), 0)
        self.assertNotIn("nan", (self.folder / "t.csv").read_text().lower())

    def test_markdown_is_a_table(self):
        lines = (self.folder / "t.md").read_text().splitlines()
        table = [line for line in lines if line.startswith("|")]
        self.assertEqual(len(table), 5)
        self.assertEqual(len({line.count("|") - line.count("\\|") for line in table}), 1)

    def test_bencher_metric_format_is_a_flat_map_of_measures(self):
        document = strict_json((self.folder / "bmf.json").read_text())
        self.assertEqual(len(document), 2)
        for name, measures in document.items():
            self.assertLessEqual(len(name), 1024)
            self.assertTrue(measures)
            for slug, measure in measures.items():
                self.assertRegex(slug, r"^[a-z0-9-]{1,64}$")
                self.assertLessEqual(set(measure), {"value", "lower_value", "upper_value"})
                self.assertTrue(all(isinstance(v, (int, float)) for v in measure.values()))

    def test_github_action_benchmark_gets_one_direction_per_file(self):
        for name in ("gab-smaller.json", "gab-bigger.json"):
            entries = strict_json((self.folder / name).read_text())
            self.assertTrue(entries)
            self.assertEqual(len({entry["name"] for entry in entries}), len(entries))
            for entry in entries:
                self.assertLessEqual(set(entry), {"name", "unit", "value", "range", "extra"})
                self.assertIsInstance(entry["value"], (int, float))
                if "range" in entry:
                    self.assertTrue(re.fullmatch(r"\u00b1 \d+\.\d+", entry["range"]))

    def test_hyperfine_shape(self):
        results = strict_json((self.folder / "hyperfine.json").read_text())["results"]
        self.assertEqual(len(results), 3)
        for result in results:
            self.assertEqual(set(result), {"command", "mean", "stddev", "median", "user", "system",
                                           "min", "max", "times", "exit_codes"})
            self.assertEqual(len(result["times"]), 8)
            self.assertEqual(min(result["times"]), result["min"])
            self.assertEqual(max(result["times"]), result["max"])


class Exports(CliCase):
    def test_too_few_rounds_give_no_interval_and_no_verdict(self):
        self.bench("run", "-b", "curl_threads,curl_libuv", "-r", "3", "-n", "60", "-c", "10",
                   "--delay", "1ms", "--json", "t.json")
        document = strict_json((self.folder / "t.json").read_text())
        other = next(c for c in document["cells"] if c["backend"] == "curl_libuv")
        self.assertEqual(other["metrics"]["wall_s"]["verdict"], "unresolved")
        self.assertIsNone(other["metrics"]["wall_s"]["low"])

    def test_a_label_that_looks_like_a_formula_or_a_table_is_harmless(self):
        self.bench("run", "-b", f"@a|b={BUILT_INS}/null.so", "-r", "8", "-n", "60", "-c", "10",
                   "--delay", "1ms", "--summary", "t.csv", "--markdown", "t.md", "--csv", "r.csv")
        self.assertIn("'@a|b", (self.folder / "t.csv").read_text())
        self.assertIn("'@a|b", (self.folder / "r.csv").read_text())
        self.assertIn("@a\\|b", (self.folder / "t.md").read_text())

    def test_precision_ends_a_run_early(self):
        done = self.bench("run", "-b", "curl_sequential,curl_threads", "--delay", "5ms", "-n", "10",
                          "-c", "10", "--precision", "40%", "--json", "t.json")
        document = strict_json((self.folder / "t.json").read_text())
        self.assertIn("precision", document["stopped_because"])
        self.assertGreaterEqual(len(document["rounds"]), 10)
        self.assertIn("precision", done.stdout)

    def test_a_sweep_and_a_sized_body_go_through_every_format(self):
        self.bench("run", "-b", "null,curl_threads", "-r", "2", "-n", "4", "-c", "1,2", "--size",
                   "1KiB", "--delay", "0", "--json", "a", "--summary", "b", "--markdown", "c",
                   "--bmf", "d", "--gab", "e", "--hyperfine", "f", "--csv", "g")
        for name in ("a", "d", "e-smaller.json", "e-bigger.json", "f"):
            strict_json((self.folder / name).read_text())


if __name__ == "__main__":
    unittest.main()
