"""Tests of the workloads of what a static site does beside plain files."""

import gzip
import pathlib
import re
import tempfile
import unittest

import clients
import cold
import http1_client
import loads
import measure
import pages
import rivals
import rules
import servers
import workloads
from test_perf import Replay

BY_NAME = workloads.BY_NAME


def chosen(name):
    return [server for server in servers.NAMES if BY_NAME[name].runs_on(server)]


class ServersTest(unittest.TestCase):
    def test_each_workload_names_its_servers(self):
        self.assertEqual(chosen("hit-rules-1KB"), ["downpour", "downpour-rules", "nginx-rules"])
        self.assertEqual(chosen("304"), ["downpour", "nginx", "floor"])
        self.assertEqual(chosen("cold-compressible"), ["downpour", "downpour-identity", "nginx"])
        for workload in workloads.SITE_FEATURES:
            self.assertLessEqual(set(workload.servers), set(servers.NAMES), workload.name)
            self.assertIn(workload.ours, workload.servers)

    def test_a_server_may_meet_another_page_of_equal_size(self):
        brotli = BY_NAME["brotli-10KB"]
        self.assertEqual(brotli.on("downpour").path, "/coded/page-br.html")
        self.assertEqual(brotli.on("nginx").path, "/coded/page-gz.html")
        self.assertEqual(brotli.on("nginx").wants, (("content-encoding", "gzip"),))

    def test_flags_reach_the_server(self):
        site = servers.Site(pathlib.Path("/r"), pathlib.Path("/c"), pathlib.Path("/k"))
        line = servers.command_of("downpour", BY_NAME["files-100k"], 1, site, None)
        self.assertEqual(line[-2:], ["--cache-size", "64M"])
        line = servers.command_of("downpour-rules", BY_NAME["hit-rules-1KB"], 1, site, None)
        self.assertEqual((line.count("--header"), line.count("--redirect")), (50, 20))
        line = servers.command_of("floor", BY_NAME["304"], 1, site, None)
        self.assertEqual(line[-2:], ["--status", "304"])


class RulesTest(unittest.TestCase):
    def test_some_of_the_globs_match_and_most_do_not(self):
        self.assertEqual((len(rules.FIELDS), len(set(rules.FIELDS))), (50, 50))
        self.assertEqual(len(rules.REDIRECTS), 20)
        matching = [name.lower() for glob, name, _ in rules.FIELDS
                    if re.search(rules.expression(glob), "/body-1000.txt")]
        self.assertEqual(matching, [name for name, _ in rules.ADDED])

    def test_nginx_has_all_of_them(self):
        self.assertEqual(rules.nginx_maps().count("~^"), 50)
        self.assertEqual(rules.nginx_locations().count("location "), 20)
        values = {"PORT": 1, "ROOT": "/r", "CERTIFICATE": "/c", "KEY": "/k", "CPU": 0}
        with tempfile.TemporaryDirectory() as scratch:
            line = rivals.nginx_command(BY_NAME["hit-rules-1KB"], values, pathlib.Path(scratch),
                                        with_rules=True)
            text = pathlib.Path(line[-1]).read_text()
        self.assertIn("map $uri", text)
        self.assertIn("location = /old-1 ", text)
        self.assertNotIn("@", "".join(line for line in text.splitlines() if line[:1] != "#"))


class NginxTest(unittest.TestCase):
    values = {"PORT": 1, "ROOT": "/r", "CERTIFICATE": "/c", "KEY": "/k", "CPU": 0}

    def text(self, name):
        with tempfile.TemporaryDirectory() as scratch:
            line = rivals.nginx_command(BY_NAME[name], self.values, pathlib.Path(scratch))
            return pathlib.Path(line[-1]).read_text()

    def test_it_does_the_same_job_by_its_own_directives(self):
        self.assertIn("gzip_static on;", self.text("brotli-10KB"))
        self.assertIn("gzip on;", self.text("compress-100KB"))
        self.assertNotIn("gzip", self.text("100B"))
        self.assertIn("open_file_cache max=20000 inactive=300s;", self.text("100B"))

    def test_its_open_files_are_for_the_tree(self):
        room = rivals.nginx_room(BY_NAME["files-100k"])
        self.assertIn("inactive=1h;", self.text("files-100k"))
        self.assertLessEqual(room["FILES"] + room["CONNECTIONS"], room["DESCRIPTORS"])
        self.assertGreater(room["CONNECTIONS"], BY_NAME["files-100k"].connections)


