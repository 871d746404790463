"""Judge: CORS in headless Chromium, over HTTP/1.1 and HTTP/2: what pages of other origins get to
see, and which requests they reach the server with, by its access log."""

import json
from pathlib import Path

import exchange
import s_client
import tools
from place import HOST, make_certificate

VISIT = Path(__file__).with_name("cors.mjs")
CASES = VISIT.with_name("cors_cases.mjs")
CASE_COUNT = 44
TIMEOUT_S = 180
PROTOCOLS = {"h1": "HTTP/1.1", "h2": "HTTP/2.0"}
USERS = ("ada", "bob")

PAGE = "https://page.judge.test"
NAMED = f"{PAGE} https://*.apps.judge.test"
FLAGS = [
    "--cors", "/open/** *; expose=*",
    "--cors", f"/named/** {NAMED}; methods=GET,PUT; headers=Content-Type,X-Custom,Authorization,"
              "If-Match; expose=X-Shown,Location,Retry-After,WWW-Authenticate; credentials; "
              "max-age=10m; private-network",
    "--cors", f"/plain/** {PAGE}; methods=GET,PUT; max-age=0",
    "--header", "X-Shown: yes",
    "--header", "X-Hidden: yes",
    "--header", "/named/cookie.json Set-Cookie: session=1; Path=/; Secure; HttpOnly",
    "--cache-control", "/named/kept.json max-age=600",
    "--cache-control", "/plain/** no-store",
    "--writable", "/named/**",
    "--access", "/named/** read=anyone write=users",
    "--access", "/named/secret/** read=user:ada write=user:ada",
    "--access", "/named/inbox/** write=anyone",
    "--limit", "/named/limited/** 1/h",
    "--max-body-bytes", "64K",
    "--redirect", "/named/who /named/by-cookie.json 302 Cookie=session",
    "--redirect", "/named/moved /named/data.json 302",
    "--redirect", "/named/moved-closed /closed/data.json 302",
    "--redirect", "/named/moved-far-open https://far.judge.test/open/data.json 302",
    "--redirect", "/named/moved-far-named https://far.judge.test/named/data.json 302",
    "--redirect", "/plain/moved /plain/data.json 302",
    "--redirect", "/closed/moved /open/data.json 302",
    "--access-log", "json",
    # Entries of one worker stand in the log in their order.
    "--workers", "1",
]
TREE = {
    "page.html": "<!doctype html><title>A page</title><body></body>",
    "named/by-cookie.json": '{"user": "known by a cookie"}',
    "named/cookie.json": "{}",
    "named/kept.json": "{}",
    **{f"{directory}/data.json": '{"data": true}'
       for directory in ("open", "named", "named/secret", "named/limited", "plain", "closed")},
}


def lay(root):
    for name, content in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "named/inbox").mkdir()


def users_file(binary, path):
    """Written by the server's own command."""
    lines = []
    for name in USERS:
        status, line, errors = tools.call(binary, "hash-password", "--user", name,
                                          timeout_s=TIMEOUT_S, said=f"secret of {name}\n")
        if status != 0:
            raise tools.JudgeFailed(f"hash-password: {errors}")
        lines.append(line)
    path.write_text("".join(lines))
    return path


def judge(starter, browser, openssl, scratch):
    """Returns (passed, faults, notes)."""
    users = users_file(starter.binary, scratch / "users")
    passed, faults, notes = 0, [], []
    for protocol in PROTOCOLS:
        own = scratch / protocol
        own.mkdir()
        right, wrong, version = judge_protocol(starter, browser, openssl, own, protocol, users)
        passed += right
        faults += [f"{protocol}: {fault}" for fault in wrong]
        notes.append(f"{protocol}: Chromium {version}")
    notes.append("Chromium asks for no private network any more: what is answered to such a "
                 "preflight was looked at without it")
    return passed, faults, notes


def judge_protocol(starter, browser, openssl, scratch, protocol, users):
    root, log = scratch / "root", scratch / "access.log"
    lay(root)
    chain, key = make_certificate(scratch)
    words = [root, *FLAGS, "--users", users, "--log-file", log, "--listen", f"{HOST}:0",
             "--tls-listen", f"{HOST}:0", "--tls-cert", chain, "--tls-key", key]
    with starter.started(words, ("clear", "tls"), scratch / "server.log") as place:
        key_hash = s_client.public_key_hash(openssl, place, scratch)
        found = browser.visit(VISIT, place.tls[1], key_hash, protocol, timeout_s=TIMEOUT_S)
        network = list(faults_of_private_network(place))
    # It has ended, so that all is in its log.
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    asked = found.get("asked", [])
    wrong = list(faults_of_log(asked, entries, PROTOCOLS[protocol]))
    faults = found["failed"] + wrong + network
    if len(asked) < CASE_COUNT:
        faults.append(f"only {len(asked)} of {CASE_COUNT} cases were tried")
    return len(found["passed"]) + len(asked) - len(wrong), faults, found["version"]


def faults_of_log(asked, entries, protocol):
    """What the browser should have sent and has not, or the other way round."""
    for case in asked:
        reached = [entry for entry in entries if entry["query"] == case["query"]]
        told = [told_of(entry) for entry in reached]
        if told != case["reaches"]:
            yield f"{case['name']}: {told} reached the server, expected {case['reaches']}"
        spoken = {entry["protocol"] for entry in reached}
        if spoken != {protocol}:
            yield f"{case['name']}: came by {spoken}"


def told_of(entry):
    is_refused = entry["status"] in (401, 403)  # Whoever asks for it is not the point.
    by = f" by {entry['user']}" if entry["user"] and not is_refused else ""
    return f"{entry['method']} {entry['status']}{by}"


def faults_of_private_network(place):
    """The preflight of Private Network Access, which newer browsers do not send."""
    for path, expected in (("/named/data.json", "true"), ("/plain/data.json", None)):
        request = "\r\n".join([
            f"OPTIONS {path} HTTP/1.1", "Host: api.judge.test", f"Origin: {PAGE}",
            "Access-Control-Request-Method: GET", "Access-Control-Request-Private-Network: true",
            "Connection: close", "", ""])
        _, fields, _ = exchange.split(exchange.exchange(*place.clear, request.encode()))
        allowed = fields.get("access-control-allow-private-network")
        if allowed != expected:
            yield f"private network: {path} says {allowed}, expected {expected}"
