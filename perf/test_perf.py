"""Tests of the arithmetic behind the figures, on made-up readings."""

import unittest

import clients
import measure
import report
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

    def check(self, requests, total_bytes):
        workload = workloads.BY_NAME["100B"]
        result = {"requests": requests, "bytes": total_bytes}
        return measure.check_bytes(self.Running, workload, result, 300, 0)

    def test_answers_of_another_length_are_an_error(self):
        self.assertEqual(self.check(1000, 300_000), 300)
        self.assertEqual(self.check(1000, 300_000 + 64 * 300), 300)
        with self.assertRaises(measure.LoadFailed):
            self.check(1000, 299_999)
        with self.assertRaises(measure.LoadFailed):
            self.check(1000, 400_000)


class ClientTest(unittest.TestCase):
    def test_an_answer_is_cut_out_of_the_stream(self):
        client = clients.Client.__new__(clients.Client)
        client.host = "a"
        client.rest = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404"
        client.socket = type("Sink", (), {"sendall": lambda self, _: None})()
        status, fields, body, answer_bytes = client.get("/")
        self.assertEqual((status, fields["content-length"], body), (200, "3", b"abc"))
        self.assertEqual(answer_bytes, 38 + 3)
        self.assertEqual(client.rest, b"HTTP/1.1 404")


if __name__ == "__main__":
    unittest.main()