class PagesTest(unittest.TestCase):
    def test_a_page_is_as_long_as_is_asked_and_always_the_same(self):
        self.assertEqual(len(pages.html(5000, 1)), 5000)
        self.assertEqual(pages.html(5000, 1), pages.html(5000, 1))
        self.assertNotEqual(pages.html(5000, 1), pages.html(5000, 2))

    def test_a_code_has_the_wanted_length(self):
        page, coded = pages.page_compressed_to(pages.gzipped, 2000)
        self.assertEqual(gzip.decompress(coded), page)
        self.assertLess(abs(len(coded) - 2000), 2000 * pages.SIDECAR_TOLERANCE)

    def test_the_tree_tells_its_paths_and_their_mean(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            paths, mean_bytes = pages.lay_tree(root, 1500)
            sizes = [(root / path[1:]).stat().st_size for path in paths]
        self.assertEqual(len(set(paths)), 1500)
        self.assertAlmostEqual(sum(sizes) / 1500, mean_bytes)
        self.assertGreaterEqual(min(sizes), 1000)
        self.assertLess(max(sizes), 16_000)


class AnswersTest(unittest.TestCase):
    def get(self, answer):
        return http1_client.Http1Client(Replay(answer), "a").get("/")

    def test_a_304_has_no_body(self):
        status, _, body, octets = self.get(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\nHTTP")
        self.assertEqual((status, body, octets), (304, b"", 40))

    def test_chunks_are_joined_and_counted(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n"
        _, _, body, octets = self.get(head + chunks + b"next")
        self.assertEqual((body, octets), (b"abc0123456789", len(head + chunks)))
        with self.assertRaises(workloads.WrongAnswer):
            self.get(head + b"3\r\nabcd\r\n0\r\n\r\n")

    def test_the_body_of_a_range_is_cut_out_of_its_file(self):
        changes = {"stored": "file", "stored_from": 26, "body_bytes": 5}
        with tempfile.TemporaryDirectory() as name:
            (pathlib.Path(name) / "file").write_bytes(workloads.body(100))
            ranged = workloads.replace(BY_NAME["range-64KB"], **changes)
            self.assertEqual(clients.expected_body(ranged, pathlib.Path(name)), b"abcde")
        self.assertEqual(clients.expected_body(BY_NAME["304"]), b"")

    def test_answers_at_random_have_the_mean_of_all(self):
        paths = measure.Paths(pathlib.Path("/p"), ["/a"], 700.0)

        class Running:
            name = "nginx"

        for total, is_right in ((1_000_000, True), (1_020_000, True), (900_000, False)):
            load = loads.Load(1000, total, 1.0)
            arguments = (Running, BY_NAME["files-100k"], load, 300, paths)
            if is_right:
                self.assertEqual(measure.check_bytes(*arguments), total / 1000)
            else:
                self.assertRaises(loads.LoadFailed, measure.check_bytes, *arguments)


class CodingsTest(unittest.TestCase):
    content = b"<!doctype html>" * 50

    def answer(self, coding, body, status=200):
        return status, {"content-encoding": coding} if coding else {}, body, len(body) + 100

    def check(self, *answers):
        return cold.check_codings(answers, self.content)

    def test_the_coding_of_each_answer_is_told(self):
        plain = self.answer("", self.content)
        coded = self.answer("gzip", gzip.compress(self.content))
        self.assertEqual(self.check(plain, coded, coded), ["", "gzip", "gzip"])

    def test_wrong_answers_are_errors(self):
        coded = self.answer("gzip", gzip.compress(self.content))
        for wrong in [self.answer("gzip", gzip.compress(b"other")), self.answer("", b"other"),
                      self.answer("br", b"?"), self.answer("", self.content, status=404)]:
            self.assertRaises(workloads.WrongAnswer, self.check, wrong, coded)
        # Not compressed to the end: then it was not compressed at all.
        self.assertRaises(workloads.WrongAnswer, self.check, coded, self.answer("", self.content))


if __name__ == "__main__":
    unittest.main()
