"""What is measured: every workload with the answer that it must get.

Knows nothing of servers or of how a measurement is taken.
"""

from dataclasses import dataclass, field, replace

import gate
import rules

CONNECTIONS = 64
IDLE_CONNECTIONS = 8000
PIPELINE_DEPTH = 16

H2_CONNECTIONS = 16
H2_STREAMS = 32
HANDSHAKES_AT_ONCE = 16
# Fewer than in clear text: our own client makes a TLS connection in about a millisecond.
SECURE_IDLE_CONNECTIONS = 2000

KILOBYTE = 1000
MEGABYTE = 1000 * KILOBYTE
GIGABYTE = 1000 * MEGABYTE

# Names that PUTs replace in turn: many more than are under way, so that no two meet.
PUT_NAMES = 1024
ADDRESSES = 10_000_000
ADDRESSES_QUICK = 200_000
ADDRESSES_CONNECTIONS = 64
LIMIT_MEMORY_BYTES = 64 << 20


class WrongAnswer(Exception):
    """A server that did not answer what the workload expects."""


@dataclass(frozen=True)
class Workload:
    """One line of the results."""

    name: str
    about: str
    # load, walk (load over the site), scatter (over a large tree), compress, cold, handshake, idle,
    # start, gate (load with an access log), put, upload, addresses
    kind: str = "load"
    body_bytes: int = KILOBYTE
    protocol: str = "h1"
    tls: bool = False
    connections: int = CONNECTIONS
    pipeline: int = 1
    streams: int = 1  # of HTTP/2, at once on each connection
    close: bool = False
    names: int = 0  # how many a PUT takes in turn
    requests: int = 0  # so many are made, where it is not for a time
    requests_quick: int = 0  # and so many if it only has to work
    resume: bool = False  # every handshake but the first of a connection's slot resumes
    group: str = ""
    target: str = ""  # the path, where it is not that of a body
    status: int = 200
    asks: tuple = ()  # fields of each request, as pairs
    wants: tuple = ()  # fields that each answer must have, as pairs
    stored: str = ""  # the file below the root that holds the body, where it is not a body's
    stored_from: int = 0  # where in it the body begins
    revalidates: bool = False  # each request names the entity tag of what it has
    flags: tuple = ()  # of downpour, beside the usual ones
    needs: tuple = ()  # programs, beside the one that makes the load
    nginx: str = ""  # a part of its configuration: nginx/NAME.conf
    ours: str = "downpour"  # whose ratios to the others are told
    servers: tuple = ()  # the only ones that it runs on; empty: by the rules below
    differs: dict = field(default_factory=dict)  # what is other on a server, by its name

    def on(self, server_name):
        """The workload as that server meets it."""
        return replace(self, **self.differs.get(server_name, {}))

    def shortened(self):
        """The workload of a run that only shows whether it works."""
        return replace(self, requests=self.requests_quick)

    @property
    def path(self):
        return self.target or f"/body-{self.body_bytes}.txt"

    @property
    def headers(self):
        return dict(self.asks) | ({"Connection": "close"} if self.close else {})

    @property
    def tool(self):
        """The program that makes the load; None where our own Python clients do."""
        if self.kind in ("idle", "start", "compress", "cold", "upload"):
            return None
        if self.kind == "handshake":
            return "handshakes"
        return "h2load" if self.protocol == "h2" else "wrk"

    @property
    def in_flight(self):
        """Requests that may be unanswered at any moment."""
        return self.connections * self.pipeline * self.streams

    @property
    def groups(self):
        """The names by which it is chosen together with others."""
        own = {self.group} if self.group else set()
        return {self.protocol, "tls" if self.tls else "clear"} | own

    @property
    def counted_by_bytes(self):
        """Large answers that the end of the run cuts off cost CPU and are no request yet: counting
        bytes is fair where they weigh, counting answers is exact where they do not."""
        return self.kind == "load" and self.body_bytes >= 100 * KILOBYTE

    def runs_on(self, server_name):
        """The floor has no files, no TLS and is no server to start. h2o came with HTTP/2; it
        gives no ticket to a connection that resumed, so a client that uses each ticket once, as
        RFC 8446 appendix C.4 asks, can resume every second connection only. The variants of a
        server are for the workloads that name them."""
        if self.servers:
            return server_name in self.servers
        if server_name in VARIANTS:
            return False
        if server_name == "floor":
            return self.kind not in ("walk", "start") and not self.tls
        if server_name == "h2o":
            return (self.tls or self.protocol == "h2") and not self.resume
        return True


