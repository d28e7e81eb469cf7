"""Plug-ins: good ones run beside the built-ins, bad ones are found out."""
import http.server
import json
import threading
import unittest

from support import BUILT_INS, MODULES, CliCase, strict_json


BODY = b"flag" * 100


class WrongManifest(http.server.BaseHTTPRequestHandler):
    """Serves twenty flags of the right lengths, whose hashes are none of theirs."""
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        flags = [{"cc": cc, "country": cc, "path": f"/flags/{cc}/{cc}.gif", "bytes": len(BODY),
                  "xxh3": f"{number:016x}"} for number, cc in enumerate(
                      "bd br cd cn de eg et fr id in ir jp mx ng ph pk ru tr us vn".split())]
        manifest = json.dumps({"corpus": "0123456789abcdef", "flags": flags}).encode()
        body = manifest if self.path == "/manifest.json" else BODY
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Plugins(CliCase):
    def samples(self, *arguments, code):
        self.bench("run", *arguments, "--json", "t.json", code=code)
        return strict_json((self.folder / "t.json").read_text())["samples"]

    def test_a_built_in_runs_as_a_loadable_module_under_a_label(self):
        for name in ("curl_sequential", "curl_threads", "curl_libuv", "null"):
            with self.subTest(name):
                samples = self.samples("-b", f"mine={BUILT_INS / name}.so", "-r", "1", "--delay",
                                       "1ms", code=0)
                self.assertEqual(samples[0]["backend"], "mine")
                self.assertTrue(samples[0]["valid"], samples[0]["invalid_reason"])

    def test_the_floor_transfers_all_that_the_backends_do(self):
        for name in ("floor", "floor_hash"):
            with self.subTest(name):
                samples = self.samples("-b", f"{name}={MODULES / name}.so", "-r", "1", "-n", "400",
                                       "-c", "8", "--delay", "0", code=0)
                self.assertTrue(samples[0]["valid"], samples[0]["invalid_reason"])
                self.assertEqual(samples[0]["ok"], 400)

    def test_the_floor_believes_all_that_it_gets_but_for_its_hash(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WrongManifest)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_address[1]}/flags"
        for name, code in (("floor", 0), ("floor_hash", 6)):
            with self.subTest(name):
                samples = self.samples("-b", f"{name}={MODULES / name}.so", "-r", "1", "-c", "4",
                                       "--server", url, code=code)
                self.assertEqual({sample["valid"] for sample in samples}, {code == 0})

    def found_out(self, kind, says, *arguments, rounds=2):
        samples = self.samples("-b", f"curl_threads,bad={MODULES / kind}.so", "-r", rounds,
                               "--delay", "5ms", "-c", "4", *arguments, code=6)
        bad = [sample for sample in samples if sample["backend"] == "bad"]
        good = [sample for sample in samples if sample["backend"] != "bad"]
        self.assertGreaterEqual(len(bad), rounds)  # one that the host disturbs is made once more
        self.assertEqual(len(good), 2 * len(bad))
        for sample in bad:
            self.assertFalse(sample["valid"])
            self.assertIn(says, sample["invalid_reason"])
        for sample in good:
            self.assertTrue(sample["valid"], sample["invalid_reason"])
        return samples

    def test_one_that_claims_ok_without_asking(self):
        self.found_out("lies", "the server saw 0")

    def test_one_that_asks_for_another_flag(self):
        self.found_out("mixes", "")

    def test_one_that_crashes(self):
        self.found_out("crashes", "crashed: Aborted")

    def test_one_that_ends_the_process(self):
        self.found_out("exits", "exit code 3")

    def test_one_that_hangs(self):
        # It takes more than ten seconds to be certain: one round, in which others come after it.
        samples = self.found_out("hangs", "hung in the run", "--timeout", "100ms", "--seed", "5",
                                 rounds=1)
        self.assertNotEqual(samples[-1]["backend"], "bad")

    def test_one_that_leaks_a_descriptor(self):
        self.found_out("leaks", "leaked 1 descriptor")

    def test_one_that_exceeds_the_concurrency(self):
        self.found_out("exceeds", "in flight at the server, 4 are allowed")

    def test_one_that_forgets_a_transfer(self):
        self.found_out("forgets", "without a status")

    def test_one_that_cannot_proceed(self):
        self.found_out("refuses", "could not proceed: No space left on device")


if __name__ == "__main__":
    unittest.main()
