"""Judge: REDbot, which asks for a resource in many ways and compares the answers."""

import json
from pathlib import Path

import kinds
import tools

ASK = Path(__file__).with_name("redbot_ask.py")

# What only the owner of a site can decide, so that a server should not.
OWNERS_CHOICE = {
    "FRESHNESS_HEURISTIC": "how long caches may keep a page is set by a rule of the site",
}
# What REDbot says of a kind and is wrong about.
ARGUED = {
    ("AVIF", "CONTENT_TYPE_MISMATCH"): "its signatures (WHATWG's MIME Sniffing) have no AVIF",
}


def notes_of(python, url, fields):
    """All notes of REDbot about one URL, asked with some fields. Python is isolated, because this
    very module is named like REDbot."""
    status, output, errors = tools.call(
        python, "-I", ASK, url, *[f"{name}:{value}" for name, value in fields], timeout_s=60)
    if status != 0:
        raise tools.JudgeFailed(f"redbot failed on {url}: {errors}")
    return json.loads(output)


def verdict(kind, notes):
    """What REDbot finds wrong with a kind, and what it says that is the owner's choice."""
    found = {note["note_id"]: note["summary"] for note in notes
             if note["level"] not in ("GOOD", "INFO")}
    excused = OWNERS_CHOICE | {note: why for (name, note), why in ARGUED.items()
                               if name == kind.name}
    faults = [f"{kind.name}, {kind.path}: {name}: {summary}" for name, summary in found.items()
              if name not in excused]
    missing = kind.confirmed - {note["note_id"] for note in notes}
    if missing:
        faults.append(f"{kind.name}, {kind.path}: not confirmed: {', '.join(sorted(missing))}")
    return faults, [f"{kind.name}: {name}: {excused[name]}" for name in found if name in excused]


def judge(host, port, binary):
    """Returns (passed, faults, notes); a kind passes without a warning that we could avoid."""
    passed, faults, remarks = 0, [], []
    # What is made in the background is there before REDbot compares with it.
    for kind in kinds.KINDS:
        if kind.settles:
            kinds.ask(kind, host, port)
    for kind in kinds.KINDS:
        if kind.confirmed is None:
            continue
        _, _, wrong = kinds.ask(kind, host, port)
        found, choices = verdict(kind, notes_of(
            binary.with_name("python"), f"http://{host}:{port}{kind.path}", kind.asks))
        found += [f"{kind.name}, {kind.path}: {wrong}"] if wrong else []
        faults += found
        remarks += choices
        passed += not found
    return passed, faults, remarks
