"""Our own small clients at work: one checks answers byte by byte, one idles."""

import functools
import resource
import socket
import ssl
import time

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


def check_answer(workload, port):
    """Asks once; returns the size of the whole answer, which every later one must have."""
    expected = workloads.body(workload.body_bytes)
    client = connect(workload, port)
    try:
        status, _, body, answer_bytes = client.get(workload.path, workload.headers)
    finally:
        client.close()
    if status != 200:
        raise WrongAnswer(f"{workload.path}: status {status}, expected 200")
    if body != expected:
        raise WrongAnswer(f"{workload.path}: {len(body)} body bytes differ from the "
                          f"{len(expected)} that were expected")
    return answer_bytes


def warm_up(workload, port, count=200):
    """Some requests before the clock starts: caches are filled, lazy set-up is done."""
    client = connect(workload, port)
    for _ in range(count):
        client.get(workload.path)
    client.close()


def walk_site(workload, port, root, paths):
    """Visits every path over one connection and compares every byte with the disk."""
    client = connect(workload, port)
    for path in paths:
        status, _, body, _ = client.get(path)
        expected = (root / path.lstrip("/")).read_bytes()
        if status != 200 or body != expected:
            raise WrongAnswer(f"{path}: status {status}, {len(body)} bytes differ from the disk")
    client.close()


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
