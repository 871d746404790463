"""Judge: testssl.sh, everything but what it says of certificates."""

import json

import tools

TIMEOUT_S = 300
# Protocols, ciphers, forward secrecy, the server's preferences, header fields, vulnerabilities.
SECTIONS = ["-p", "-s", "-f", "-P", "-h", "-U"]
CLEAN = {"OK", "INFO"}
# What only the owner of a site can decide, so that a server should not, and what is of the judge.
OTHERS_CHOICE = {
    "HSTS": "whether a name is to be asked over HTTPS only is said with --hsts",
    "security_headers": "what pages may do is set by rules of the site",
    "engine_problem": "of the judge's own OpenSSL",
}
# What it must have looked at, or it has not looked.
WANTED = {"TLS1_2", "TLS1_3", "ALPN_HTTP2", "cipherlist_STRONG", "HTTP_status_code", "heartbleed",
          "secure_renego", "LUCKY13"}


def verdict(findings):
    """(passed, faults, notes) of testssl's list of findings."""
    faults, notes = [], []
    missing = WANTED - {finding["id"] for finding in findings}
    if missing:
        faults.append(f"not looked at: {', '.join(sorted(missing))}")
    passed = 0
    for finding in findings:
        name, severity = finding["id"], finding["severity"]
        text = f"{name}: {severity}: {finding['finding']}"
        if severity in CLEAN:
            passed += severity == "OK"
        elif name in OTHERS_CHOICE:
            notes.append(f"{text} ({OTHERS_CHOICE[name]})")
        else:
            faults.append(text)
    return passed, faults, notes


def judge(place, binary, scratch):
    report = scratch / "testssl.json"
    _, output, errors = tools.call(
        binary, "--warnings", "off", "--color", "0", "--quiet", "--jsonfile", report, *SECTIONS,
        "{}:{}".format(*place.tls), timeout_s=TIMEOUT_S, cwd=scratch)
    try:
        findings = json.loads(report.read_text())
    except (OSError, ValueError):
        raise tools.JudgeFailed(f"testssl has no report: {output[-500:]}{errors}") from None
    return verdict(findings)
