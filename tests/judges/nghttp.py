"""Judge: nghttp and h2load, the clients of nghttp2, in clear text and over TLS."""

import re

import tools
import tree

TIMEOUT_S = 60
REQUESTS, CONNECTIONS, STREAMS = 2000, 10, 20
MULTIPLY = 20
# Ways to ask for a small file, and the statuses that are right.
VARIANTS = {
    "a window of 15 octets": (["--window-bits=4"], {"200"}),
    "padding": (["--padding=200"], {"200"}),
    "CONTINUATION": (["--continuation"], {"200", "431"}),
    "no dynamic table": (["--header-table-size=0", "--encoder-header-table-size=0"], {"200"}),
    "no priorities of RFC 7540": (["--no-rfc7540-pri"], {"200"}),
    "a cookie of its own": (["--header=cookie: a=b"], {"200"}),
    "many times": ([f"--multiply={MULTIPLY}"], {"200"}),
}
STATUS = re.compile(r":status: (\d+)")
COUNTS = re.compile(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed")


def files(nghttp, base, scratch):
    """A fault, or None, for each file."""
    for path, expected in tree.FILES.items():
        kept = scratch / "nghttp.body"
        with kept.open("wb") as output:
            _, _, errors = tools.call(nghttp, "--no-verify-peer", base + path, stdout=output,
                                      timeout_s=TIMEOUT_S)
        got = kept.read_bytes()
        yield None if got == expected else f"{path}: {len(got)} bytes, {errors.strip()}"


def variants(nghttp, base):
    for name, (options, right) in VARIANTS.items():
        _, output, errors = tools.call(nghttp, "--no-verify-peer", "--null-out", "--verbose",
                                       *options, base + tree.STYLE_PATH, timeout_s=TIMEOUT_S)
        statuses = STATUS.findall(output)
        count = MULTIPLY if name == "many times" else 1
        is_right = len(statuses) == count and set(statuses) <= right
        yield None if is_right else f"{name}: statuses {statuses}, {errors.strip()}"


def load(h2load, base):
    _, output, errors = tools.call(h2load, f"-n{REQUESTS}", f"-c{CONNECTIONS}", f"-m{STREAMS}",
                                   base + tree.STYLE_PATH, timeout_s=TIMEOUT_S)
    counts = COUNTS.search(output)
    is_right = counts and counts.groups() == (str(REQUESTS), "0") and f"{REQUESTS} 2xx" in output
    yield None if is_right else f"h2load: {counts and counts[0]} {errors.strip()}"


def judge(place, nghttp, h2load, scratch):
    """Returns (passed, faults, notes)."""
    passed, faults = 0, []
    for way, base in (("clear text", place.clear_url), ("TLS", place.tls_url)):
        for fault in [*files(nghttp, base, scratch), *variants(nghttp, base), *load(h2load, base)]:
            passed += fault is None
            if fault is not None:
                faults.append(f"{way}: {fault}")
    return passed, faults, []
