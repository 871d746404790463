"""Starts the server that is judged, at ports that the kernel chooses, and ends it."""

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import tools
from place import HOST, Place

RELEASE = tools.PROJECT / "target/release/downpour"
READY_WITHIN_S = 10
STOP_WITHIN_S = 30


class Failed(tools.JudgeFailed):
    """It did not start, or did not end as it should."""


@dataclass(frozen=True)
class Starter:
    """How a judge starts servers of its own."""

    binary: Path
    engine: str

    def started(self, words, needs, log, cwd=None):
        return started(self.binary, [*words, "--engine", self.engine], needs, log, cwd)


@contextlib.contextmanager
def started(binary, words, needs, log, cwd=None):
    """Runs `downpour serve` with these words; gives its `Place` once it listens at all that is
    needed, and raises `Failed` unless it lives until it is ended here, and ends then. `log` is the
    file for what it says."""
    # Every flag is also a variable; the tester's own must not change what is judged.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("DOWNPOUR_")}
    with log.open("w") as output:
        process = subprocess.Popen([str(word) for word in (binary, "serve", *words)],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env=environment, cwd=cwd)
    try:
        place = wait_for_start_line(process, needs, log)
        if place is None:
            raise Failed(f"the server did not start: {log.read_text()}")
        yield place
        if process.poll() is not None:
            raise Failed(f"the server ended by itself: {process.returncode}")
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"the server did not end {STOP_WITHIN_S} s after SIGTERM") from None
    finally:
        process.kill()
        process.wait()


def wait_for_start_line(process, needs, log):
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        place = read_start_line(log.read_text())
        if all(getattr(place, kind) for kind in needs):
            return place
        time.sleep(0.01)
    return None


def read_start_line(text):
    """Where the server says that it listens."""
    _, _, told = text.partition(" listening on ")
    ports = {scheme: re.search(rf"\b{scheme}://{re.escape(HOST)}:(\d+)\s", told)
             for scheme in ("http", "https")}
    places = {scheme: (HOST, int(found[1])) if found else None for scheme, found in ports.items()}
    return Place(places["http"], places["https"])
