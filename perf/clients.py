"""Our own small clients at work: one checks answers byte by byte, one idles."""

import functools
import resource
import socket
import ssl
import time
from dataclasses import replace
from urllib.parse import urlsplit

import workloads
from http1_client import Http1Client
from http2_client import Http2Client
from workloads import WrongAnswer

TIMEOUT_S = 30
SOURCE_CONNECTIONS_MAX = 4000
ALPN = {"h1": "http/1.1", "h2": "h2"}


def connect(workload, port, source="127.0.0.1"):
    """A connection as the workload's load will make them, with `get` and `close`."""
    address = ("127.0.0.1", port)
    connected = socket.create_connection(address, TIMEOUT_S, source_address=(source, 0))
    try:
        if workload.tls:
            connected = secure(connected, ALPN[workload.protocol])
        authority = f"127.0.0.1:{port}"
        if workload.protocol == "h2":
            return Http2Client(connected, authority, "https" if workload.tls else "http")
        return Http1Client(connected, authority)
    except BaseException:
        connected.close()
        raise


def secure(connected, protocol):
    """TLS over a connected socket; a server of another version or protocol is in the wrong."""
    secured = tls_context(protocol).wrap_socket(connected, server_hostname="localhost")
    spoken = secured.version(), secured.selected_alpn_protocol()
    if spoken != ("TLSv1.3", protocol):
        secured.close()
        raise WrongAnswer(f"TLSv1.3 and {protocol} were offered, the server took {spoken}")
    return secured


@functools.cache
def tls_context(protocol):
    """Making one costs more than a handshake. The certificate is our own; perf/handshakes is who
    verifies it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def with_validator(workload, port):
    """The workload whose requests name the entity tag that this server gives, if it is to."""
    if not workload.revalidates:
        return workload
    client = connect(workload, port)
    try:
        _, fields, _, _ = client.get(workload.path)
    finally:
        client.close()
    if not fields.get("etag"):
        raise WrongAnswer(f"{workload.path}: there is no entity tag to ask with")
    return replace(workload, asks=(*workload.asks, ("If-None-Match", fields["etag"])))


def expected_body(workload, root=None):
    """What the body must be; `root` is needed where a file says it."""
    if workload.status == 304:
        return b""
    if workload.stored:
        with (root / workload.stored).open("rb") as file:
            file.seek(workload.stored_from)
            return file.read(workload.body_bytes if workload.status == 206 else -1)
    return workloads.body(workload.body_bytes)


def check_answer(workload, port, root=None):
    """Asks once; returns the size of the whole answer, which every later one must have."""
    expected = expected_body(workload, root)
    client = connect(workload, port)
    try:
        status, fields, body, answer_bytes = client.get(workload.path, workload.headers)
    finally:
        client.close()
    if status != workload.status:
        raise WrongAnswer(f"{workload.path}: status {status}, expected {workload.status}")
    if body != expected:
        raise WrongAnswer(f"{workload.path}: {len(body)} body bytes differ from the "
                          f"{len(expected)} that were expected")
    for name, value in workload.wants:
        if fields.get(name) != value:
            raise WrongAnswer(f"{workload.path}: {name} is {fields.get(name)}, not {value}")
    return answer_bytes


def check_redirects(workload, port, redirects):
    """Each path with the status and the path that it must lead to."""
    client = connect(workload, port)
    for path, (wanted_status, wanted_path) in redirects.items():
        status, fields, _, _ = client.get(path)
        found = urlsplit(fields.get("location", "")).path
        if (status, found) != (wanted_status, wanted_path):
            raise WrongAnswer(f"{path}: {status} to {found}, expected {wanted_status} to "
                              f"{wanted_path}")
    client.close()


def warm_up(workload, port, count=200):
    """Some requests before the clock starts: caches are filled, lazy set-up is done."""
    client = connect(workload, port)
    for _ in range(count):
        client.get(workload.path, workload.headers)
    client.close()


def walk_site(workload, port, root, paths):
    """Visits every path over one connection and compares every byte with the disk, so that all of
    it is in the page cache then. Returns the length of the last answer's head."""
    client = connect(workload, port)
    for path in paths:
        status, _, body, answer_bytes = client.get(path)
        expected = (root / path.lstrip("/")).read_bytes()
        if status != 200 or body != expected:
            raise WrongAnswer(f"{path}: status {status}, {len(body)} bytes differ from the disk")
    client.close()
    return answer_bytes - len(body)


def open_idle(workload, port):
    """Opens the connections, asks once on each and leaves them open. They come from several
    loopback addresses, so that ports do not run short."""
    clients = []
    for index in range(workload.connections):
        client = connect(workload, port, f"127.0.0.{2 + index // SOURCE_CONNECTIONS_MAX}")
        status, _, _, _ = client.get(workload.path)
        if status != 200:
            raise WrongAnswer(f"idle connection {index}: status {status}")
        clients.append(client)
    return clients


def time_to_first_answer(workload, running, started_at, within_s=10):
    """Seconds from `started_at` until the server has answered rightly."""
    deadline = started_at + within_s
    while True:
        try:
            check_answer(workload, running.port)
            return time.perf_counter() - started_at
        except ConnectionRefusedError:
            if time.perf_counter() > deadline or running.process.poll() is not None:
                raise
            time.sleep(0.0002)


def raise_descriptor_limit(wanted):
    """Root may raise the hard limit too; others get what they have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
