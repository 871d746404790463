"""Tests of the workloads of what a backend does, on made-up readings and answers."""

import hashlib
import io
import json
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import backend
import gate
import http1_client
import loads
import measure
import memory
import report
import rivals
import servers
import targets
import workloads
from test_perf import ENVIRONMENT, Replay

BY_NAME = workloads.BY_NAME
SITE = servers.Site(pathlib.Path("/r"), pathlib.Path("/c"), pathlib.Path("/k"))
PUTS = workloads.replace(BY_NAME["put-10KB"], names=4, connections=1, body_bytes=30)


class Running:
    def __init__(self, name):
        self.name = name


class WorkloadsTest(unittest.TestCase):
    def test_each_workload_names_its_servers(self):
        for workload in workloads.BACKEND:
            self.assertLessEqual(set(workload.servers), set(servers.NAMES), workload.name)
            self.assertIn(workload.ours, workload.servers)
            self.assertLessEqual(set(workload.differs), set(workload.servers))
        self.assertEqual(workloads.named("backend"),
                         ["gate-1KB", "put-10KB", "put-1GB", "addresses-10M"])

    def test_every_kind_is_measured_and_reported(self):
        for workload in workloads.BACKEND:
            self.assertIn(workload.kind, backend.MEASURES)
            self.assertIn(workload.kind, report.COLUMNS)
            self.assertIn(workload.kind, report.MAIN_FIGURE)

    def test_a_quick_run_makes_fewer_requests(self):
        addresses = BY_NAME["addresses-10M"]
        self.assertEqual(addresses.requests, 10_000_000)
        self.assertEqual(addresses.shortened().requests, 200_000)

    def test_the_plain_server_gets_the_same_requests_and_no_flag(self):
        gated = BY_NAME["gate-1KB"].on("downpour")
        plain = BY_NAME["gate-1KB"].on("downpour-plain")
        self.assertEqual(gated.asks, plain.asks)
        self.assertEqual((plain.flags, plain.wants, plain.kind), ((), (), "load"))

    def test_a_start_has_files_of_its_own(self):
        scratch = pathlib.Path("/scratch")
        line = servers.command_of("downpour", BY_NAME["gate-1KB"], 1, SITE, scratch)
        self.assertIn("/scratch/tokens", line)
        self.assertIn("/scratch/access.log", line)
        self.assertNotIn("@", " ".join(line))

    def test_a_token_is_kept_as_its_hash(self):
        with tempfile.TemporaryDirectory() as name:
            gate.lay_tokens(pathlib.Path(name))
            line = (pathlib.Path(name) / "tokens").read_text()
        token = dict(gate.ASKS)["Authorization"].removeprefix("Bearer ")
        self.assertEqual(line, f"perf:sha256:{hashlib.sha256(token.encode()).hexdigest()}\n")


class NginxTest(unittest.TestCase):
    values = {"PORT": 1, "ROOT": "/r", "CERTIFICATE": "/c", "KEY": "/k", "CPU": 0}

    def text(self, name, server="nginx"):
        with tempfile.TemporaryDirectory() as scratch:
            workload = BY_NAME[name].on(server)
            line = rivals.nginx_command(workload, self.values, pathlib.Path(scratch))
            text = pathlib.Path(line[-1]).read_text()
        self.assertNotIn("@", "".join(line for line in text.splitlines() if line[:1] != "#"))
        return text

    def test_it_does_the_same_job_by_its_own_directives(self):
        zone, server = self.text("gate-1KB").split("server {")
        self.assertIn("limit_req_zone $binary_remote_addr zone=gate:", zone)
        self.assertIn("limit_req zone=gate ", server)
        self.assertRegex(server, r"access_log /\S+/access.log combined;")
        self.assertIn("dav_methods PUT;", self.text("put-1GB"))
        self.assertNotIn("client_body_buffer_size", self.text("put-1GB"))
        self.assertIn("client_body_buffer_size 1m;", self.text("put-1GB", "nginx-buffer"))

    def test_its_zone_is_as_large_as_our_memory(self):
        size = f"{workloads.LIMIT_MEMORY_BYTES >> 20}m"
        self.assertIn(f"zone=addresses:{size} rate=10r/s;", self.text("addresses-10M"))
        self.assertIn("real_ip_header X-Forwarded-For;", self.text("addresses-10M"))
        self.assertIn("10/s burst=10", BY_NAME["addresses-10M"].flags)


