"""The programs that make load: their commands, and what they say came out.

Each is pinned to the client's core and ends in a `Load`. Whatever is wrong with a single answer
makes the whole run worthless, so it is an error here and not a figure.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import servers

PERF = Path(__file__).resolve().parent
LOAD_LUA = PERF / "wrk/load.lua"
WRK_OPENSSL = PERF / "wrk/openssl.cnf"
HANDSHAKES = servers.PROJECT / "target/handshakes/release/downpour-handshakes"

# What browsers name first; every client offers these two alone, so that all servers pay the same.
SUITE = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"

# A request that the end of the run cuts off is waited for no longer than this.
GRACE_S = 90


class LoadFailed(Exception):
    """An error under load: a figure that hides one is worth nothing."""


@dataclass
class Load:
    """What one run of a program made."""

    requests: int  # answered in full
    bytes: int  # of all that was received, heads and bodies, inside of TLS
    duration_s: float
    body_bytes: int | None = None  # of the answers' bodies alone, where the program tells them
    latencies: dict = field(default_factory=dict)


def make_load(workload, port, seconds, site, paths_file=None):
    """One run of the workload's program against `port`."""
    programs = {"wrk": wrk, "h2load": h2load, "handshakes": handshakes}
    return programs[workload.tool](workload, port, seconds, site, paths_file)


def version_of(tool):
    """What a program calls itself, for the record."""
    if tool == "handshakes":
        return "perf/handshakes of the same revision"
    option = {"wrk": "-v", "h2load": "--version"}[tool]
    done = subprocess.run([tool, option], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).partition("\n")[0].strip()


def output_of(command, seconds, environment=None, cpu=servers.CLIENT_CPU):
    pinned = ["taskset", "-c", str(cpu), *map(str, command)]
    try:
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + GRACE_S,
                              env=os.environ | (environment or {}), check=False)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{command[0]} did not end: {error.stdout}") from None
    if done.returncode != 0:
        raise LoadFailed(f"{command[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


def url_of(workload, port):
    return f"{'https' if workload.tls else 'http'}://127.0.0.1:{port}{workload.path}"


def last_json(name, output):
    """The line of JSON that load.lua and perf/handshakes end with."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadFailed(f"{name} has no result: {output}")
    result = json.loads(lines[-1])
    if any(result["errors"].values()):
        raise LoadFailed(f"{name}: errors {result['errors']}")
    return result


def load_of(result):
    """What a program of ours says in its line of JSON; one without a network has no bytes."""
    latencies = {key: result[key] for key in ("p50_us", "p99_us", "p999_us")}
    return Load(result["requests"], result.get("bytes", 0), result["duration_us"] / 1e6,
                latencies=latencies)


def script_mode(workload, paths_file):
    """What load.lua is to do."""
    if workload.kind in ("walk", "scatter"):
        return [workload.kind, paths_file]
    if workload.kind == "put":
        return ["put", workload.body_bytes, workload.names]
    if workload.kind == "addresses":  # As many more as may be without an answer at the end.
        return ["addresses", workload.requests + workload.in_flight, workload.pipeline]
    return ["pipeline", workload.pipeline] if workload.pipeline > 1 else ["plain"]


def wrk(workload, port, seconds, _site, paths_file):
    headers = [word for name, value in workload.headers.items()
               for word in ("-H", f"{name}: {value}")]
    command = [shutil.which("wrk"), "-t1", f"-c{workload.connections}", f"-d{seconds}s",
               "--timeout", "60s", *headers, "-s", LOAD_LUA, url_of(workload, port), "--",
               *script_mode(workload, paths_file)]
    output = output_of(command, seconds, {"OPENSSL_CONF": str(WRK_OPENSSL)})
    load = load_of(last_json("wrk", output))
    if workload.pipeline > 1:
        # wrk corrects its latencies for coordinated omission by a request's mean interval, which is
        # wrong by the depth when many requests are sent at once: then they mean nothing.
        load.latencies = {}
    return load


def h2load(workload, port, seconds, _site, _paths_file):
    clear_or_tls = [f"--tls13-ciphers={SUITE}", f"--groups={GROUP}", "--npn-list=h2"] \
        if workload.tls else ["-p", "h2c"]
    command = [shutil.which("h2load"), "-t1", f"-c{workload.connections}", f"-m{workload.streams}",
               "-D", seconds, *clear_or_tls, url_of(workload, port)]
    return read_h2load(workload, output_of(command, seconds))


def read_h2load(workload, output):
    """h2load's report, which is prose: every line that is missed is an error."""
    def find(pattern):
        match = re.search(pattern, output, re.MULTILINE)
        if match is None:
            raise LoadFailed(f"h2load does not say {pattern}: {output}")
        return match

    wanted = {"Application protocol": "h2" if workload.tls else "h2c"}
    if workload.tls:
        wanted |= {"TLS Protocol": "TLSv1.3", "Cipher": SUITE}
    for name, value in wanted.items():
        spoken = find(rf"^{name}: (.*)$")[1].strip()
        if spoken != value:
            raise LoadFailed(f"h2load: {name} is {spoken}, not {value}")
    counts = find(r"^requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, "
                  r"(\d+) failed, (\d+) errored, (\d+) timeout$")
    _, started, done, succeeded, failed, errored, timed_out = map(int, counts.groups())
    statuses = find(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$")
    ok, *others = map(int, statuses.groups())
    traffic = find(r"^traffic: \S+ \((\d+)\) total, \S+ \((\d+)\) headers .*, \S+ \((\d+)\) data$")
    rate = float(find(r"^finished in \S+, ([\d.]+) req/s, ")[1])
    # A status is counted with its head, a request with the end of its body.
    if failed or errored or timed_out or any(others) or succeeded != done or ok < done:
        raise LoadFailed(f"h2load: {counts[0]}; {statuses[0]}")
    if done == 0 or rate == 0:
        raise LoadFailed(f"h2load: no request was answered: {output}")
    if started - done > workload.in_flight:
        raise LoadFailed(f"h2load: connections were lost: {counts[0]}")
    return Load(done, int(traffic[1]), done / rate, body_bytes=int(traffic[3]))


def handshakes(workload, port, seconds, site, _paths_file):
    command = [HANDSHAKES, "--port", port, "--path", workload.path, "--trust", site.certificate,
               "--connections", workload.connections, "--seconds", seconds,
               "--body-bytes", workload.body_bytes, "--resume", "yes" if workload.resume else "no"]
    return read_handshakes(workload, output_of(command, seconds))


def read_handshakes(workload, output):
    """The kind of every handshake is counted: one that should have resumed costs much more."""
    result = last_json("handshakes", output)
    wanted, other = ("resumed", "full") if workload.resume else ("full", "resumed")
    # Each slot begins with a full handshake, which brings the first ticket.
    allowed = workload.connections if workload.resume else 0
    if result[other] > allowed or result["full"] + result["resumed"] != result["requests"]:
        raise LoadFailed(f"handshakes: {result[other]} were {other}, {result[wanted]} {wanted}")
    return load_of(result)
