"""Tests of the arithmetic behind the figures, on made-up readings."""

import json
import pathlib
import tempfile
import unittest

import http1_client
import http2_client
import loads
import measure
import report
import rivals
import servers
import targets
import workloads

ENVIRONMENT = {"date": "2024-01-01", "kernel": "6.18", "cpu": "one", "command": "scripts/perf",
               "revision": "abc", "rounds": 3, "seconds": 5}


def load(cpu_us, **others):
    figures = {"cpu_us": cpu_us, "user_us": 1.0, "system_us": cpu_us - 1, "requests_s": 1000.0,
               "p50_us": 1, "p99_us": 2, "p999_us": 3, "bytes_request": 338, "rss_bytes": 2e6,
               "foreign_share": 0.0, "steal_share": 0.0}
    return figures | others


class CpuTest(unittest.TestCase):
    def test_the_total_is_run_time_and_the_split_is_ticks(self):
        before = measure.Cpu({"1": 1_000_000_000}, 100, 100)
        after = measure.Cpu({"1": 3_000_000_000, "2": 500_000_000}, 150, 250)
        user_s, system_s = after.since(before)
        self.assertAlmostEqual(user_s + system_s, 2.5)
        self.assertAlmostEqual(user_s / system_s, 50 / 150)

    def test_a_thread_that_ended_leaves_its_time_in_the_ticks(self):
        before = measure.Cpu({"1": 0, "2": 900_000_000}, 0, 0)
        after = measure.Cpu({"1": 1_000_000_000}, 0, 2 * measure.TICKS_A_SECOND)
        self.assertAlmostEqual(sum(after.since(before)), 2.0)


class TargetsTest(unittest.TestCase):
    def test_medians_are_compared(self):
        results = {"100B": {"downpour": [load(6.0), load(5.0), load(90.0)],
                            "nginx": [load(12.0), load(11.0), load(1.0)]}}
        found = {verdict.target.text(): verdict for verdict in targets.verdicts(results)}
        verdict = found["100B: cpu_us of downpour / nginx ≤ 0.55"]
        self.assertAlmostEqual(verdict.value, 6 / 11)
        self.assertTrue(verdict.met)
        self.assertTrue(found["100B: requests_s of downpour / nginx ≥ 1"].met)
        self.assertFalse(any("floor" in text for text in found))

    def test_every_target_names_a_workload(self):
        for target in targets.TARGETS:
            self.assertIn(target.workload, [*workloads.BY_NAME, "binary"])


class ReportTest(unittest.TestCase):
    def test_tables_ratios_and_disturbances_are_shown(self):
        results = {"100B": {"downpour": [load(6.0), load(5.0), load(7.0)],
                            "nginx": [load(12.0, foreign_share=0.5)]}}
        text = report.render(results, ENVIRONMENT)
        self.assertIn("6.00 (5.00–7.00)", text)
        self.assertIn("downpour/nginx 0.50", text)
        self.assertIn("100B, nginx, round 1: others took 50%", text)
        self.assertIn("| met |", text)

    def test_a_missing_figure_is_a_dash(self):
        figures = load(1.0)
        del figures["p99_us"]
        table = report.table_of(workloads.BY_NAME["pipeline16"], {"floor": [figures]})
        self.assertIn("–", table)


class LengthTest(unittest.TestCase):
    class Running:
        name = "floor"

    def check(self, name, requests, total_bytes, answer_bytes=300, body_bytes=None):
        load = loads.Load(requests, total_bytes, 1.0, body_bytes=body_bytes)
        return measure.check_bytes(self.Running, workloads.BY_NAME[name], load, answer_bytes, 0)

    def test_answers_of_another_length_are_an_error(self):
        self.assertEqual(self.check("100B", 1000, 300_000), 300)
        self.assertEqual(self.check("100B", 1000, 300_000 + 64 * 300), 300)
        for wrong in (299_999, 400_000):
            with self.assertRaises(loads.LoadFailed):
                self.check("100B", 1000, wrong)

    def test_of_http2_the_bodies_are_compared(self):
        self.assertEqual(self.check("h2-100B", 1000, 130_000, body_bytes=100_000), 130)
        self.check("h2-100B", 1000, 130_000, body_bytes=100_000 + 512 * 100)
        for wrong in (99_999, 100_001 + 512 * 100):
            with self.assertRaises(loads.LoadFailed):
                self.check("h2-100B", 1000, 130_000, body_bytes=wrong)

    def test_large_answers_are_counted_by_bytes(self):
        load = loads.Load(10, 10_500_000, 1.0, body_bytes=12_500_000)
        self.assertEqual(measure.counted(workloads.BY_NAME["h2-1MB"], load, 1), 12.5)
        self.assertEqual(measure.counted(workloads.BY_NAME["h2-10KB"], load, 1), 10)
        load = loads.Load(10, 1_050_000, 1.0)
        self.assertEqual(measure.counted(workloads.BY_NAME["tls-100KB"], load, 100_000), 10.5)


