"""Every kind of resource that a static site has: how it is asked for, and what must come.

What a kind needs of the server beside the tree is in `FLAGS`, which `run` starts ours with.
"""

import re
import time
from dataclasses import dataclass

import exchange

FLAGS = [
    "--language", "en", "--language", "de",
    "--media-variants",
    "--list",
    "--clean-urls", "redirect",
    "--cache-control", "auto",
    "--error-page", "404=/404.html",
    "--maintenance=/closed/*",
    *[word for status in (301, 302, 307, 308)
      for word in ("--redirect", f"/moved-{status} /style.css {status}")],
]

# What is made in the background must come within so long.
SETTLES_WITHIN_S = 10
LARGE = "/64k.bin"
LARGE_BYTES = 65536

# Notes by which REDbot confirms that something works.
VALIDATED = frozenset(["INM_304", "IMS_304"])
WHOLE = VALIDATED | {"RANGE_CORRECT"}
NEGOTIATED = VALIDATED | {"CONNEG_GZIP_GOOD"}


@dataclass(frozen=True)
class Kind:
    """One question and the answer that must come."""

    name: str
    path: str
    status: int = 200
    asks: tuple = ()  # fields; {etag} stands for the entity tag of a plain answer to the rest
    wants: tuple = ()  # fields and regular expressions that match their whole values
    absent: tuple = ()  # fields that must not come
    method: str = "GET"
    settles: bool = False  # the right answer may take a moment
    confirmed: frozenset | None = None  # notes that REDbot must have; None: it does not look

    def request(self, host, port, etag=""):
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}:{port}",
                 "User-Agent: judge/1", "Connection: close",
                 *[f"{name}: {value.format(etag=etag)}" for name, value in self.asks]]
        return "\r\n".join([*lines, "", ""]).encode()

    @property
    def needs_tag(self):
        return any("{etag}" in value for _, value in self.asks)


def asked(name, path, *asks, **options):
    return Kind(name, path, asks=asks, **options)


def accepted(coding):
    return "Accept-Encoding", coding


def vary(name):
    """A value of Vary that names the field, with whatever else."""
    return "vary", rf"(?i)(.*,\s*)?{name}(\s*,.*)?"


def coded(coding):
    return "content-encoding", coding


def typed(media_type):
    return "content-type", re.escape(media_type) + "(;.*)?"


def moved(status, source, target):
    return Kind(f"redirect {status} of {source}", source, status=status, confirmed=frozenset(),
                wants=(("location", rf"(http://[^/]+)?{re.escape(target)}"),))


