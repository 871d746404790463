"""Judge: HTTPolice, a lint for HTTP, over a fixed list of 23 exchanges and over every kind
of resource.

Only what it says of our answers counts, and of that only errors.
"""

import re

import exchange
import kinds
import tools
import tree


def requests(host, port, validators):
    """The exchanges by name. `validators` are the fields of a plain answer."""
    common = f"Host: {host}:{port}\r\nUser-Agent: judge/1\r\nConnection: close\r\n"
    etag = validators.get("etag", '"none"')
    date = validators.get("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")

    def request(method, *fields, path=tree.STYLE_PATH):
        lines = "".join(f"{field}\r\n" for field in fields)
        return f"{method} {path} HTTP/1.1\r\n{common}{lines}\r\n".encode()

    preflight = ["Origin: http://example.com", "Access-Control-Request-Method: PUT"]
    return {
        "get": request("GET"),
        "head": request("HEAD"),
        "gzip accepted": request("GET", "Accept-Encoding: gzip"),
        "br accepted": request("GET", "Accept-Encoding: br"),
        "range": request("GET", "Range: bytes=0-3"),
        "two ranges": request("GET", "Range: bytes=0-1,3-4"),
        "range out of bounds": request("GET", "Range: bytes=99999999-"),
        "if-none-match": request("GET", f"If-None-Match: {etag}"),
        "if-modified-since": request("GET", f"If-Modified-Since: {date}"),
        "if-match": request("GET", 'If-Match: "nope"'),
        "if-range": request("GET", "Range: bytes=0-3", f"If-Range: {etag}"),
        "not found": request("GET", path="/nope"),
        "delete": request("DELETE"),
        "options": request("OPTIONS"),
        "options *": request("OPTIONS", path="*"),
        "post": request("POST", "Content-Length: 0"),
        "unknown method": request("FOO"),
        "trace": request("TRACE"),
        "cross-origin": request("GET", "Origin: http://example.com"),
        "preflight": request("OPTIONS", *preflight),
        "unknown expectation": request("GET", "Expect: foo"),
        "no host": f"GET {tree.STYLE_PATH} HTTP/1.1\r\nConnection: close\r\n\r\n".encode(),
        "directory": request("GET", path=tree.REDIRECTED_PATH),
    }


def errors_of(binary, scratch, request, answer):
    """The lines of errors that HTTPolice has for the answer."""
    combined = scratch / "exchange.dat"
    combined.write_bytes(b"one exchange\r\n======== BEGIN INBOUND STREAM ========\r\n" + request
                         + b"======== BEGIN OUTBOUND STREAM ========\r\n" + answer)
    status, output, failure = tools.call(binary, "-i", "combined", combined, timeout_s=60)
    if status != 0 or failure:
        return [f"HTTPolice failed: {output}{failure}"]
    # A side of which there is nothing to say is not printed at all.
    _, _, of_answer = output.partition("------------ response")
    return [line.strip() for line in of_answer.splitlines() if re.match(r"\s*E \d+ ", line)]


def check_judge(binary, scratch):
    """Silence means assent, so it must be known to speak up: a 405 needs an Allow field."""
    request = b"DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    faulty = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
    if not any("1089" in line for line in errors_of(binary, scratch, request, faulty)):
        raise tools.JudgeFailed("HTTPolice does not find a fault that is there")


def judge(host, port, binary, scratch):
    """Returns (passed, faults, notes)."""
    check_judge(binary, scratch)
    plain = f"GET {tree.STYLE_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    _, validators, _ = exchange.split(exchange.exchange(host, port, plain.encode()))
    exchanges = [(name, request, exchange.exchange(host, port, request), None)
                 for name, request in requests(host, port, validators).items()]
    exchanges += [(kind.name, *kinds.ask(kind, host, port)) for kind in kinds.KINDS]
    passed, faults = 0, []
    for name, request, answer, wrong in exchanges:
        errors = errors_of(binary, scratch, request, answer) + ([wrong] if wrong else [])
        if answer.startswith(b"HTTP/1.1 206 "):
            # A part of a coded representation (RFC 9110 §14.2) cannot be decoded by itself.
            errors = [error for error in errors if not error.startswith("E 1037 ")]
        if errors:
            faults.append(f"{name}: {'; '.join(errors)}")
        else:
            passed += 1
    return passed, faults, []