def keep_alive(name, body_bytes):
    return Workload(name, f"keep-alive, {CONNECTIONS} connections, {name}", body_bytes=body_bytes)


def multiplexed(name, size, body_bytes, tls=False):
    over = "TLS 1.3" if tls else "clear text"
    return Workload(
        name, f"HTTP/2, {over}, {H2_CONNECTIONS} connections × {H2_STREAMS} streams, {size}",
        body_bytes=body_bytes, protocol="h2", tls=tls, connections=H2_CONNECTIONS,
        streams=H2_STREAMS)


def secure(name, size, body_bytes):
    return Workload(name, f"TLS 1.3, HTTP/1.1 keep-alive, {CONNECTIONS} connections, {size}",
                    body_bytes=body_bytes, tls=True)


def handshake(name, about, resume):
    return Workload(name, f"TLS 1.3, {about}, one request of 1 KB each", kind="handshake",
                    tls=True, connections=HANDSHAKES_AT_ONCE, close=True, resume=resume)


def idle(name, about, count, **options):
    return Workload(name, f"{count} {about}, idle after one request each", kind="idle",
                    connections=count, **options)


# Servers with further settings, beside themselves in the same run.
VARIANTS = {"downpour-rules": "downpour", "nginx-rules": "nginx", "downpour-identity": "downpour",
            "nginx-buffer": "nginx", "downpour-plain": "downpour", "floor-one": "floor"}


def site_load(name, about, **options):
    """What a static site does beside plain files; by default beside nginx alone."""
    options = {"servers": ("downpour", "nginx")} | options
    return Workload(name, about, group="site-features", **options)


def with_rules(name, size, body_bytes):
    ruled = {"wants": rules.ADDED}
    return site_load(
        name, f"keep-alive, {CONNECTIONS} connections, {size}, with {rules.FIELDS_COUNT} globs and "
        f"{rules.REDIRECTS_COUNT} redirects", body_bytes=body_bytes, ours="downpour-rules",
        servers=("downpour", "downpour-rules", "nginx-rules"),
        differs={"downpour-rules": ruled, "nginx-rules": ruled})


def coded(suffix):
    """A page that has one sidecar."""
    return {"target": f"/coded/page-{suffix}.html", "asks": (("Accept-Encoding", ACCEPTED),),
            "stored": f"coded/page-{suffix}.html.{suffix}",
            "wants": (("content-encoding", {"gz": "gzip"}.get(suffix, suffix)),)}


# What browsers accept over TLS.
ACCEPTED = "gzip, deflate, br, zstd"
RANGE_FROM, RANGE_BYTES = 50 * MEGABYTE, 64 * KILOBYTE
RANGE_TO = RANGE_FROM + RANGE_BYTES - 1

SITE_FEATURES = [
    with_rules("hit-rules-100B", "100 B", 100),
    with_rules("hit-rules-1KB", "1 KB", KILOBYTE),
    site_load("brotli-10KB", "a sidecar of 10 KB: br from downpour, gzip from nginx",
              body_bytes=10 * KILOBYTE, **coded("br"), nginx="gzip_static", needs=("brotli",),
              differs={"nginx": coded("gz")}),
    site_load("304", "If-None-Match with the current entity tag, 1 KB", status=304,
              revalidates=True, servers=("downpour", "nginx", "floor")),
    site_load("range-64KB", "64 KB out of a file of 100 MB", status=206, body_bytes=RANGE_BYTES,
              target="/large/100MB.txt", stored="large/100MB.txt", stored_from=RANGE_FROM,
              asks=(("Range", f"bytes={RANGE_FROM}-{RANGE_TO}"),),
              wants=(("content-range", f"bytes {RANGE_FROM}-{RANGE_TO}/{100 * MEGABYTE}"),)),
    site_load("files-100k", "100,000 files of 1 to 16 KB at random, the cache 64 MiB",
              kind="scatter", flags=("--cache-size", "64M")),
    site_load("compress-100KB", "1,000 requests for 100 KB of HTML, gzip on the fly, started cold",
              kind="compress", body_bytes=100 * KILOBYTE, target="/compress/page.html",
              asks=(("Accept-Encoding", "gzip"),), nginx="gzip"),
    site_load("cold-compressible", "the first answer for each of many pages of 100 KB",
              kind="cold", body_bytes=100 * KILOBYTE, asks=(("Accept-Encoding", "br, gzip"),),
              nginx="gzip", needs=("brotli",),
              servers=("downpour", "downpour-identity", "nginx")),
]

