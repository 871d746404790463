"""Tests of what the judges' runners read and conclude; the judges themselves run elsewhere."""

import os
import pathlib
import re
import tempfile
import time
import unittest

import cors
import exchange
import go_range
import httpwg
import kinds
import nghttp
import notes
import place
import redbot
import run
import server
import sslscan
import sslyze
import testssl
import tools
import tree

TABLE = """
	testFileLen = 11
var ServeFileRangeTests = []struct {
	r      string
}{
	{r: "", code: StatusOK},
	{r: "bytes=-5", code: StatusPartialContent, ranges: []wantRange{{testFileLen - 5, testFileLen}}},
	{r: "bytes=0-0,-2", code: StatusPartialContent, ranges: []wantRange{{0, 1}, @}},
	{r: "bytes=11-", code: StatusRequestedRangeNotSatisfiable},
}
"""
TABLE = TABLE.replace("@", "{testFileLen - 2, testFileLen}")
FULL = b"0123456789\n"


class TableTest(unittest.TestCase):
    def setUp(self):
        self.rows_min, go_range.ROWS_MIN = go_range.ROWS_MIN, 4

    def tearDown(self):
        go_range.ROWS_MIN = self.rows_min

    def test_rows_are_read_from_go(self):
        self.assertEqual(go_range.read_table(TABLE), [
            ("", 200, []),
            ("bytes=-5", 206, [(6, 11)]),
            ("bytes=0-0,-2", 206, [(0, 1), (9, 11)]),
            ("bytes=11-", 416, []),
        ])

    def test_a_table_in_another_form_is_refused(self):
        go_range.ROWS_MIN = 5
        self.assertRaises(ValueError, go_range.read_table, TABLE)


class RangeTest(unittest.TestCase):
    row = ("bytes=-5", 206, [(6, 11)])

    def test_a_right_part_has_no_fault(self):
        answer = (206, {"content-range": "bytes 6-10/11"}, FULL[6:])
        self.assertIsNone(go_range.fault_of(self.row, answer, FULL))

    def test_wrong_bytes_bounds_and_status_are_faults(self):
        right = {"content-range": "bytes 6-10/11"}
        for answer in [(206, right, b"x"), (206, {}, FULL[6:]), (200, {}, FULL), (416, {}, b"")]:
            self.assertIsNotNone(go_range.fault_of(self.row, answer, FULL), answer)

    def test_parts_of_a_multipart_answer_are_compared(self):
        body = (b"--b\r\nContent-Range: bytes 0-0/11\r\n\r\n0\r\n"
                b"--b\r\nContent-Range: bytes 9-10/11\r\n\r\n9\n\r\n--b--\r\n")
        answer = (206, {"content-type": "multipart/byteranges; boundary=b"}, body)
        row = ("bytes=0-0,-2", 206, [(0, 1), (9, 11)])
        self.assertIsNone(go_range.fault_of(row, answer, FULL))
        self.assertIsNotNone(go_range.fault_of((row[0], 206, [(0, 1), (8, 11)]), answer, FULL))


class ExchangeTest(unittest.TestCase):
    def test_an_answer_is_split(self):
        answer = b"HTTP/1.1 204 No Content\r\nServer: a:b\r\n\r\nrest"
        self.assertEqual(exchange.split(answer), (204, {"server": "a:b"}, b"rest"))


HTTPWG = """Holding 1 connections
✅ Test passed: RFC 9113 :: 5. streams and multiplexing :: idle sends data frame
Message:  assertion `left == right` failed
The application panicked (crashed).
Message:  assertion `left == right` failed
  left: 405
 right: 200
Location: lib.rs:1002
  10: httpwg::rfc9113::_8_expressing_http::sends_headers_frame_with_te_trailers::{{closure}}::h2
  11: tokio::runtime
❌ Test failed: RFC 9113 :: 5. streams and multiplexing :: sends smaller stream identifier

   0: Timed out while waiting for connection error

🚄 Passed 1/3 tests in 0.31 seconds
"""


