"""Judge: sslyze, compared with Mozilla's intermediate configuration."""

import json
import re

import tools

TIMEOUT_S = 180
# Our certificate for trying things out is trusted by nobody, and is judged by its owner.
OF_THE_CERTIFICATE = "certificate_"
COMPLIANCE = re.compile(r"^\s+\S+: (OK|FAILED) - (?:Compliant|Not compliant)", re.MULTILINE)
ISSUE = re.compile(r"^\s+\* (\w+): (.*)$", re.MULTILINE)

# Scan, a key of its result, and the values that are right.
RIGHT = [
    ("heartbleed", "is_vulnerable_to_heartbleed", {False}),
    ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", {False}),
    ("robot", "robot_result", {"NOT_VULNERABLE_NO_ORACLE", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"}),
    ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", {False}),
    ("session_renegotiation", "supports_secure_renegotiation", {True}),
    ("tls_compression", "supports_compression", {False}),
    ("tls_fallback_scsv", "supports_fallback_scsv", {True}),
    ("tls_extended_master_secret", "supports_ems_extension", {True}),
]


def verdict(output, report):
    """(passed, faults, notes) of what sslyze prints and of its JSON."""
    if COMPLIANCE.search(output) is None:
        raise tools.JudgeFailed(f"sslyze compared nothing: {output[-500:]}")
    _, _, compared = output.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    faults, notes, passed = [], [], 0
    for name, text in ISSUE.findall(compared):
        (notes if name.startswith(OF_THE_CERTIFICATE) else faults).append(f"{name}: {text}")
    passed += not faults
    scans = report["server_scan_results"][0]["scan_result"] or {}
    for scan, key, right in RIGHT:
        value = ((scans.get(scan) or {}).get("result") or {}).get(key)
        if value in right:
            passed += 1
        else:
            faults.append(f"{scan}: {key} is {value}")
    return passed, faults, notes


def judge(place, binary, scratch):
    report = scratch / "sslyze.json"
    _, output, errors = tools.call(binary, "--mozilla_config", "intermediate", "--json_out",
                                   report, "{}:{}".format(*place.tls), timeout_s=TIMEOUT_S)
    if not report.exists():
        raise tools.JudgeFailed(f"sslyze has no report: {output[-500:]}{errors}")
    return verdict(output, json.loads(report.read_text()))
