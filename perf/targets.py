"""The figures that the project has set itself, checked on the medians of one interleaved run.

A ratio is ours over theirs: CPU µs per request unless another figure is named.
"""

from dataclasses import dataclass
from statistics import median

import servers
from workloads import KEEP_ALIVE, LIMIT_MEMORY_BYTES, LOADED

# Two engines that cost the same differ by this much from run to run.
NOISE = 1.02

MEGABYTE = 1e6
# Beside what is remembered of addresses: buffers of connections, what the allocator rounds up.
LIMIT_MEMORY_SPARE_BYTES = 4 * MEGABYTE


@dataclass(frozen=True)
class Target:
    """`ours` over `theirs` (or `ours` itself) must be at most `limit`, or at least for `above`; for
    `more`, what is `ours` beyond `theirs`."""

    workload: str
    figure: str
    theirs: str | None
    limit: float
    ours: str = "downpour"
    above: bool = False
    unit: str = ""
    more: bool = False

    def text(self):
        against = f" {'−' if self.more else '/'} {self.theirs}" if self.theirs else ""
        limit = f"{'≥' if self.above else '≤'} {self.limit:.10g}{self.unit}"
        return f"{self.workload}: {self.figure} of {self.ours}{against} {limit}"


@dataclass(frozen=True)
class Verdict:
    target: Target
    value: float

    @property
    def met(self):
        limit = self.target.limit
        return self.value >= limit if self.target.above else self.value <= limit


def cpu(workload, theirs, limit, ours="downpour"):
    return Target(workload, "cpu_us", theirs, limit, ours)


TARGETS = [
    cpu("100B", "nginx", 0.55), cpu("100B", "floor", 1.10),
    cpu("1KB", "nginx", 0.55), cpu("1KB", "floor", 1.10),
    cpu("10KB", "nginx", 0.60), cpu("10KB", "floor", 1.12),
    cpu("100KB", "nginx", 0.70),
    cpu("1MB", "nginx", 0.60), cpu("1MB", "floor", 0.70),
    cpu("10MB", "nginx", 0.85),
    cpu("pipeline16", "nginx", 0.10), cpu("pipeline16", "floor", 1.3),
    cpu("new-connection", "nginx", 0.85), cpu("new-connection", "floor", 1.0),
    *[Target(workload, "p99_us", "nginx", 1.0) for workload in KEEP_ALIVE],
    *[Target(workload, "requests_s", "nginx", 1.0, above=True) for workload in KEEP_ALIVE],
    cpu("h2-100B", "h2o", 0.50), cpu("h2-100B", "nginx", 0.06), cpu("h2-100B", "floor", 2.0),
    cpu("h2-10KB", "h2o", 0.75), cpu("h2-10KB", "nginx", 0.25),
    cpu("h2-1MB", "h2o", 0.75),
    cpu("h2-tls-100B", "h2o", 0.80), cpu("h2-tls-10KB", "h2o", 0.80),
    cpu("tls-1KB", "nginx", 0.60),
    cpu("tls-100KB", "nginx", 0.75), cpu("tls-100KB", "h2o", 1.0),
    cpu("handshake-full", "nginx", 0.70), cpu("handshake-full", "h2o", 0.95),
    cpu("handshake-resumed", "nginx", 0.80),
    *[Target(workload, "idle_bytes", "nginx", 1.0)
      for workload in ("idle8000", "h2-idle2000", "tls-idle2000")],
    *[cpu(workload, "downpour-epoll", 1.0 if workload in KEEP_ALIVE else NOISE)
      for workload in LOADED],
    *[cpu(workload, "downpour", 1.05, ours="downpour-rules")
      for workload in ("hit-rules-100B", "hit-rules-1KB")],
    cpu("brotli-10KB", "nginx", 0.58),
    cpu("304", "nginx", 0.55), cpu("304", "floor", 1.08),
    cpu("range-64KB", "nginx", 0.70),
    cpu("files-100k", "nginx", 0.70),
    cpu("compress-100KB", "nginx", 0.02), Target("compress-100KB", "last_bytes", "nginx", 1.0),
    # No later than uncompressed: alone, and while others are being compressed.
    *[Target("cold-compressible", figure, "downpour-identity", NOISE)
      for figure in ("quiet_us", "answer_us")],
    cpu("gate-1KB", "nginx", 0.60),
    Target("gate-1KB", "cpu_us", "downpour-plain", 0.3, unit=" µs", more=True),
    Target("put-10KB", "put_us", "floor", 1.2),
    Target("put-1GB", "growth_bytes", None, 4 * MEGABYTE, unit=" B"),
    Target("put-1GB", "cpu_s", "nginx", 0.80),
    Target("addresses-10M", "growth_bytes", None, LIMIT_MEMORY_BYTES + LIMIT_MEMORY_SPARE_BYTES,
           unit=" B"),
    Target("start", "start_ms", None, 20, unit=" ms"),
    Target("start", "rss_bytes", None, 20 * MEGABYTE, unit=" B"),
    Target("binary", "bytes", None, 8 * MEGABYTE, unit=" B"),
]


def median_of(results, workload, server, figure):
    """The median over the rounds; None where it was not measured."""
    rounds = results.get(workload, {}).get(server, [])
    values = [figures[figure] for figures in rounds if figure in figures]
    return median(values) if values else None


def compared(target, ours, theirs):
    """What the limit is for; None where there is nothing to compare with."""
    if not theirs:
        return None
    return ours - theirs if target.more else ours / theirs


def verdicts(results):
    """A verdict for every target whose figures were measured."""
    found = []
    for target in TARGETS:
        if target.workload == "binary":
            measured = results.get("start", {}).get("downpour")
            value = servers.DOWNPOUR.stat().st_size if measured else None
        else:
            value = median_of(results, target.workload, target.ours, target.figure)
        if value is not None and target.theirs:
            theirs = median_of(results, target.workload, target.theirs, target.figure)
            value = compared(target, value, theirs)
        if value is not None:
            found.append(Verdict(target, value))
    return found
