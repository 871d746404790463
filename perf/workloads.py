"""What is measured: every workload with the answer that it must get.

Knows nothing of servers or of how a measurement is taken.
"""

from dataclasses import dataclass

CONNECTIONS = 64
IDLE_CONNECTIONS = 8000
PIPELINE_DEPTH = 16

KILOBYTE = 1000
MEGABYTE = 1000 * KILOBYTE


@dataclass(frozen=True)
class Workload:
    """One line of the results."""

    name: str
    about: str
    kind: str = "load"  # load (wrk), walk (wrk over the site), idle, start
    body_bytes: int = KILOBYTE
    pipeline: int = 1
    close: bool = False

    @property
    def path(self):
        return f"/body-{self.body_bytes}.txt"

    @property
    def headers(self):
        return {"Connection": "close"} if self.close else {}

    @property
    def counted_by_bytes(self):
        """Large answers that the end of the run cuts off cost CPU and are no request yet: counting
        bytes is fair where they weigh, counting answers is exact where they do not."""
        return self.kind == "load" and self.body_bytes >= 100 * KILOBYTE

    def runs_on(self, server_name):
        """The floor has no files and is no server to start."""
        return not (server_name == "floor" and self.kind in ("walk", "start"))


def keep_alive(name, body_bytes):
    return Workload(name, f"keep-alive, {CONNECTIONS} connections, {name}", body_bytes=body_bytes)


WORKLOADS = [
    keep_alive("100B", 100),
    keep_alive("1KB", KILOBYTE),
    keep_alive("10KB", 10 * KILOBYTE),
    keep_alive("100KB", 100 * KILOBYTE),
    keep_alive("1MB", MEGABYTE),
    keep_alive("10MB", 10 * MEGABYTE),
    Workload("pipeline16", f"{PIPELINE_DEPTH} requests in one write, 100 B", body_bytes=100,
             pipeline=PIPELINE_DEPTH),
    Workload("new-connection", "a new connection for each request, 1 KB", close=True),
    Workload("site", "every page of a documentation package in turn, compared with the disk",
             kind="walk"),
    Workload("idle8000", f"{IDLE_CONNECTIONS} keep-alive connections, idle after one request each",
             kind="idle"),
    Workload("start", "from exec to the first answer", kind="start"),
]

BY_NAME = {workload.name: workload for workload in WORKLOADS}
KEEP_ALIVE = ["100B", "1KB", "10KB", "100KB", "1MB", "10MB"]
LOADED = KEEP_ALIVE + ["pipeline16", "new-connection", "site"]


def body(body_bytes):
    """The bytes that every server must answer with; perf/floor renders the same."""
    alphabet = b"abcdefghijklmnopqrstuvwxyz"
    return (alphabet * (body_bytes // len(alphabet) + 1))[:body_bytes]


def write_bodies(root):
    """Lays the files of all load workloads into `root`."""
    for workload in WORKLOADS:
        if workload.kind != "walk":
            (root / workload.path.lstrip("/")).write_bytes(body(workload.body_bytes))