H2LOAD = """starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 3.04s, 1845.33 req/s, 1.78GB/s
requests: 5536 total, 6048 started, 5536 done, 5536 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5952 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.35GB (5740021640) total, 101.16KB (103584) headers (space savings 90.38%), 5.34GB \
(5736664625) data
                     min         max         mean         sd        +/- sd
"""


class H2loadTest(unittest.TestCase):
    workload = workloads.BY_NAME["h2-tls-10KB"]

    def test_its_prose_is_read(self):
        load = loads.read_h2load(self.workload, H2LOAD)
        self.assertEqual((load.requests, load.bytes, load.body_bytes),
                         (5536, 5740021640, 5736664625))
        self.assertAlmostEqual(load.duration_s, 3.0, places=3)

    def test_whatever_is_wrong_makes_the_run_worthless(self):
        for right, wrong in [
            ("0 failed", "1 failed"), ("0 errored", "1 errored"), ("0 timeout", "1 timeout"),
            ("5536 succeeded", "5535 succeeded"), ("0 3xx", "1 3xx"), ("0 4xx", "1 4xx"),
            ("0 5xx", "1 5xx"), ("5952 2xx", "5535 2xx"), ("6048 started", "6049 started"),
            ("TLSv1.3", "TLSv1.2"), ("TLS_AES_128", "TLS_AES_256"),
            ("protocol: h2", "protocol: h1"), ("status codes", "codes"),
            ("traffic", "bytes"), ("requests:", "request:"),
            ("1845.33 req/s", "0.00 req/s"),
        ]:
            self.assertIn(right, H2LOAD)
            with self.assertRaises(loads.LoadFailed, msg=wrong):
                loads.read_h2load(self.workload, H2LOAD.replace(right, wrong))

    def test_clear_text_is_told_from_tls(self):
        with self.assertRaises(loads.LoadFailed):
            loads.read_h2load(workloads.BY_NAME["h2-10KB"], H2LOAD)


class HandshakesTest(unittest.TestCase):
    def read(self, name, full, resumed, errors=0):
        result = {"requests": 100, "full": full, "resumed": resumed, "bytes": 100_000,
                  "duration_us": 2_000_000, "p50_us": 1, "p99_us": 2, "p999_us": 3,
                  "errors": {"tls": errors}}
        return loads.read_handshakes(workloads.BY_NAME[name], json.dumps(result))

    def test_only_the_first_of_a_slot_may_be_full_when_resuming(self):
        load = self.read("handshake-resumed", full=16, resumed=84)
        self.assertEqual((load.requests, load.duration_s), (100, 2.0))
        with self.assertRaises(loads.LoadFailed):
            self.read("handshake-resumed", full=17, resumed=83)

    def test_none_may_resume_when_all_are_to_be_full(self):
        self.read("handshake-full", full=100, resumed=0)
        with self.assertRaises(loads.LoadFailed):
            self.read("handshake-full", full=99, resumed=1)

    def test_errors_are_errors(self):
        with self.assertRaises(loads.LoadFailed):
            self.read("handshake-full", full=100, resumed=0, errors=1)


class ChoiceTest(unittest.TestCase):
    def test_a_word_names_a_workload_or_a_group(self):
        self.assertEqual(workloads.named("tls-1KB"), ["tls-1KB"])
        self.assertIn("h2-tls-10KB", workloads.named("h2"))
        self.assertIn("h2-tls-10KB", workloads.named("tls"))
        self.assertIn("handshake-full", workloads.named("tls"))
        self.assertNotIn("100B", workloads.named("h2") + workloads.named("tls"))
        self.assertEqual(workloads.named("nothing"), [])

    def test_no_group_hides_a_workload(self):
        self.assertFalse(set(workloads.GROUPS) & set(workloads.BY_NAME))

    def test_the_old_workloads_have_the_old_servers(self):
        names = [name for name in servers.NAMES if workloads.BY_NAME["100B"].runs_on(name)]
        self.assertEqual(names, ["downpour", "downpour-epoll", "downpour-tokio-uring", "nginx",
                                 "floor"])


