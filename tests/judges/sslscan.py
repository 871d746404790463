"""Judge: sslscan, which versions, ciphers and groups are accepted."""

import xml.etree.ElementTree as xml

import tools

TIMEOUT_S = 120
VERSIONS = {("tls", "1.2"), ("tls", "1.3")}
STRENGTHS = {"strong", "acceptable"}
GROUP_BITS_MIN = 112


def verdict(report):
    """(passed, faults, notes) of sslscan's XML."""
    test = xml.fromstring(report).find("ssltest")
    if test is None:
        raise tools.JudgeFailed(f"sslscan did not reach the server: {report[-300:]}")
    faults, passed = [], 0

    def check(is_right, fault):
        nonlocal passed
        passed += is_right
        if not is_right:
            faults.append(fault)

    for protocol in test.findall("protocol"):
        name = protocol.get("type"), protocol.get("version")
        wanted = name in VERSIONS
        check((protocol.get("enabled") == "1") == wanted,
              f"{' '.join(name)} is {'not ' if wanted else ''}spoken")
    for cipher in test.findall("cipher"):
        check(cipher.get("strength") in STRENGTHS,
              f"{cipher.get('cipher')} is {cipher.get('strength')}")
    for group in test.findall("group"):
        check(int(group.get("bits")) >= GROUP_BITS_MIN, f"{group.get('name')} is weak")
    for heartbleed in test.findall("heartbleed"):
        check(heartbleed.get("vulnerable") == "0", "heartbleed")
    for renegotiation in test.findall("renegotiation"):
        check(renegotiation.get("supported") == "0" or renegotiation.get("secure") == "1",
              "insecure renegotiation")
    for compression in test.findall("compression"):
        check(compression.get("supported") == "0", "compression (CRIME)")
    check(len(test.findall("cipher")) > 0, "no cipher is accepted")
    return passed, faults, []


def judge(place, binary, scratch):
    report = scratch / "sslscan.xml"
    _, output, errors = tools.call(binary, "--no-colour", f"--xml={report}",
                                   "{}:{}".format(*place.tls), timeout_s=TIMEOUT_S)
    if not report.exists():
        raise tools.JudgeFailed(f"sslscan has no report: {output[-500:]}{errors}")
    return verdict(report.read_text())