class HttpwgTest(unittest.TestCase):
    def setUp(self):
        self.cases, httpwg.CASES = httpwg.CASES, 3

    def tearDown(self):
        httpwg.CASES = self.cases

    def test_each_case_is_named_also_one_that_panicked(self):
        passed, failed = httpwg.read(HTTPWG)
        self.assertEqual(passed, {"idle sends data frame"})
        self.assertEqual(failed, {
            "sends smaller stream identifier": "Timed out while waiting for connection error",
            "sends headers frame with te trailers":
                "assertion `left == right` failed left: 405 right: 200",
        })

    def test_a_case_that_is_missing_is_an_error(self):
        for wrong in (HTTPWG.replace("1/3", "2/3"), HTTPWG.replace("1/3", "1/4"),
                      HTTPWG.replace("panicked", "ended"), ""):
            self.assertRaises(tools.JudgeFailed, httpwg.read, wrong)


class TestsslTest(unittest.TestCase):
    def findings(self, **severities):
        names = {name: "OK" for name in testssl.WANTED} | severities
        return [{"id": name, "severity": severity, "finding": "so"}
                for name, severity in names.items()]

    def test_only_what_a_server_decides_is_a_fault(self):
        passed, faults, notes = testssl.verdict(self.findings(HSTS="LOW", DH="INFO"))
        self.assertEqual((passed, faults, len(notes)), (len(testssl.WANTED), [], 1))
        for severity in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"):
            _, faults, _ = testssl.verdict(self.findings(cipher_order=severity))
            self.assertEqual(len(faults), 1, severity)

    def test_a_look_that_was_not_taken_is_a_fault(self):
        _, faults, _ = testssl.verdict(self.findings()[1:])
        self.assertEqual(len(faults), 1)


SSLSCAN = """<?xml version="1.0"?><document><ssltest>
<protocol type="tls" version="1.1" enabled="0" /><protocol type="tls" version="1.2" enabled="1" />
<renegotiation supported="0" secure="0" /><heartbleed sslversion="TLSv1.2" vulnerable="0" />
<cipher cipher="A" strength="strong" /><group name="x25519" bits="128" />
</ssltest></document>"""


class SslscanTest(unittest.TestCase):
    def test_each_weakness_is_a_fault(self):
        self.assertEqual(sslscan.verdict(SSLSCAN), (7, [], []))
        for right, wrong in [
            ('version="1.1" enabled="0"', 'version="1.1" enabled="1"'), ("strong", "weak"),
            ('version="1.2" enabled="1"', 'version="1.2" enabled="0"'),
            ('bits="128"', 'bits="80"'), ('vulnerable="0"', 'vulnerable="1"'),
            ('supported="0" secure="0"', 'supported="1" secure="0"'),
            ('<cipher cipher="A" strength="strong" />', ""),
        ]:
            self.assertIn(right, SSLSCAN)
            self.assertEqual(len(sslscan.verdict(SSLSCAN.replace(right, wrong))[1]), 1, wrong)

    def test_a_server_that_was_not_reached_is_an_error(self):
        self.assertRaises(tools.JudgeFailed, sslscan.verdict, "<document></document>")


SSLYZE = """
 COMPLIANCE AGAINST TLS CONFIGURATION
    127.0.0.1:1: FAILED - Not compliant.
        * certificate_path_validation: Certificate path validation failed.
"""


class SslyzeTest(unittest.TestCase):
    def report(self):
        scans = {}
        for scan, key, right in sslyze.RIGHT:
            scans.setdefault(scan, {"result": {}})["result"][key] = next(iter(right))
        return {"server_scan_results": [{"scan_result": scans}]}

    def test_the_certificate_is_not_the_servers(self):
        passed, faults, notes = sslyze.verdict(SSLYZE, self.report())
        self.assertEqual((passed, faults, len(notes)), (1 + len(sslyze.RIGHT), [], 1))
        _, faults, _ = sslyze.verdict(SSLYZE + "        * ciphers: bad\n", self.report())
        self.assertEqual(faults, ["ciphers: bad"])

    def test_a_scan_that_is_missing_is_a_fault(self):
        report = self.report()
        report["server_scan_results"][0]["scan_result"].pop("heartbleed")
        self.assertEqual(len(sslyze.verdict(SSLYZE, report)[1]), 1)
        self.assertRaises(tools.JudgeFailed, sslyze.verdict, "", report)