class ConfigurationTest(unittest.TestCase):
    values = {"PORT": 1234, "ROOT": "/r", "CERTIFICATE": "/c", "KEY": "/k", "CPU": 0}

    def test_every_name_of_the_templates_is_filled_in(self):
        for name in ("100B", "h2-100B", "h2-tls-100B", "tls-1KB"):
            for command in (rivals.nginx_command, rivals.h2o_command):
                with tempfile.TemporaryDirectory() as scratch:
                    line = command(workloads.BY_NAME[name], self.values, pathlib.Path(scratch))
                    text = pathlib.Path(line[-1]).read_text()
                lines = [line for line in text.splitlines() if not line.startswith("#")]
                self.assertNotIn("@", "\n".join(lines))
                self.assertEqual("/c" in text, "tls" in name)

    def test_nginx_speaks_what_the_workload_asks(self):
        for name, listen in {"100B": "1234 reuse", "h2-100B": "1234 http2 ",
                             "h2-tls-100B": "1234 ssl http2 ", "tls-1KB": "1234 ssl r"}.items():
            with tempfile.TemporaryDirectory() as scratch:
                line = rivals.nginx_command(workloads.BY_NAME[name], self.values,
                                            pathlib.Path(scratch))
                self.assertIn(listen, pathlib.Path(line[-1]).read_text())


class Replay:
    """A socket whose peer has already said everything."""

    def __init__(self, received):
        self.received, self.sent = received, b""

    def sendall(self, octets):
        self.sent += octets

    def recv(self, count):
        taken, self.received = self.received[:count], self.received[count:]
        return taken


class Http1ClientTest(unittest.TestCase):
    def test_an_answer_is_cut_out_of_the_stream(self):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404"
        client = http1_client.Http1Client(Replay(answer), "a")
        status, fields, body, answer_bytes = client.get("/")
        self.assertEqual((status, fields["content-length"], body), (200, "3", b"abc"))
        self.assertEqual(answer_bytes, 38 + 3)
        self.assertEqual(client.rest, b"HTTP/1.1 404")


class Http2ClientTest(unittest.TestCase):
    def get(self, *frames):
        peer = Replay(b"".join(frames))
        client = http2_client.Http2Client(peer, "a", "http")
        return peer, client.get("/")

    def test_an_answer_is_joined_from_its_frames(self):
        make = http2_client.frame
        peer, (status, _, body, answer_bytes) = self.get(
            make(4, 0, 0), make(6, 0, 0, b"12345678"),
            make(1, 0, 1, b"\x88"), make(9, 4, 1, b"\x0f\x0d\x013"),
            make(0, 0x8, 1, b"\x01ab\x00"), make(0, 1, 1, b"c"))
        self.assertEqual((status, body), (200, b"abc"))
        self.assertEqual(answer_bytes, 4 * 9 + 1 + 4 + 4 + 1)
        self.assertIn(make(4, 1, 0), peer.sent)
        self.assertIn(make(6, 1, 0, b"12345678"), peer.sent)

    def test_other_statuses_resets_and_cut_answers_are_wrong(self):
        make = http2_client.frame
        _, (status, *_) = self.get(make(1, 5, 1, b"\x8d"))
        self.assertEqual(status, 404)
        for frames in ([make(3, 0, 1, b"\0\0\0\x07")], [make(7, 0, 0, b"\0" * 8)],
                       [make(1, 4, 1, b"\x88"), b"\0\0"]):
            with self.assertRaises(workloads.WrongAnswer):
                self.get(*frames)

    def test_a_change_of_table_size_may_come_first(self):
        self.assertEqual(http2_client.status_of(b"\x20\x88"), 200)
        self.assertEqual(http2_client.status_of(b"\x3f\xe1\x1f\x88"), 200)
        self.assertEqual(http2_client.status_of(b"\x48\x03200"), 0)
        self.assertEqual(http2_client.status_of(b""), 0)


if __name__ == "__main__":
    unittest.main()
