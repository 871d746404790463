"""One keep-alive connection of HTTP/1.1 that asks for one thing at a time."""

from workloads import WrongAnswer


class Http1Client:
    """Knows of its socket only how to read and write; TLS, if any, is the caller's."""

    def __init__(self, connected, authority):
        self.socket = connected
        self.host = authority
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