class StartLineTest(unittest.TestCase):
    def test_both_addresses_are_read(self):
        line = "downpour 0.1.0 listening on http://127.0.0.1:1 and https://127.0.0.1:2 (io-uring"
        self.assertEqual(server.read_start_line(line),
                         place.Place(("127.0.0.1", 1), ("127.0.0.1", 2)))
        line = "downpour 0.1.0 listening on https://127.0.0.1:2 (epoll"
        self.assertEqual(server.read_start_line(line), place.Place(None, ("127.0.0.1", 2)))
        self.assertEqual(server.read_start_line("http://127.0.0.1:1 "), place.Place())

    def test_an_address_is_host_and_port(self):
        self.assertEqual(place.read("localhost:80"), ("localhost", 80))
        for wrong in ("localhost", ":80", "a:b"):
            self.assertRaises(ValueError, place.read, wrong)


class CallTest(unittest.TestCase):
    def test_a_judge_is_told_something_and_heard(self):
        self.assertEqual(tools.call("cat", timeout_s=10, said="\x1b[31ma"), (0, "a", ""))

    def test_a_judge_that_does_not_end_is_ended_with_its_children(self):
        started = time.monotonic()
        with self.assertRaisesRegex(tools.JudgeFailed, "within 1 s"):
            tools.call("sh", "-c", "sleep 987654 & sleep 987654", timeout_s=1)
        self.assertLess(time.monotonic() - started, 1 + tools.ENDS_WITHIN_S)
        commands = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/cmdline", "rb") as command:
                    commands.append(command.read())
            except OSError:
                continue  # It ended meanwhile.
        self.assertNotIn(b"sleep\x00987654\x00", commands)


class CorsTest(unittest.TestCase):
    case = {"name": "n", "query": "case=1", "reaches": ["OPTIONS 204", "PUT 201 by ada"]}

    def entries(self, *pairs, protocol="HTTP/2.0"):
        return [{"query": "case=1", "method": method, "status": status, "protocol": protocol,
                 "user": user} for method, status, user in pairs]

    def faults(self, entries):
        return list(cors.faults_of_log([self.case], entries, "HTTP/2.0"))

    def test_what_reaches_the_server_is_compared(self):
        preflight, put = ("OPTIONS", 204, None), ("PUT", 201, "ada")
        self.assertEqual(self.faults(self.entries(preflight, put)), [])
        for wrong in [(), (put,), (preflight, preflight, put), (put, preflight),
                      (preflight, ("PUT", 201, None)), (preflight, ("PUT", 204, "ada"))]:
            self.assertGreater(len(self.faults(self.entries(*wrong))), 0, wrong)
        others = [{**entry, "query": None} for entry in self.entries(put)]
        self.assertEqual(self.faults(others + self.entries(preflight, put)), [])

    def test_another_protocol_is_a_fault(self):
        entries = self.entries(("OPTIONS", 204, None), ("PUT", 201, "ada"), protocol="HTTP/1.1")
        self.assertEqual(len(self.faults(entries)), 1)

    def test_names_are_unique_and_each_case_is_judged(self):
        text = cors.CASES.read_text()
        names = re.findall(r'^    name: "(.*)",$', text, re.MULTILINE)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), cors.CASE_COUNT)
        for part in ("section", "steps", "reaches"):
            count = len(re.findall(rf"^    {part}: ", text, re.MULTILINE))
            self.assertEqual(count, cors.CASE_COUNT, part)


class NotesTest(unittest.TestCase):
    def test_every_check_counts(self):
        visit = notes.VISIT.read_text()
        self.assertEqual(len(re.findall(r"^  check\(", visit, re.MULTILINE)), notes.CHECKS)
        self.assertIn(f"MANY_NOTES = {notes.NOTES_LEFT};", visit)

    def test_the_example_holds_what_the_browser_says(self):
        visit, example = notes.VISIT.read_text(), notes.EXAMPLE
        told = (example / "README.md").read_text()
        for secret in ("difference", "robot-of-the-notes"):
            self.assertIn(secret, visit)
            self.assertIn(secret, told)
        for name in ("data", "state"):
            self.assertTrue((example / name / ".gitignore").exists())

    def test_only_notes_may_be_left(self):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            for number in range(notes.NOTES_LEFT):
                (directory / f"{number}.json").write_text('{"title": "a", "text": ""}')
            (directory / ".gitignore").write_text("*")
            self.assertEqual(list(notes.faults_of_data(directory)), [])
            (directory / "0.json").write_text('{"title": "a", "te')
            self.assertEqual(len(list(notes.faults_of_data(directory))), 1)
            (directory / ".draft").write_text("")
            self.assertEqual(len(list(notes.faults_of_data(directory))), 3)