class LoadTest(unittest.TestCase):
    def mode(self, name):
        return loads.script_mode(BY_NAME[name], None)

    def test_the_script_is_told_what_to_do(self):
        self.assertEqual(self.mode("gate-1KB"), ["plain"])
        self.assertEqual(self.mode("put-10KB"), ["put", 10_000, 1024])
        # Those that are under way at the end are sent, and have no answer.
        self.assertEqual(self.mode("addresses-10M"), ["addresses", 10_001_024, 16])
        self.assertEqual(self.mode("pipeline16"), ["pipeline", 16])

    def test_the_bare_loop_says_what_came_out(self):
        line = '{"requests": 10, "duration_us": 2000, "p50_us": 1, "p99_us": 2, "p999_us": 3, ' \
               '"errors": {}}'
        load = loads.load_of(loads.last_json("the bare loop", line))
        self.assertEqual((load.requests, load.duration_s), (10, 0.002))
        self.assertEqual(backend.put_figures(load)["put_us"], 200.0)

    def test_what_is_left_of_a_limit_may_have_fewer_digits(self):
        for total, is_right in ((1_270_000, True), (1_280_000, True), (1_200_000, False)):
            load = loads.Load(1000, total, 1.0)
            arguments = (Running("downpour"), BY_NAME["gate-1KB"], load, 1280)
            if is_right:
                self.assertEqual(measure.check_bytes(*arguments), total / 1000)
            else:
                self.assertRaises(loads.LoadFailed, measure.check_bytes, *arguments)


