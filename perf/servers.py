"""The servers that are compared, each started as its own documentation would have it.

A server is started afresh for every single measurement, pinned to the server's core, and ended by
its process id.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import gate
import rivals
import rules

PROJECT = Path(__file__).resolve().parent.parent
DOWNPOUR = PROJECT / "target/release/downpour"
FLOORS = {
    "h1": PROJECT / "target/floor/release/downpour-floor",
    "h2": PROJECT / "target/floor/release/downpour-floor-h2",
}
FLOOR_PUT = PROJECT / "target/floor/release/downpour-floor-put"

SERVER_CPU = 0
CLIENT_CPU = 1

ENGINES = {
    "downpour": "io-uring",
    "downpour-epoll": "epoll",
    "downpour-tokio-uring": "tokio-uring",
    "downpour-rules": "io-uring",
    "downpour-identity": "io-uring",
    "downpour-plain": "io-uring",
}
FLAGS = {
    "downpour-rules": rules.downpour_flags(),
    "downpour-identity": ["--compress=false", "--precompressed=false"],
}
NGINXES = ("nginx", "nginx-rules", "nginx-buffer")
NAMES = [*ENGINES, *NGINXES, "h2o", "floor", "floor-one"]

READY_WITHIN_S = 10
STOP_WITHIN_S = 10
START_LINE_WITHIN_S = 2


class ServerFailed(Exception):
    """A server that did not start, answered wrongly or would not end."""


@dataclass
class Running:
    """A started server."""

    name: str
    port: int
    process: subprocess.Popen
    log: Path  # what it says; beside it is what belongs to this start

    def pids(self):
        """Its process and all its descendants (nginx has a master and a worker)."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                queue += [int(word) for word in children.read_text().split()]
        return found

    def stop(self):
        """Ends it, kindly at first. A server that will not end has failed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerFailed(f"{self.name} did not end {STOP_WITHIN_S} s after SIGTERM") from None

    def check_engine(self):
        """Confirms that the engine which was asked for is the one that runs."""
        wanted = ENGINES.get(self.name)
        deadline = time.monotonic() + START_LINE_WITHIN_S
        while wanted:
            # The start line may come after the first answer: it is written by another thread.
            log = self.log.read_text(errors="replace")
            if re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", log):
                return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} does not say that its engine is {wanted}: {log!r}")
            time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Site:
    """What all servers serve, and as whom."""

    root: Path
    certificate: Path
    key: Path


def start(name, workload, site, scratch, wait=True):
    """Starts the server `name` for `workload` and waits until it accepts connections."""
    port = free_port()
    # A port may come round again within a run.
    scratch = Path(tempfile.mkdtemp(prefix=f"{name}-{port}-", dir=scratch))
    scratch.chmod(0o755)  # Another user may own the worker.
    if workload.kind == "gate":
        gate.lay_tokens(scratch)
    log = scratch / "output.log"
    command = ["taskset", "-c", str(SERVER_CPU), *command_of(name, workload, port, site, scratch)]
    environment = plain_environment() | (rivals.h2o_environment() if name == "h2o" else {})
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment,
                                   stdin=subprocess.DEVNULL, cwd=scratch)
    running = Running(name, port, process, log)
    if wait:
        try:
            wait_ready(running)
        except ServerFailed:
            if process.poll() is None:
                process.kill()
                process.wait()
            raise
    return running


def plain_environment():
    """Ours without DOWNPOUR_*: every flag of downpour is also a variable."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOWNPOUR_")}


def wait_ready(running):
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", running.port)) == 0:
                return
        time.sleep(0.005)
    output = running.log.read_text(errors="replace").strip()
    raise ServerFailed(f"{running.name} did not start: {output or 'it says nothing'}")


def command_of(name, workload, port, site, scratch):
    """The exact command of one server."""
    if name in ENGINES:
        listen = ["--listen", f"127.0.0.1:{port}"]
        if workload.tls:  # Clear text goes to a port that nobody asks.
            listen = ["--listen", "127.0.0.1:0", "--tls-listen", f"127.0.0.1:{port}",
                      "--tls-cert", str(site.certificate), "--tls-key", str(site.key)]
        return [str(DOWNPOUR), "serve", str(site.root), *listen, "--engine", ENGINES[name],
                "--workers", "1", "--cpus", str(SERVER_CPU), "--max-connections", "20000",
                "--keepalive-timeout", "300s",
                *[flag.replace("@SCRATCH@", str(scratch)) for flag in workload.flags],
                *FLAGS.get(name, [])]
    if name == "floor":
        return [str(FLOORS[workload.protocol]), "--port", str(port), "--cpu", str(SERVER_CPU),
                "--bytes", str(workload.body_bytes), "--status", str(workload.status)]
    values = {"PORT": port, "ROOT": site.root, "CERTIFICATE": site.certificate, "KEY": site.key,
              "CPU": SERVER_CPU}
    if name in NGINXES:
        return rivals.nginx_command(workload, values, scratch, with_rules=name == "nginx-rules")
    if name == "h2o":
        return rivals.h2o_command(workload, values, scratch)
    raise ValueError(f"there is no server {name}; there are {', '.join(NAMES)}")


def version_of(name):
    """What the server calls itself, for the record."""
    if name in ("floor", "floor-one"):
        return "perf/floor of the same revision"
    command = [str(DOWNPOUR), "--version"]
    if name in NGINXES:
        command = [rivals.nginx_binary(), "-v"]
    elif name == "h2o":
        command = ["h2o", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()