class NghttpTest(unittest.TestCase):
    def test_counts_are_read(self):
        line = "requests: 2000 total, 2000 started, 2000 done, 1999 succeeded, 1 failed, 0 errored"
        self.assertEqual(nghttp.COUNTS.search(line).groups(), ("1999", "1"))


class TreeTest(unittest.TestCase):
    def test_what_the_browser_expects_is_there(self):
        browser = run.chromium.VISIT.read_text()
        self.assertIn(f"STYLE_BYTES = {len(tree.FILES[tree.STYLE_PATH])};", browser)
        self.assertEqual(len(tree.FILES[tree.LARGE_PATH]), 1 << 20)
        self.assertIn(tree.RANGE_PATH, tree.FILES)
        sample = run.chromium.SAMPLE.read_text()
        self.assertIn(f"FILM_SECONDS = {run.chromium.FILM_SECONDS};", sample)
        coded = (tree.LAID / "coded.html").stat().st_size
        self.assertIn(f"code[1] === {coded}", sample)
        checks = len(re.findall(r"^  check\(", browser + sample, re.MULTILINE))
        self.assertEqual(checks, run.chromium.CHECKS)

    def test_the_tree_has_what_is_asked_for(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            tree.lay(root)
            for kind in kinds.KINDS:
                path = kind.path.partition("?")[0]
                if kind.status in (200, 206, 304, 412, 416):
                    names = [path, f"{path}.html", f"{path}/index.html"]
                    self.assertTrue(any((root / one.lstrip("/")).exists() for one in names), path)
            coded = (root / "coded.html")
            for suffix in (".br", ".gz"):
                sidecar = coded.with_name(coded.name + suffix)
                self.assertGreater(sidecar.stat().st_mtime, coded.stat().st_mtime)
                self.assertLess(sidecar.stat().st_size, coded.stat().st_size)


class KindsTest(unittest.TestCase):
    kind = kinds.Kind("k", "/", wants=(kinds.vary("accept"), kinds.typed("text/html")),
                      absent=("content-range",))
    right = {"vary": "Accept-Encoding, Accept", "content-type": "text/html; charset=utf-8"}

    def test_names_are_unique_and_each_is_judged(self):
        names = [kind.name for kind in kinds.KINDS]
        self.assertEqual(len(names), len(set(names)))
        for name in kinds.ALSO_RIGHT:
            self.assertIn(name, names)

    def test_an_answer_must_have_what_is_wanted_and_nothing_that_is_not(self):
        self.assertIsNone(kinds.fault_of(self.kind, 200, self.right))
        for status, change in [(404, {}), (200, {"vary": "Accept-Encoding"}),
                               (200, {"content-type": "text/plain"}), (200, {"vary": ""}),
                               (200, {"content-range": "bytes 0-1/2"})]:
            self.assertIsNotNone(kinds.fault_of(self.kind, status, self.right | change), change)

    def test_a_request_names_the_entity_tag(self):
        kind = kinds.Kind("k", "/a", asks=(("If-None-Match", "{etag}"),), method="HEAD")
        self.assertTrue(kind.needs_tag)
        self.assertEqual(kind.request("h", 1, '"t"'), b"HEAD /a HTTP/1.1\r\nHost: h:1\r\nUser-Agent"
                         b': judge/1\r\nConnection: close\r\nIf-None-Match: "t"\r\n\r\n')


class RedbotTest(unittest.TestCase):
    kind = kinds.Kind("k", "/", confirmed=kinds.VALIDATED)

    def notes(self, **levels):
        return [{"note_id": name, "summary": "so", "level": level}
                for name, level in ({"INM_304": "GOOD", "IMS_304": "GOOD"} | levels).items()]

    def test_warnings_and_what_is_not_confirmed_are_faults(self):
        self.assertEqual(redbot.verdict(self.kind, self.notes()), ([], []))
        faults, choices = redbot.verdict(self.kind, self.notes(FRESHNESS_HEURISTIC="WARN"))
        self.assertEqual((len(faults), len(choices)), (0, 1))
        self.assertEqual(len(redbot.verdict(self.kind, self.notes(OTHER="BAD"))[0]), 1)
        self.assertEqual(len(redbot.verdict(self.kind, self.notes()[1:])[0]), 1)


if __name__ == "__main__":
    unittest.main()
