"""One request and its whole answer as raw bytes, over a connection of its own."""

import socket

TIMEOUT_S = 5


def exchange(host, port, request):
    """Sends `request`, which must ask to close, and returns every byte until the peer closes."""
    answer = b""
    with socket.create_connection((host, port), TIMEOUT_S) as connection:
        connection.sendall(request)
        while received := connection.recv(65536):
            answer += received
    return answer


def split(answer):
    """Status, fields (names in lower case) and body of an answer that the close delimits."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return int(status_line.split()[1]), fields, body