def backend_load(name, about, **options):
    """What a backend does beside answering with files."""
    return Workload(name, about, group="backend", **options)


WRITABLE = ("--writable", "/**", "--allow-anonymous-writes", "--max-body-bytes", "2G")

BACKEND = [
    backend_load("gate-1KB", f"keep-alive, {CONNECTIONS} connections, 1 KB, with CORS, a bearer "
                 "token, a limit and an access log", kind="gate", asks=gate.ASKS, wants=gate.WANTS,
                 flags=gate.FLAGS, nginx="gate", servers=("downpour", "downpour-plain", "nginx"),
                 differs={"downpour-plain": {"kind": "load", "flags": (), "wants": ()},
                          "nginx": {"wants": ()}}),
    backend_load("put-10KB", f"durable PUTs of 10 KB, {CONNECTIONS} connections", kind="put",
                 body_bytes=10 * KILOBYTE, target="/put/", names=PUT_NAMES, flags=WRITABLE,
                 servers=("downpour", "floor", "floor-one"),
                 differs={"floor-one": {"connections": 1}}),
    backend_load("put-1GB", "one PUT of 1 GB", kind="upload", body_bytes=GIGABYTE,
                 target="/upload/1GB.bin", flags=WRITABLE, nginx="upload",
                 servers=("downpour", "nginx", "nginx-buffer"),
                 differs={"nginx-buffer": {"nginx": "upload-buffer"}}),
    backend_load("addresses-10M", "10 million addresses that a proxy names, against a limit",
                 kind="addresses", body_bytes=100, connections=ADDRESSES_CONNECTIONS,
                 pipeline=PIPELINE_DEPTH, requests=ADDRESSES, requests_quick=ADDRESSES_QUICK,
                 flags=("--limit", "10/s burst=10", "--trusted-proxies", "127.0.0.0/8",
                        "--limit-memory", f"{LIMIT_MEMORY_BYTES >> 20}M"),
                 nginx="addresses", servers=("downpour", "nginx")),
]

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
    multiplexed("h2-100B", "100 B", 100),
    multiplexed("h2-10KB", "10 KB", 10 * KILOBYTE),
    multiplexed("h2-1MB", "1 MB", MEGABYTE),
    multiplexed("h2-tls-100B", "100 B", 100, tls=True),
    multiplexed("h2-tls-10KB", "10 KB", 10 * KILOBYTE, tls=True),
    secure("tls-1KB", "1 KB", KILOBYTE),
    secure("tls-100KB", "100 KB", 100 * KILOBYTE),
    handshake("handshake-full", "a full handshake with ECDSA P-256", resume=False),
    handshake("handshake-resumed", "a resumed handshake", resume=True),
    idle("idle8000", "keep-alive connections", IDLE_CONNECTIONS),
    idle("h2-idle2000", "HTTP/2 connections", SECURE_IDLE_CONNECTIONS, protocol="h2"),
    idle("tls-idle2000", "TLS 1.3 connections of HTTP/1.1", SECURE_IDLE_CONNECTIONS, tls=True),
    Workload("start", "from exec to the first answer", kind="start"),
    *SITE_FEATURES,
    *BACKEND,
]

BY_NAME = {workload.name: workload for workload in WORKLOADS}
GROUPS = sorted({group for workload in WORKLOADS for group in workload.groups})
KEEP_ALIVE = ["100B", "1KB", "10KB", "100KB", "1MB", "10MB"]
LOADED = KEEP_ALIVE + ["pipeline16", "new-connection", "site"]


def named(word):
    """The workloads that a word of the command line means: one, or a group."""
    if word in BY_NAME:
        return [word]
    return [workload.name for workload in WORKLOADS if word in workload.groups]


def body(body_bytes):
    """The bytes that every server must answer with; perf/floor renders the same."""
    alphabet = b"abcdefghijklmnopqrstuvwxyz"
    return (alphabet * (body_bytes // len(alphabet) + 1))[:body_bytes]


def write_bodies(root):
    """Lays the files of all load workloads into `root`."""
    for workload in WORKLOADS:
        if workload.kind != "walk" and not workload.target:
            (root / workload.path.lstrip("/")).write_bytes(body(workload.body_bytes))
