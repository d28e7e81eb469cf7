"""Servers that bench did not start: ours, somebody else's, and lists of URLs."""
import http.server
import json
import threading
import unittest
import urllib.request

from support import CliCase, MockServerCase, in_time, strict_json

CODES = "bd br cd cn de eg et fr id in ir jp mx ng ph pk ru tr us vn".split()

class OurServer(MockServerCase):
    def test_its_manifest_and_counters_are_used(self):
        def run(delay):
            self.serve("--delay", delay)
            done = self.bench("run", "--server", self.ready["url"], "-b",
                              "curl_threads,curl_libuv", "-r", "2", "--json", "t.json")
            self.assertEqual(done.stderr, "")
            return strict_json((self.folder / "t.json").read_text())
        document = in_time(run, lambda document: all(sample["server_max_in_flight"] == 20
                                                     for sample in document["samples"]))
        self.assertEqual(document["warnings"],
                         [w for w in document["warnings"] if w.startswith("untrusted_build:")])
        for sample in document["samples"]:
            self.assertTrue(sample["valid"], sample["invalid_reason"])
            self.assertEqual(sample["server_max_in_flight"], 20)
            self.assertIsNone(sample["bound_s"])

    def test_a_list_of_urls_is_compared_between_backends(self):
        self.serve()
        with urllib.request.urlopen(self.ready["url"].replace("/flags", "/manifest.json")) as reply:
            flags = json.load(reply)["flags"][:7]
        origin = self.ready["url"].rsplit("/flags", 1)[0]
        (self.folder / "urls.txt").write_text(
            "# mine\n\n" + "".join(f"{origin}{flag['path']}\n" for flag in flags))
        done = self.bench("run", "--urls", "urls.txt", "-b", "curl_threads,curl_libuv", "-r", "2",
                          "--json", "t.json", "--save", "out")
        self.assertIn("compared between backends", done.stdout)
        document = strict_json((self.folder / "t.json").read_text())
        for sample in document["samples"]:
            self.assertEqual((sample["ok"], sample["valid"]), (7, True))
        self.assertEqual(len(list((self.folder / "out").iterdir())), 7)


class PlainFiles(http.server.BaseHTTPRequestHandler):
    """Keeps connections alive as nginx does, and knows nothing of manifests."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        code = self.path[1:3]
        found = len(self.path) == 7 and self.path.endswith(".png") and code in CODES
        body = code.encode() * (500 + CODES.index(code)) if found else b"no such file"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class PlainServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # 5 would turn twenty connections at once into SYN retries


class OtherServer(CliCase):
    def setUp(self):
        super().setUp()
        self.server = PlainServer(("127.0.0.1", 0), PlainFiles)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        super().tearDown()

    def test_a_pattern_names_its_files_and_bodies_are_compared_between_backends(self):
        done = self.bench("run", "--server", f"http://127.0.0.1:{self.port}/{{cc}}.png", "-b",
                          "curl_*,raw_*", "-r", "2", "-n", "40",
                          "--json", "t.json")
        self.assertIn("compared between backends", done.stdout)
        document = strict_json((self.folder / "t.json").read_text())
        for sample in document["samples"]:
            self.assertEqual((sample["ok"], sample["valid"]), (40, True), sample)

    def test_files_that_are_missing_are_failures_that_nothing_explains(self):
        self.bench("run", "--server", f"http://127.0.0.1:{self.port}/flags", "-b", "curl_threads",
                   "-r", "1", "--json", "t.json", code=6)
        document = strict_json((self.folder / "t.json").read_text())
        self.assertEqual(document["samples"][0]["outcomes"], {"not_found": 20})


if __name__ == "__main__":
    unittest.main()
