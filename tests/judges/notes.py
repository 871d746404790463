"""Judge: the example of the guide, docs/examples/notes, as people use it in headless Chromium, over
HTTP/1.1 in clear text and over HTTP/2 with TLS; then what it has left on the disk."""

import json
import shutil
from pathlib import Path

import s_client
import tools
from place import HOST, make_certificate

EXAMPLE = tools.PROJECT / "docs/examples/notes"
VISIT = Path(__file__).with_name("notes.mjs")
TIMEOUT_S = 180
CHECKS = 21
NOTES_LEFT = 25


def judge(starter, browser, openssl, scratch):
    """Returns (passed, faults, notes)."""
    passed, faults, notes = 0, [], []
    for protocol in ("h1", "h2"):
        own = scratch / protocol
        own.mkdir()
        found = judge_protocol(starter, browser, openssl, own, protocol)
        wrong = found["failed"] + list(faults_of_data(own / "notes/data"))
        if len(found["passed"]) + len(found["failed"]) < CHECKS:
            wrong.append(f"only {len(found['passed'])} of {CHECKS} checks were made")
        passed += len(found["passed"])
        faults += [f"{protocol}: {fault}" for fault in wrong]
        notes.append(f"{protocol}: Chromium {found['version']}")
    return passed, faults, notes


def judge_protocol(starter, browser, openssl, scratch, protocol):
    """What the browser found at a copy of the example."""
    shutil.copytree(EXAMPLE, scratch / "notes",
                    ignore=lambda name, names: {one for one in names if is_left(Path(name) / one)})
    words = ["--config", scratch / "notes/downpour.toml", "--listen", f"{HOST}:0"]
    needs = ("clear",)
    if protocol == "h2":
        chain, key = make_certificate(scratch)
        words += ["--tls-listen", f"{HOST}:0", "--tls-cert", chain, "--tls-key", key]
        needs = ("clear", "tls")
    with starter.started(words, needs, scratch / "server.log") as place:
        if protocol == "h1":
            return browser.visit(VISIT, place.clear_url, "", protocol, timeout_s=TIMEOUT_S)
        key_hash = s_client.public_key_hash(openssl, place, scratch)
        return browser.visit(VISIT, place.tls_url, key_hash, protocol, timeout_s=TIMEOUT_S)


def is_left(path):
    """Left by somebody who has tried the example."""
    return path.parent in (EXAMPLE / "data", EXAMPLE / "state") and path.name != ".gitignore"


def faults_of_data(directory):
    """What should not be in the directory of the notes, after what the browser did."""
    found = [path for path in directory.iterdir() if path.name != ".gitignore"]
    if len(found) != NOTES_LEFT:
        yield f"{len(found)} notes are left, expected {NOTES_LEFT}"
    for path in found:
        try:
            is_note = json.loads(path.read_text()).keys() >= {"title", "text"}
        except (ValueError, AttributeError):
            is_note = False
        if not is_note or path.suffix != ".json":
            yield f"{path.name} is no note"