class PutClientTest(unittest.TestCase):
    class Peer(Replay):
        def sendfile(self, file, offset, count):
            file.seek(offset)
            self.sendall(file.read(count))

    def test_a_file_follows_the_head(self):
        peer = self.Peer(b"HTTP/1.1 204 No Content\r\nETag: \"a\"\r\n\r\n")
        client = http1_client.Http1Client(peer, "a")
        status, fields, body, _ = client.put("/b", io.BytesIO(b"xyz"), 2)
        self.assertEqual((status, fields["etag"], body), (204, '"a"', b""))
        self.assertEqual(peer.sent, b"PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy")

    def test_a_refusal_may_come_before_the_end(self):
        class Closing(Replay):
            def sendfile(self, *_):
                raise BrokenPipeError

        peer = Closing(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        status, *_ = http1_client.Http1Client(peer, "a").put("/b", io.BytesIO(b"xyz"), 3)
        self.assertEqual(status, 413)


class LogTest(unittest.TestCase):
    ours = json.dumps({"path": "/body-1000.txt", "status": 200})
    theirs = '127.0.0.1 - - [-] "GET /body-1000.txt HTTP/1.1" 200 1000 "-" "-"'

    def log(self, text):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        log = pathlib.Path(directory.name) / "access.log"
        log.write_text(text)
        return log

    def test_lines_are_counted_when_no_more_come(self):
        log = self.log("a\nb\nc\n")
        with mock.patch.multiple(backend, LOG_QUIET_S=0.02, LOG_WITHIN_S=0.2):
            self.assertEqual(backend.settled_lines(log, 3), 3)
            self.assertEqual(backend.settled_lines(log, 2), 3)
            self.assertRaises(loads.LoadFailed, backend.settled_lines, log, 4)
        self.assertEqual(backend.count_lines(log.with_name("missing")), 0)

    def test_the_last_line_says_what_was_asked(self):
        for server, right, wrong in [("downpour", self.ours, self.theirs),
                                     ("nginx", self.theirs, self.theirs.replace("200", "404"))]:
            arguments = Running(server), BY_NAME["gate-1KB"]
            backend.check_last_line(*arguments, self.log(f"?\n{right}\n"))
            self.assertRaises(workloads.WrongAnswer, backend.check_last_line, *arguments,
                              self.log(f"{right}\n{wrong}\n"))


class NamesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.site = servers.Site(pathlib.Path(directory.name), pathlib.Path(), pathlib.Path())
        with mock.patch.object(backend, "NOT_ON_A_DISK", ()), mock.patch.object(os, "sync"):
            self.directory = backend.lay_names(PUTS, self.site)
        self.new = workloads.body(PUTS.body_bytes)

    def check(self, requests):
        with mock.patch.object(backend, "LEFTOVERS_WITHIN_S", 0.02):
            backend.check_names(PUTS, self.directory, requests)

    def replace(self, *numbers):
        for number in numbers:
            (self.directory / f"name-{number}.txt").write_bytes(self.new)

    def test_what_was_answered_is_there(self):
        self.check(0)
        self.replace(0, 1, 2)
        self.check(3)
        self.check(10)  # The last may have been cut off.
        self.replace(3)
        self.check(10)

    def test_lost_mixed_and_left_over_files_are_errors(self):
        self.replace(0, 1)
        self.assertRaises(workloads.WrongAnswer, self.check, 10)
        self.replace(2, 3)
        mixed = self.directory / "name-3.txt"
        mixed.write_bytes(self.new[:15] + backend.old_content(PUTS)[15:])
        self.assertRaises(workloads.WrongAnswer, self.check, 10)
        self.replace(3)
        (self.directory / ".partial").touch()
        self.assertRaises(workloads.WrongAnswer, self.check, 10)

    def test_memory_is_no_disk(self):
        with mock.patch.object(backend, "file_system_of", return_value="tmpfs"):
            self.assertRaises(workloads.WrongAnswer, backend.lay_names, PUTS, self.site)
        self.assertEqual(backend.file_system_of("/proc"), "proc")

    def test_flushes_are_told_where_somebody_counts(self):
        self.assertEqual(backend.flushes_between(None, 5, 2), {})
        self.assertEqual(backend.flushes_between(1, 5, 2), {"flushes": 2.0})
        self.assertIsNone(backend.device_flushes("/proc"))


class UploadTest(unittest.TestCase):
    def test_what_arrives_is_compared_with_what_was_sent(self):
        workload = workloads.replace(BY_NAME["put-1GB"], body_bytes=3_000_000)
        with tempfile.TemporaryDirectory() as name:
            site = servers.Site(pathlib.Path(name) / "root", pathlib.Path(), pathlib.Path())
            source, target = backend.upload_source(workload, site), pathlib.Path(name) / "target"
            content = source.read_bytes()
            self.assertEqual((len(content), content.count(b"mark ")), (3_000_000, 16))
            target.write_bytes(content)
            backend.check_same(source, target)
            for wrong in (content[:-1], content[:-1] + b"x"):
                target.write_bytes(wrong)
                self.assertRaises(workloads.WrongAnswer, backend.check_same, source, target)


class MemoryTest(unittest.TestCase):
    def test_growth_is_the_highest_less_what_was_before(self):
        pids = [os.getpid()]
        with memory.Watch(pids) as watch:
            held = bytearray(os.urandom(1 << 20) * 32)
            del held
            figures = watch.figures()
        self.assertGreater(figures["growth_bytes"], 28 << 20)
        self.assertLess(figures["growth_bytes"], 200 << 20)
        self.assertGreaterEqual(figures["highest_bytes"], figures["growth_bytes"])


class LimitTest(unittest.TestCase):
    def check(self, statuses):
        class Client:
            left = list(statuses)

            def get(self, *_):
                return self.left.pop(0), {}, b"", 0

            def close(self):
                pass

        with mock.patch.object(backend.clients, "connect", return_value=Client()):
            running = Running("downpour")
            running.port = 1
            backend.check_limited(running, BY_NAME["addresses-10M"], "192.0.2.1")

    def test_the_first_is_answered_and_not_all(self):
        self.check([200] * 10 + [429] * 30)
        for wrong in ([200] * 40, [429] * 40):
            self.assertRaises(workloads.WrongAnswer, self.check, wrong)


class TargetsTest(unittest.TestCase):
    def verdicts(self, results):
        return {verdict.target.text(): verdict for verdict in targets.verdicts(results)}

    def test_what_features_cost_is_a_difference(self):
        gated = {"downpour": [{"cpu_us": 6.4}], "downpour-plain": [{"cpu_us": 6.0}],
                 "nginx": [{"cpu_us": 12.8}]}
        found = self.verdicts({"gate-1KB": gated})
        more = found["gate-1KB: cpu_us of downpour − downpour-plain ≤ 0.3 µs"]
        self.assertAlmostEqual(more.value, 0.4)
        self.assertFalse(more.met)
        self.assertTrue(found["gate-1KB: cpu_us of downpour / nginx ≤ 0.6"].met)

    def test_growth_has_a_limit_of_its_own(self):
        found = self.verdicts({"addresses-10M": {"downpour": [{"growth_bytes": 70e6}]},
                               "put-1GB": {"downpour": [{"growth_bytes": 4.1e6, "cpu_s": 1}]}})
        self.assertEqual([verdict.met for verdict in found.values()], [False, True])
        self.assertTrue(any(text.endswith("≤ 71108864 B") for text in found))

    def test_every_kind_has_its_table(self):
        held = {"growth_bytes": 4e6, "anonymous_bytes": 3e6, "highest_bytes": 9e6}
        text = report.render({
            "put-10KB": {"floor": [{"put_us": 200.0, "requests_s": 5000.0}]},
            "put-1GB": {"downpour": [held | {"cpu_s": 0.5}], "nginx": [held | {"cpu_s": 1.0}]},
        }, ENVIRONMENT)
        self.assertIn("| 4.00      | 3.00               | 9.0        |", text)
        self.assertIn("downpour/nginx 0.50", text)


if __name__ == "__main__":
    unittest.main()
