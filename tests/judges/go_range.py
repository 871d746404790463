"""Judge: the table of range requests in the tests of Go's net/http.

The table is read from Go's own source, so that the cases are theirs: all 22 must pass.
"""

import email
import re

import exchange
import tree

STATUS = {
    "StatusOK": 200,
    "StatusPartialContent": 206,
    "StatusRequestedRangeNotSatisfiable": 416,
}
ROW = re.compile(r'\{r: "(?P<range>[^"]*)", code: (?P<code>\w+)'
                 r'(?:, ranges: \[\]wantRange\{(?P<ranges>(?:\{[^}]*\},? ?)*)\})?\}')
ROWS_MIN = 22


def read_table(source_text):
    """Rows of (range field, status, [(start, end)])."""
    length = int(re.search(r"testFileLen\s*=\s*(\d+)", source_text).group(1))
    table = source_text.split("var ServeFileRangeTests", 1)[1].split("\n}\n", 1)[0]

    def number(term):
        minuend, _, subtrahend = term.replace("testFileLen", str(length)).partition("-")
        return int(minuend) - int(subtrahend or 0)

    rows = []
    for match in ROW.finditer(table):
        pairs = re.findall(r"\{([^,}]+), ([^}]+)\}", match["ranges"] or "")
        rows.append((match["range"], STATUS[match["code"]],
                     [(number(start), number(end)) for start, end in pairs]))
    if len(rows) < ROWS_MIN:
        raise ValueError(f"only {len(rows)} rows found: Go's table has a new form")
    return rows


def fault_of(row, answer, full):
    """What is wrong with the answer to one row; None when nothing is."""
    _, wanted_status, ranges = row
    status, fields, body = answer
    if status != wanted_status:
        return f"status {status}, expected {wanted_status}"
    if status == 416:
        wanted = f"bytes */{len(full)}"
        return None if fields.get("content-range") == wanted else f"no Content-Range: {wanted}"
    if status == 200:
        return None if body == full else "not the whole file"
    if len(ranges) == 1:
        start, end = ranges[0]
        if fields.get("content-range") != f"bytes {start}-{end - 1}/{len(full)}":
            return f"Content-Range {fields.get('content-range')}"
        return None if body == full[start:end] else f"body {body!r}"
    head = b"Content-Type: " + fields.get("content-type", "").encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + body)
    parts = [part.get_payload(decode=True) for part in message.get_payload()] \
        if message.is_multipart() else []
    return None if parts == [full[start:end] for start, end in ranges] else f"parts {parts}"


def judge(host, port, source):
    """Returns (passed, faults, notes)."""
    def get(field):
        range_line = f"Range: {field}\r\n" if field else ""
        return exchange.split(exchange.exchange(host, port, (
            f"GET {tree.RANGE_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{range_line}"
            "Connection: close\r\n\r\n").encode()))

    _, _, full = get("")
    passed, faults = 0, []
    for row in read_table(source.read_text()):
        fault = fault_of(row, get(row[0]), full)
        if fault:
            faults.append(f"{row[0]!r}: {fault}")
        else:
            passed += 1
    return passed, faults, []
