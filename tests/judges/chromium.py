"""Judge: headless Chromium, twelve checks over each of HTTP/1.1 and HTTP/2."""

import json
import os
from pathlib import Path

import tools

VISIT = Path(__file__).with_name("chromium.mjs")
TIMEOUT_S = 120
CHECKS = 12


def judge(place, node, binary, playwright, key_hash):
    """Returns (passed, faults, notes)."""
    passed, faults, notes = 0, [], []
    for protocol in ("h1", "h2"):
        status, output, errors = tools.call(
            node, VISIT, binary, place.tls_url, key_hash, protocol, timeout_s=TIMEOUT_S,
            env=os.environ | {"PLAYWRIGHT": str(playwright)})
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise tools.JudgeFailed(f"the browser says nothing ({status}): {errors[-500:]}")
        found = json.loads(lines[-1])
        passed += len(found["passed"])
        faults += [f"{protocol}: {fault}" for fault in found["failed"]]
        if len(found["passed"]) + len(found["failed"]) < CHECKS:
            faults.append(f"{protocol}: only {len(found['passed'])} of {CHECKS} checks were made")
        notes.append(f"{protocol}: Chromium {found['version']}")
    return passed, faults, notes
