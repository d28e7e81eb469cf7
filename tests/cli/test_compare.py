"""bench compare: exit codes, what is said where, and files that are none of ours."""
import json
import os
import random
import unittest

from support import CliCase, strict_json


def document(run_id, factor=1.0, rounds=20, noise=0.01, seed=1, delay="0"):
    """A run of curl (the reference), its copy, and epoll at half the cost times factor."""
    draw = random.Random(seed)
    point = {"concurrency": 8, "loops": 1, "transfers": 100, "delay": delay, "fault": "",
             "size": "", "connections": "reuse", "engine": "e", "model": "m"}
    labels = [("curl", False, 1.0), ("epoll", False, 0.5 * factor), ("curl#2", True, 1.0)]
    cells = [{"name": f"{label}/n=100/c=8", "backend": label, "copy": copy, **point,
              "server_limited": False, "efficiency": 0.9, "syscalls_per_transfer": 2.5}
             for label, copy, _ in labels]
    samples = []
    for number in range(1, rounds + 1):
        for label, copy, cost in labels:
            cost *= draw.lognormvariate(0, noise)
            samples.append({"round": number, "backend": label, "copy": copy, **point,
                            "wall_s": 0.2 * cost, "cpu_us_per_transfer": 40 * cost,
                            "transfers_per_s": 500 / cost, "latency_p50_ms": None,
                            "latency_p99_ms": None, "ok": 100, "failed": 0, "valid": True})
    return {"schema": 1, "run_id": run_id,
            "environment": {"arch": "x86_64", "cores": 2, "corpus": "0123456789abcdef",
                            "build_type": "Release", "untrusted_build": False,
                            "cpu_model": "Some CPU", "kernel": "Linux 6.1"},
            "options": {"scenario": "throughput", "retries": 0, "connections": "reuse",
                        "save": None, "save_mode": "direct", "seed": 1, "fault": []},
            "reference": "curl", "interrupted": False, "rounds": [], "warnings": [],
            "samples": samples, "cells": cells}


