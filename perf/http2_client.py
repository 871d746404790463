"""One HTTP/2 connection that asks for one thing at a time: enough to check answers and to idle.

It offers no dynamic table (RFC 7541 §4.2), so that the header block of each answer can be read
without memory, and windows wide enough for every body (RFC 9113 §6.9).
"""

import struct

from workloads import WrongAnswer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
WINDOW_MAX = 2**31 - 1
DEFAULT_WINDOW = 65_535

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = \
    0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
SETTINGS_HEADER_TABLE_SIZE, SETTINGS_ENABLE_PUSH, SETTINGS_INITIAL_WINDOW_SIZE = 1, 2, 4

# Fields of the static table (RFC 7541 appendix A) as whole octets: indexed, and name indexed.
METHOD_GET, SCHEME_HTTP, SCHEME_HTTPS = b"\x82", b"\x86", b"\x87"
AUTHORITY_LITERAL, PATH_LITERAL = b"\x01", b"\x04"
STATUS_OF_INDEX = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(text):
    """A string literal without Huffman coding, short enough for a length of one octet."""
    octets = text.encode()
    if len(octets) >= 127:
        raise ValueError(f"{text} is too long for this client")
    return bytes([len(octets)]) + octets


def status_of(block):
    """The status that a header block begins with; 0 for one that the static table does not hold."""
    while block and block[0] & 0xE0 == 0x20:  # A dynamic table size update, RFC 7541 §6.3.
        size_octets = 1
        if block[0] & 0x1F == 0x1F:
            while block[size_octets] & 0x80:
                size_octets += 1
            size_octets += 1
        block = block[size_octets:]
    return STATUS_OF_INDEX.get(block[0], 0) if block else 0


def without_padding(flags, payload):
    """The fragment or data of a frame, RFC 9113 §6.1 and §6.2."""
    end = len(payload)
    if flags & PADDED:
        end -= payload[0]
        payload, end = payload[1:], end - 1
    payload = payload[:end]
    return payload[5:] if flags & PRIORITY else payload


class Http2Client:
    """Knows of its socket only how to read and write; TLS, if any, is the caller's."""

    def __init__(self, connected, authority, scheme):
        self.socket = connected
        self.authority = authority
        self.scheme = SCHEME_HTTPS if scheme == "https" else SCHEME_HTTP
        self.rest = b""
        self.next_stream = 1
        wanted = [(SETTINGS_HEADER_TABLE_SIZE, 0), (SETTINGS_ENABLE_PUSH, 0),
                  (SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_MAX)]
        settings = b"".join(struct.pack(">HI", name, value) for name, value in wanted)
        wider = struct.pack(">I", WINDOW_MAX - DEFAULT_WINDOW)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings)
                            + frame(WINDOW_UPDATE, 0, 0, wider))

    def close(self):
        self.socket.close()

    def get(self, path, _headers=None):
        """Status, the header block, the body and the bytes of the whole answer."""
        stream = self.next_stream
        self.next_stream += 2
        block = (METHOD_GET + self.scheme + PATH_LITERAL + literal(path)
                 + AUTHORITY_LITERAL + literal(self.authority))
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        answer_block, parts, answer_bytes, ended = b"", [], 0, False
        while not ended:
            kind, flags, of_stream, payload = self.read_frame()
            if of_stream != stream:
                self.on_other_frame(kind, flags, payload)
                continue
            answer_bytes += FRAME_HEADER_BYTES + len(payload)
            if kind in (HEADERS, CONTINUATION):
                answer_block += without_padding(flags, payload)
            elif kind == DATA:
                parts.append(without_padding(flags & PADDED, payload))
            elif kind == RST_STREAM:
                raise WrongAnswer(f"{path}: the stream was reset, {payload.hex()}")
            ended = kind in (HEADERS, DATA) and bool(flags & END_STREAM)
        return status_of(answer_block), answer_block, b"".join(parts), answer_bytes

    def on_other_frame(self, kind, flags, payload):
        """What stands between the frames of an answer."""
        if kind == SETTINGS and not flags & ACK:
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise WrongAnswer(f"the server says goodbye: {payload.hex()}")

    def read_frame(self):
        head = self.read_exactly(FRAME_HEADER_BYTES)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream & WINDOW_MAX, self.read_exactly(length)

    def read_exactly(self, count):
        while len(self.rest) < count:
            received = self.socket.recv(65536)
            if not received:
                raise WrongAnswer("the connection was closed within a frame")
            self.rest += received
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken
