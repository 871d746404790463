"""One keep-alive connection of HTTP/1.1 that asks for one thing at a time."""

import time

from workloads import WrongAnswer


class Http1Client:
    """Knows of its socket only how to read and write; TLS, if any, is the caller's."""

    def __init__(self, connected, authority):
        self.socket = connected
        self.host = authority
        self.rest = b""
        self.first_byte_at = None  # of the answer to what was asked last

    def close(self):
        self.socket.close()

    def get(self, path, headers=None):
        """Status, fields (lower case), body and the bytes of the whole answer."""
        self.ask(path, headers)
        return self.read_answer(path)

    def ask(self, path, headers=None):
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.first_byte_at = None
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def put(self, path, file, count):
        """Sends `count` octets of an open file as the content; what `get` returns. A server that
        refuses may answer, and close, before it has all of it."""
        head = [f"PUT {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {count}"]
        self.first_byte_at = None
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())
        try:
            self.socket.sendfile(file, 0, count)
        except ConnectionError:
            pass  # Without an answer the next line says so.
        return self.read_answer(path)

    def read_answer(self, path):
        """The answer to the oldest question that has none; its head tells how the body ends, as
        RFC 9112 §6.3 has it."""
        head = self.read_head()
        status_line, *field_lines = head.decode("latin-1").split("\r\n")
        status, fields = int(status_line.split()[1]), {}
        for line in field_lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if status in (204, 304):
            body, body_bytes = b"", 0
        elif fields.get("transfer-encoding") == "chunked":
            body, body_bytes = self.read_chunks()
        elif "content-length" in fields:
            body = self.read_exactly(int(fields["content-length"]))
            body_bytes = len(body)
        else:
            raise WrongAnswer(f"{path}: no Content-Length in {head!r}")
        return status, fields, body, len(head) + 4 + body_bytes

    def read_chunks(self):
        """The content and how many octets carried it, RFC 9112 §7.1."""
        parts, octets = [], 0
        while True:
            line = self.read_line()
            count = int(line.partition(b";")[0], 16)
            octets += len(line) + 2
            if count == 0:
                break
            parts.append(self.read_exactly(count))
            octets += count + 2
            if self.read_exactly(2) != b"\r\n":
                raise WrongAnswer("a chunk does not end where it should")
        while line := self.read_line():  # Trailer fields.
            octets += len(line) + 2
        return b"".join(parts), octets + 2

    def read_line(self):
        while b"\r\n" not in self.rest:
            self.receive()
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line

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
        if self.first_byte_at is None:
            self.first_byte_at = time.perf_counter()
        self.rest += received
