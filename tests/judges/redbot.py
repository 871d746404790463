"""Judge: REDbot, which asks for a resource in many ways and compares the answers."""

import json

import tools

# What only the owner of a site can decide, so that a server should not.
OWNERS_CHOICE = {
    "FRESHNESS_HEURISTIC": "how long caches may keep a page is set by a rule of the site",
}
# What REDbot must have found working, or it has not looked.
WANTED = {"INM_304", "IMS_304", "RANGE_CORRECT"}


def notes_of(binary, url):
    """All notes of REDbot about one URL."""
    status, output, errors = tools.call(binary, "-o", "har", url, timeout_s=60)
    if status != 0:
        raise tools.JudgeFailed(f"redbot failed on {url}: {errors}")
    entries = json.loads(output)["log"]["entries"]
    return [note for entry in entries for note in entry.get("_red_messages", [])]


def judge(host, port, binary, paths):
    """Returns (passed, faults, notes); a URL passes without a warning that we could avoid."""
    passed, faults, remarks = 0, [], []
    for path in paths:
        notes = notes_of(binary, f"http://{host}:{port}{path}")
        found = [f"{path}: {note['note_id']}: {note['summary']}" for note in notes
                 if note["level"] not in ("GOOD", "INFO") and note["note_id"] not in OWNERS_CHOICE]
        missing = WANTED - {note["note_id"] for note in notes}
        if missing:
            found.append(f"{path}: not confirmed: {', '.join(sorted(missing))}")
        remarks += [f"{path}: {note['note_id']}: {OWNERS_CHOICE[note['note_id']]}"
                    for note in notes if note["note_id"] in OWNERS_CHOICE]
        faults += found
        passed += not found
    return passed, faults, remarks