NONE = frozenset()
KINDS = [
    Kind("plain", "/style.css", confirmed=WHOLE, wants=(typed("text/css"),)),
    Kind("page", "/", confirmed=VALIDATED, wants=(typed("text/html"),)),
    Kind("large", LARGE, confirmed=WHOLE),
    Kind("immutable asset", "/assets/app.8f3a2b1c.js", confirmed=VALIDATED,
         wants=(("cache-control", r"(.*,)?\s*immutable\s*(,.*)?"),)),
    Kind("decorated by _headers", "/decorated.txt", confirmed=VALIDATED,
         wants=(("x-decorated", "yes"),)),
    Kind("rule file", "/_headers", status=404, confirmed=NONE),
    # Codings.
    Kind("with sidecars", "/coded", confirmed=NEGOTIATED, wants=(vary("accept-encoding"),),
         absent=("content-encoding",)),
    asked("br sidecar", "/coded", accepted("br"), wants=(coded("br"), vary("accept-encoding"))),
    asked("gzip sidecar", "/coded", accepted("gzip"),
          wants=(coded("gzip"), vary("accept-encoding"))),
    asked("sidecar refused", "/coded", accepted("br;q=0, gzip;q=0"), absent=("content-encoding",)),
    asked("range of a sidecar", "/coded", accepted("br"), ("Range", "bytes=0-9"), status=206,
          wants=(coded("br"), ("content-range", r"bytes 0-9/\d+"))),
    asked("304 of a sidecar", "/coded", accepted("br"), ("If-None-Match", "{etag}"), status=304,
          wants=(vary("accept-encoding"), ("etag", ".+"))),
    asked("compressed on the fly", "/fly", accepted("gzip"), settles=True,
          wants=(coded("gzip"), vary("accept-encoding"))),
    asked("compressed on the fly, br", "/fly", accepted("br"), settles=True,
          wants=(coded("br"), vary("accept-encoding"))),
    Kind("compressible", "/fly", confirmed=NEGOTIATED, wants=(vary("accept-encoding"),)),
    # Languages and media types.
    asked("German", "/hello", ("Accept-Language", "de-AT, en;q=0.5"), confirmed=VALIDATED,
          wants=(("content-language", "de"), vary("accept-language"))),
    asked("English", "/hello", ("Accept-Language", "en"), confirmed=VALIDATED,
          wants=(vary("accept-language"),)),
    asked("a language that is not there", "/hello", ("Accept-Language", "fr"),
          wants=(vary("accept-language"),)),
    asked("AVIF", "/picture.jpg", ("Accept", "image/avif,image/webp,*/*;q=0.8"),
          confirmed=VALIDATED, wants=(typed("image/avif"), vary("accept"))),
    asked("WebP", "/picture.jpg", ("Accept", "image/webp,*/*;q=0.8"), confirmed=VALIDATED,
          wants=(typed("image/webp"), vary("accept"))),
    asked("JPEG", "/picture.jpg", ("Accept", "image/jpeg"),
          wants=(typed("image/jpeg"), vary("accept"))),
    # Ways to another place.
    *[moved(status, f"/moved-{status}", "/style.css") for status in (301, 302, 307, 308)],
    moved(301, "/from-file", "/style.css"),
    moved(308, "/about.html", "/about"),
    Kind("clean URL", "/about", confirmed=VALIDATED, wants=(typed("text/html"),)),
    # Ranges and conditions.
    asked("range", LARGE, ("Range", "bytes=10-19"), status=206,
          wants=(("content-range", f"bytes 10-19/{LARGE_BYTES}"), ("content-length", "10"))),
    asked("several ranges", LARGE, ("Range", "bytes=0-9,100-109"), status=206,
          wants=(("content-type", "multipart/byteranges; ?boundary=.+"),),
          absent=("content-range",)),
    asked("range out of bounds", LARGE, ("Range", "bytes=99999999-"), status=416,
          wants=(("content-range", rf"bytes \*/{LARGE_BYTES}"),)),
    asked("If-Range with the tag", LARGE, ("Range", "bytes=0-9"), ("If-Range", "{etag}"),
          status=206),
    asked("If-Range with another", LARGE, ("Range", "bytes=0-9"), ("If-Range", '"other"')),
    asked("304", LARGE, ("If-None-Match", "{etag}"), status=304, wants=(("etag", ".+"),)),
    asked("412", LARGE, ("If-Match", '"other"'), status=412),
    # What is no file.
    Kind("listing", "/list/", confirmed=NONE, wants=(typed("text/html"),)),
    asked("listing as JSON", "/list/", ("Accept", "application/json"),
          wants=(typed("application/json"), vary("accept"))),
    Kind("listing as JSON by its address", "/list/?format=json", confirmed=NONE,
         wants=(typed("application/json"),)),
    Kind("directory without its slash", "/list", status=301, wants=(("location", ".*/list/"),)),
    Kind("own 404 page", "/nowhere", status=404, confirmed=NONE, wants=(typed("text/html"),)),
    Kind("maintenance", "/closed/page.txt", status=503, confirmed=NONE,
         wants=(("retry-after", ".+"),)),
    Kind("wrong method", "/style.css", status=405, method="DELETE",
         wants=(("allow", ".*GET.*"),)),
    Kind("OPTIONS", "/style.css", status=204, method="OPTIONS", wants=(("allow", ".*GET.*"),)),
    Kind("HEAD of a sidecar", "/coded", method="HEAD", asks=(accepted("br"),),
         wants=(coded("br"), vary("accept-encoding"))),
]
# Where two statuses are right.
ALSO_RIGHT = {"OPTIONS": 200, "directory without its slash": 308}


def fault_of(kind, status, fields):
    """What is wrong with an answer; None when nothing is."""
    if status != kind.status and status != ALSO_RIGHT.get(kind.name):
        return f"status {status}, expected {kind.status}"
    for name, pattern in kind.wants:
        if re.fullmatch(pattern, fields.get(name, "")) is None:
            return f"{name} is {fields.get(name)}, expected {pattern}"
    return next((f"{name} should not come" for name in kind.absent if name in fields), None)


def ask(kind, host, port):
    """The request, the whole answer and its fault; one that settles is given time."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    etag = ""
    if kind.needs_tag:
        plain = Kind(kind.name, kind.path, asks=tuple(
            pair for pair in kind.asks if pair[0] not in ("If-None-Match", "If-Range", "Range")))
        _, fields, _ = exchange.split(exchange.exchange(host, port, plain.request(host, port)))
        etag = fields.get("etag", '"none"')
    request = kind.request(host, port, etag)
    while True:
        answer = exchange.exchange(host, port, request)
        status, fields, _ = exchange.split(answer)
        fault = fault_of(kind, status, fields)
        if fault is None or not kind.settles or time.monotonic() > deadline:
            return request, answer, fault
        time.sleep(0.1)
