"""Judge: curl over HTTP/1.1 and HTTP/2, in clear text and over TLS."""

import json

import tools
import tree

TIMEOUT_S = 30
# What curl is told, and the version that it must then have spoken.
WAYS = {
    "HTTP/1.1": (["--http1.1"], False, "1.1"),
    "HTTP/2 by prior knowledge": (["--http2-prior-knowledge"], False, "2"),
    "HTTP/2, where Upgrade is ignored": (["--http2"], False, "1.1"),
    "HTTP/1.1 over TLS": (["--http1.1"], True, "1.1"),
    "HTTP/1.1 over TLS 1.2": (["--http1.1", "--tls-max", "1.2"], True, "1.1"),
    "HTTP/2 over TLS": (["--http2"], True, "2"),
    "HTTP/2 over TLS 1.2": (["--http2", "--tls-max", "1.2"], True, "2"),
}
PARALLEL = 50


class Curl:
    """One way of asking, into files of a scratch directory."""

    def __init__(self, binary, base, options, scratch):
        self.command = [binary, "--silent", "--show-error", "--insecure", "--max-time", "20",
                        *options]
        self.base = base
        self.scratch = scratch

    def ask(self, path, *options):
        """curl's own account of one exchange, with the body under `body`."""
        kept = self.scratch / "curl.body"
        kept.write_bytes(b"")
        status, output, errors = tools.call(
            *self.command, *options, "--output", kept, "--write-out", "%{json}",
            self.base + path, timeout_s=TIMEOUT_S)
        account = json.loads(output) if output.startswith("{") else {}
        return account | {"exit": status, "errors": errors.strip(), "body": kept.read_bytes()}

    def ask_at_once(self, path, count):
        """How many of `count` requests, asked at once, brought the body's length."""
        urls = [f"{self.base}{path}?{index}" for index in range(count)]
        outputs = [word for _ in urls for word in ("--output", "/dev/null")]
        _, output, _ = tools.call(
            *self.command, "--parallel", "--parallel-max", str(count), *outputs,
            "--write-out", "%{http_code} %{size_download}\n", *urls, timeout_s=TIMEOUT_S)
        return output.split("\n")


def cases(curl, version):
    """Names of cases with whether curl got what it must, and what it got."""
    for path, expected in tree.FILES.items():
        got = curl.ask(path)
        yield (f"GET {path}", got, got.get("http_code") == 200 and got["body"] == expected
               and got.get("http_version") == version)
    style = tree.FILES[tree.STYLE_PATH]
    got = curl.ask(tree.STYLE_PATH, "--head")
    yield "HEAD", got, got.get("http_code") == 200 and got.get("size_download") == 0
    got = curl.ask(tree.STYLE_PATH, "--range", "10-19")
    yield "a range", got, got.get("http_code") == 206 and got["body"] == style[10:20]
    tag = curl.scratch / "curl.etag"
    curl.ask(tree.STYLE_PATH, "--etag-save", tag)
    got = curl.ask(tree.STYLE_PATH, "--etag-compare", tag)
    yield "304", got, got.get("http_code") == 304 and got["body"] == b""
    got = curl.ask("/nowhere")
    yield "404", got, got.get("http_code") == 404
    got = curl.ask("/", "--data-binary", "@" + str(curl.scratch / "curl.upload"))
    yield "content that is not wanted", got, got.get("http_code") == 405
    # curl 7.88 breaks its own connections here over prior knowledge, whatever the server.
    if "--http2-prior-knowledge" not in curl.command:
        got = curl.ask_at_once(tree.STYLE_PATH, PARALLEL)
        yield (f"{PARALLEL} at once", {"errors": str(set(got))},
               got.count(f"200 {len(style)}") == PARALLEL)


def judge(place, binary, scratch):
    """Returns (passed, faults, notes)."""
    (scratch / "curl.upload").write_bytes(b"x" * 300_000)
    passed, faults = 0, []
    for way, (options, over_tls, version) in WAYS.items():
        base = place.tls_url if over_tls else place.clear_url
        for name, got, is_right in cases(Curl(binary, base, options, scratch), version):
            passed += is_right
            if not is_right:
                faults.append(f"{way}: {name}: status {got.get('http_code')}, HTTP/"
                              f"{got.get('http_version')}, {got.get('size_download')} bytes, "
                              f"{got['errors']}")
    got = Curl(binary, "http://{}:{}".format(*place.tls), ["--http1.1"], scratch).ask("/")
    if got.get("http_code") == 400 and got["body"]:
        passed += 1
    else:
        faults.append(f"plain HTTP to the TLS port: status {got.get('http_code')}, no readable "
                      f"400, {got['errors']}")
    return passed, faults, []