class Compare(CliCase):
    def write(self, name, content):
        (self.folder / name).write_text(json.dumps(content))
        return name

    def setUp(self):
        super().setUp()
        self.base = self.write("base.json", document("base"))
        self.same = self.write("same.json", document("same", seed=2))
        self.slow = self.write("slow.json", document("slow", factor=1.15, seed=3))

    def lines_of(self, done, backend, metric):
        return [line for line in done.stdout.splitlines()
                if line.split()[:2] == [backend, metric]]

    def test_the_same_again_passes(self):
        done = self.bench("compare", self.base, self.same)
        self.assertEqual(done.stderr, "")
        for metric in ("cpu_us_per_transfer", "wall_s"):
            lines = self.lines_of(done, "epoll", metric)
            self.assertEqual(len(lines), 1, done.stdout)
            self.assertTrue(lines[0].endswith("same"), lines[0])
        self.assertNotIn("curl#2 ", done.stdout)
        self.assertIn("\nthreshold 5%: ", done.stdout)
        self.assertIn("\nrounds: 20 in 1 base run, 20 in the new run", done.stdout)
        self.assertIn("\nsmallest detectable: ", done.stdout)
        self.assertIn("\nnoise floor, wall_s ", done.stdout)
        self.assertIn("\nmachine speed factor: 1.00", done.stdout)
        self.assertIn("\nadvisory: ", done.stdout)
        self.assertTrue(done.stdout.endswith("\nverdict: pass (2 of 2 comparisons)\n"))
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 100)

    def test_a_slow_down_is_a_regression(self):
        done = self.bench("compare", self.base, self.slow, code=3)
        self.assertIn("verdict: regression (2 of 2", done.stdout)
        self.assertRegex(done.stdout, r"epoll +wall_s +0\.\d+ +0\.\d+ +\+1\d\.\d% \(\+1?\d\.\d% to")

    def test_a_wider_threshold_lets_it_pass(self):
        self.bench("compare", "--threshold", "30%", self.base, self.slow)

    def test_a_speed_up_passes(self):
        done = self.bench("compare", self.slow, self.base)
        self.assertIn("improvement", done.stdout)

    def test_too_few_rounds_are_inconclusive_and_say_how_many_are_needed(self):
        few = self.write("few.json", document("few", rounds=4))
        done = self.bench("compare", self.base, few, code=4)
        self.assertIn("20 rounds in the base and 4 in the new run; each needs 6", done.stdout)

    def test_noise_is_inconclusive(self):
        noisy = self.write("noisy.json", document("noisy", factor=1.05, noise=0.3))
        self.bench("compare", self.base, noisy, code=4)

    def test_rates_fall_when_worse(self):
        done = self.bench("compare", "--metric", "transfers_per_s", self.base, self.slow, code=3)
        self.assertRegex(done.stdout, r"epoll +transfers_per_s .* -1\d\.\d% .* regression")
        self.bench("compare", "--metric", "transfers_per_s", self.slow, self.base)

    def test_a_history_gives_the_variation_between_runs(self):
        history = [self.write(f"{number}.json", document(f"run {number}", seed=number,
                                                         factor=1 + 0.04 * (number % 3)))
                   for number in range(5)]
        done = self.bench("compare", *history, self.slow, code=4)
        self.assertIn("between base runs: standard deviation up to ", done.stdout)
        self.assertNotIn("advisory", done.stdout)

    def test_what_is_not_comparable_names_field_and_values(self):
        arm = document("arm")
        arm["environment"]["arch"] = "aarch64"
        corpus = document("corpus")
        corpus["environment"]["corpus"] = "f" * 16
        self.refused(5, "compare", self.base, self.write("arm.json", arm),
                     says=["environment.arch", '"x86_64"', '"aarch64"', "base.json", "arm.json"])
        self.refused(5, "compare", self.base, self.write("corpus.json", corpus),
                     says=["environment.corpus", "0123456789abcdef", "ffffffffffffffff"])

    def test_another_cpu_model_and_kernel_only_warn(self):
        other = document("other", seed=5)
        other["environment"].update(cpu_model="Another CPU", kernel="Linux 6.6")
        self.write("other.json", other)
        done = self.bench("compare", self.base, "other.json")
        self.assertEqual([line.split(" is ")[0] for line in done.stderr.splitlines()],
                         ["bench: warning: environment.cpu_model",
                          "bench: warning: environment.kernel"])
        self.assertEqual(self.bench("compare", "-q", self.base, "other.json").stderr, "")

    def test_files_that_are_no_result(self):
        (self.folder / "cut.json").write_text(json.dumps(document("cut"))[:3000])
        (self.folder / "empty.json").write_text("")
        (self.folder / "deep.json").write_text("[" * 100000)
        (self.folder / "list.json").write_text("[1, 2]")
        (self.folder / "zeros.json").write_bytes(bytes(1000))
        (self.folder / "folder").mkdir()
        for name in ("missing.json", "cut.json", "empty.json", "deep.json", "list.json",
                     "zeros.json", "folder"):
            self.refused(5, "compare", name, self.same, says=["no baseline", name])
            self.refused(5, "compare", self.base, name, says=name)

    def test_an_interrupted_run_without_rounds_is_no_baseline(self):
        nothing = document("nothing", rounds=0)
        self.write("nothing.json", nothing)
        self.refused(5, "compare", "nothing.json", self.same, says=["no baseline", "nothing.json"])
        self.refused(5, "compare", self.base, "nothing.json", says="nothing.json")

    def test_bad_usage(self):
        self.refused(64, "compare", says="BASE and NEW")
        self.refused(64, "compare", self.base, says="BASE and NEW")
        self.refused(64, "compare", "--nope", self.base, self.same, says="--nope")
        for threshold in ("5", "-5%", "0%", "nan%", "inf%", "5%%", "", "5000%"):
            self.refused(64, "compare", "--threshold", threshold, self.base, self.same,
                         says="--threshold")
        for metric in ("", "speed", "wall_s,", "wall_s,wall_s"):
            self.refused(64, "compare", "--metric", metric, self.base, self.same, says="--metric")

    def test_results_do_not_go_over_each_other(self):
        os.link(self.folder / self.base, self.folder / "link.json")
        self.refused(64, "compare", "--json", self.base, self.base, self.same, says="base.json")
        self.refused(64, "compare", "--json", "link.json", self.base, self.same, says="link.json")
        self.refused(64, "compare", "--json", "x", "--markdown", "x", self.base, self.same,
                     says="same file")

    def test_an_output_that_cannot_be_written_comes_first(self):
        for option in ("--json", "--markdown"):
            self.refused(73, "compare", option, "no/such/x", "missing", "missing",
                         says=["cannot write", "no/such/x"])

    def test_the_json_is_strict_and_agrees_with_the_exit_code(self):
        self.bench("compare", "--json", "out.json", self.base, self.slow, code=3)
        out = strict_json((self.folder / "out.json").read_text())
        self.assertEqual((out["schema"], out["verdict"], out["advisory"]), (1, "regression", True))
        self.assertEqual([base["run_id"] for base in out["bases"]], ["base"])
        self.assertEqual(out["new"]["run_id"], "slow")
        judged = {row["metric"]: row for row in out["cells"] if row["backend"] == "epoll"}
        for metric in ("cpu_us_per_transfer", "wall_s"):
            row = judged[metric]
            self.assertEqual(row["verdict"], "regression")
            self.assertLess(row["low"], row["change"])
            self.assertLess(row["change"], row["high"])
            self.assertGreater(row["low"], out["threshold"])
            self.assertIsNone(row["between_runs"])
        few = self.write("few.json", document("few", rounds=3))
        self.bench("compare", "--json", "out.json", self.base, few, code=4)
        out = strict_json((self.folder / "out.json").read_text())
        self.assertIsNone(out["cells"][0]["change"])

    def test_the_markdown_is_a_table(self):
        self.bench("compare", "--markdown", "out.md", self.base, self.slow, code=3)
        lines = (self.folder / "out.md").read_text().splitlines()
        rows = [line for line in lines if line.startswith("|")]
        self.assertEqual({line.replace("\\|", "").count("|") for line in rows}, {7})
        self.assertEqual(lines[0], "**bench compare: regression**")

    def test_names_from_a_file_do_not_steer_the_terminal(self):
        hostile = json.loads(json.dumps(document("x")).replace("epoll", "\\u001b[31mep|oll"))
        self.write("hostile.json", hostile)
        done = self.bench("compare", "--markdown", "out.md", "hostile.json", "hostile.json")
        for text in (done.stdout, done.stderr, (self.folder / "out.md").read_text()):
            self.assertNotIn("\x1b", text)


if __name__ == "__main__":
    unittest.main()
