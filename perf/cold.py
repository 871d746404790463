"""Figures of a server that has just been started, where every single request counts.

The clients are our own: they ask exactly so many times and look at every answer. What a server does
afterwards, on its own, is waited for and counted.
"""

import gzip
import shutil
import subprocess
import time
from statistics import mean, median

import clients
import measure
import pages
from workloads import WrongAnswer

REQUESTS = 1000
REQUESTS_AT_ONCE = 20
assert REQUESTS % REQUESTS_AT_ONCE == 0

# A server is quiet when it took less than this share of a core for so long.
QUIET_SHARE, QUIET_S, QUIET_WITHIN_S = 0.005, 0.5, 60


def decoded(coding, body):
    """The content of a body, RFC 9110 §8.4.1."""
    if coding in ("", "identity"):
        return body
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "br":
        command = [shutil.which("brotli") or "brotli", "--decompress", "--stdout"]
        return subprocess.run(command, input=body, capture_output=True, check=True).stdout
    raise WrongAnswer(f"a coding that was not asked for: {coding}")


def wait_until_quiet(pids):
    """Until no thread of the server works any more."""
    deadline = time.monotonic() + QUIET_WITHIN_S
    before = measure.Cpu.of(pids)
    while time.monotonic() < deadline:
        time.sleep(QUIET_S)
        after = measure.Cpu.of(pids)
        # A thread that ended takes its run time away: that is no rest, look again.
        grown = sum(after.run_ns.values()) - sum(before.run_ns.values())
        if before.run_ns.keys() == after.run_ns.keys() and grown < QUIET_SHARE * QUIET_S * 1e9:
            return
        before = after
    raise WrongAnswer(f"the server still works {QUIET_WITHIN_S} s after the last answer")


def measure_compress(running, workload, site):
    """All that exactly 1,000 answers cost, compression and what follows it included."""
    pids = running.pids()
    content = (site.root / workload.path.lstrip("/")).read_bytes()
    wait_until_quiet(pids)
    opened = [clients.connect(workload, running.port) for _ in range(REQUESTS_AT_ONCE)]
    before = measure.Cpu.of(pids)
    answers = []
    for _ in range(REQUESTS // REQUESTS_AT_ONCE):
        for client in opened:
            client.ask(workload.path, workload.headers)
        answers += [client.read_answer(workload.path) for client in opened]
    wait_until_quiet(pids)
    user_s, system_s = measure.Cpu.of(pids).since(before)
    for client in opened:
        client.close()
    codings = check_codings(answers, content)
    return {
        "cpu_us": (user_s + system_s) * 1e6 / REQUESTS,
        "user_us": user_s * 1e6 / REQUESTS,
        "system_us": system_s * 1e6 / REQUESTS,
        "total_ms": (user_s + system_s) * 1e3,
        "bytes_request": mean(answer_bytes for *_, answer_bytes in answers),
        "last_bytes": len(answers[-1][2]),
        "coded_share": sum(coding == "gzip" for coding in codings) / REQUESTS,
        "rss_bytes": measure.resident_bytes(pids),
    }


def check_codings(answers, content):
    """The coding of each answer; its body must be the file's content, and the last be coded."""
    known, codings = set(), []
    for status, fields, body, _ in answers:
        coding = fields.get("content-encoding", "")
        if status != 200:
            raise WrongAnswer(f"status {status}")
        if (coding, body) not in known:  # One that was decoded need not be again.
            if coding not in ("", "gzip") or decoded(coding, body) != content:
                raise WrongAnswer(f"a body in the coding {coding!r} differs from the disk")
            known.add((coding, body))
        codings.append(coding)
    if codings[-1] != "gzip":
        raise WrongAnswer("the last answer is still not compressed")
    return codings


def measure_cold(running, workload, site):
    """Times of the first answers, one after the other, and of some after moments of quiet."""
    clients.check_answer(workload, running.port)  # Wakes it, with a file of another type.
    pids = running.pids()
    times = [first_answer(running, workload, site, path) for path in pages.cold_paths()]
    quiet = []
    for path in pages.quiet_paths():
        wait_until_quiet(pids)
        quiet.append(first_answer(running, workload, site, path))
    return {
        "answer_us": median(whole for whole, _, _ in times),
        "first_byte_us": median(first for _, first, _ in times),
        "quiet_us": median(whole for whole, _, _ in quiet),
        "quiet_first_byte_us": median(first for _, first, _ in quiet),
        "bytes_request": mean(octets for _, _, octets in times),
        "rss_bytes": measure.resident_bytes(pids),
    }


def first_answer(running, workload, site, path):
    """Microseconds to the whole answer and to its first byte, on a connection that is open; and
    its octets."""
    client = clients.connect(workload, running.port)
    started = time.perf_counter()
    client.ask(path, workload.headers)
    status, fields, body, answer_bytes = client.read_answer(path)
    ended, first_byte = time.perf_counter(), client.first_byte_at
    client.close()
    content = decoded(fields.get("content-encoding", ""), body)
    if status != 200 or content != (site.root / path.lstrip("/")).read_bytes():
        raise WrongAnswer(f"{path}: status {status}, {len(content)} bytes differ from the disk")
    return (ended - started) * 1e6, (first_byte - started) * 1e6, answer_bytes
