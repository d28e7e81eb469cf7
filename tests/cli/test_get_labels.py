"""bench get -s LABEL: what a slow and a failing server lets through, by every backend."""
import concurrent.futures
import itertools
import re
import unittest

from support import BENCH, MOCKSERVER
from test_get import POP20, GetCase

BEHAVIOURS = {
    "DELAY": ["--delay", "uniform:500ms:5s"],
    "ERROR": ["--delay", "uniform:500ms:5s", "--fault", "status:418@.25"],
}
# Its delays are short: who waits for one flag after the other waits for their sum.
SEED = "558"
# Few enough to begin without being in each other's way, enough to be done before the slowest is.
JOBS_AT_ONCE = 8


def is_one_by_one(backend):
    return backend.endswith("_sequential")


class Labels(GetCase):
    def plan(self, label):
        """Of each code, in the order of the list: the status, and the delay in seconds."""
        done = self.run_program(MOCKSERVER, "--seed", SEED, *BEHAVIOURS[label], "--plan",
                                ",".join(POP20))
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertEqual(lines[0], ["cc", "attempt", "status", "delay_ms"])
        self.assertEqual([line[:2] for line in lines[1:]], [[cc.lower(), "1"] for cc in POP20])
        return {cc.upper(): (int(status), float(delay_ms) / 1000)
                for cc, _, status, delay_ms in lines[1:]}

    def test_every_backend_gets_what_the_server_plans_to_answer(self):
        corpus = {cc: self.flag(cc) for cc in POP20}
        plans = {label: self.plan(label) for label in BEHAVIOURS}
        slow_first = sorted(self.backends(), key=is_one_by_one, reverse=True)
        jobs = [(label, backend) for backend in slow_first for label in plans]

        def get(job):
            label, backend = job
            return self.run_program(BENCH, "get", "-s", label, "--seed", SEED, "-m", "20",
                                    "-b", backend, "-o", "-".join(job))
        with concurrent.futures.ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
            for job, done in zip(jobs, pool.map(get, jobs)):
                with self.subTest(job):
                    plan = plans[job[0]]
                    fine = [cc for cc in POP20 if plan[cc][0] == 200]
                    self.check_what_is_told(done, fine)
                    self.check_when(done, plan, is_one_by_one(job[1]))
                    self.assertEqual(self.folder_of("-".join(job)),
                                     {f"{cc}.gif": corpus[cc] for cc in fine})
        self.assertEqual({status for status, _ in plans["DELAY"].values()}, {200})
        self.assertEqual({status for status, _ in plans["ERROR"].values()}, {200, 418})

    def check_what_is_told(self, done, fine):
        """The codes, the counts, the failures by URL, and the exit code that says so."""
        failed = sorted(set(POP20) - set(fine))
        self.assertEqual(done.returncode, 6 if failed else 0, done.stderr)
        codes, *lines = done.stdout.splitlines()
        self.assertEqual(sorted(codes.split()), fine)
        counts = [f"{len(fine)} flags downloaded."]
        if failed:
            counts.append(f"{len(failed)} errors.")
        self.assertEqual(lines[:len(counts)], counts)
        told = [re.fullmatch(r"  http_error after 1 attempt: http:\S+/(\w\w)\.gif: HTTP status 418",
                             line) for line in lines[len(counts):-1]]
        self.assertNotIn(None, told, done.stdout)
        self.assertEqual([match[1].upper() for match in told], failed)

    def check_when(self, done, plan, one_by_one):
        """One wait for all of them, or one after the other; codes as they came."""
        delays = [delay for _, delay in plan.values()]
        elapsed = float(re.search(r"^Elapsed time: (\d+\.\d\d)s$", done.stdout, re.M)[1])
        codes = done.stdout.splitlines()[0].split()
        if one_by_one:
            self.assertIn(", 1 at a time, ", done.stderr)
            self.assertGreater(elapsed, sum(delays) - 0.01)
            self.assertEqual(codes, sorted(codes))
            return
        self.assertIn(", 20 at a time, ", done.stderr)
        self.assertGreater(elapsed, max(delays) - 0.01)
        self.assertLess(elapsed, sum(delays) / 2)
        for first, second in itertools.combinations(codes, 2):
            # Of twenty threads on a busy machine one may well begin a second after the others.
            self.assertLess(plan[first][1], plan[second][1] + 1, codes)


if __name__ == "__main__":
    unittest.main()
