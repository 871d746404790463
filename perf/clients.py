"""Our own small clients: one that checks answers byte by byte, and one that idles."""

import resource
import socket
import time

TIMEOUT_S = 30
SOURCE_CONNECTIONS_MAX = 4000


class WrongAnswer(Exception):
    """A server that did not answer what the workload expects."""


class Client:
    """One keep-alive connection."""

    def __init__(self, port, source="127.0.0.1"):
        address = ("127.0.0.1", port)
        self.socket = socket.create_connection(address, TIMEOUT_S, source_address=(source, 0))
        self.host = f"127.0.0.1:{port}"
        self.rest = b""

    def close(self):
        self.socket.close()

    def get(self, path, headers=None):
        """Status, fields (lower case), body and the bytes of the whole answer."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        head = self.read_head()
        status_line, *field_lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in field_lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if "content-length" not in fields:
            raise WrongAnswer(f"{path}: no Content-Length in {head!r}")
        body = self.read_exactly(int(fields["content-length"]))
        return int(status_line.split()[1]), fields, body, len(head) + 4 + len(body)

    def read_head(self):
        while b"\r\n\r\n" not in self.rest:
            self.receive()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head

    def read_exactly(self, count):
        parts, missing = [self.rest[:count]], count - len(self.rest)
        self.rest = self.rest[count:]
        while missing > 0:
            received = self.socket.recv(min(missing, 1 << 20))
            if not received:
                raise WrongAnswer(f"the body ended {missing} bytes early")
            parts.append(received)
            missing -= len(received)
        return b"".join(parts)

    def receive(self):
        received = self.socket.recv(65536)
        if not received:
            raise WrongAnswer("the connection was closed before an answer")
        self.rest += received


def check_answer(port, path, expected, headers=None):
    """Asks once; returns the size of the whole answer, which every later one must have."""
    client = Client(port)
    try:
        status, _, body, answer_bytes = client.get(path, headers)
    finally:
        client.close()
    if status != 200:
        raise WrongAnswer(f"{path}: status {status}, expected 200")
    if body != expected:
        raise WrongAnswer(f"{path}: {len(body)} body bytes differ from the {len(expected)} "
                          "that were expected")
    return answer_bytes


def warm_up(port, path, count=200):
    """Some requests before the clock starts: caches are filled, lazy set-up is done."""
    client = Client(port)
    for _ in range(count):
        client.get(path)
    client.close()


def walk_site(port, root, paths):
    """Visits every path over one connection and compares every byte with the disk."""
    client = Client(port)
    for path in paths:
        status, _, body, _ = client.get(path)
        expected = (root / path.lstrip("/")).read_bytes()
        if status != 200 or body != expected:
            raise WrongAnswer(f"{path}: status {status}, {len(body)} bytes differ from the disk")
    client.close()


def open_idle(port, path, count):
    """Opens `count` connections, asks once on each and leaves them open. They come from several
    loopback addresses, so that ports do not run short."""
    clients = []
    for index in range(count):
        client = Client(port, f"127.0.0.{2 + index // SOURCE_CONNECTIONS_MAX}")
        status, _, _, _ = client.get(path)
        if status != 200:
            raise WrongAnswer(f"idle connection {index}: status {status}")
        clients.append(client)
    return clients


def time_to_first_answer(running, path, expected, started_at, within_s=10):
    """Seconds from `started_at` until the server has answered rightly."""
    deadline = started_at + within_s
    while True:
        try:
            check_answer(running.port, path, expected)
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
