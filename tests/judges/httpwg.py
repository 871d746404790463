"""Judge: httpwg-cli, 107 cases of RFC 9113 over HTTP/2 by prior knowledge."""

import re

import tools

CASES = 107
TIMEOUT_S = 120
# Cases that the server is right to answer otherwise, each from the text of the RFCs.
ARGUED = {
    "sends headers frame with te trailers":
        "it wants 200 for a POST to the page at /, whose method is not allowed: 405 (RFC 9110 "
        "§15.5.6) is an answer to the field that was to be accepted",
}
PASSED = re.compile(r"Test passed: RFC 9113 :: .* :: (.*)")
FAILED = re.compile(r"Test failed: RFC 9113 :: .* :: (.*)\n\s*(?:0: (.*))?")
# A case that panics is named in its backtrace alone.
PANICKED = re.compile(r"application panicked.*?Message:\s*(.*?)\nLocation.*?"
                      r"httpwg::rfc9113::\w+::(\w+)::", re.DOTALL)
TOTAL = re.compile(r"Passed (\d+)/(\d+) tests")


def read(output):
    """Names of the cases that passed, and what the others say by their names."""
    total = TOTAL.search(output)
    if total is None or int(total[2]) != CASES:
        raise tools.JudgeFailed(f"httpwg did not run its {CASES} cases: {output[-500:]}")
    passed = set(PASSED.findall(output))
    failed = {name: (why or "").strip() for name, why in FAILED.findall(output)}
    for message, case in PANICKED.findall(output):
        failed[case.replace("_", " ")] = " ".join(message.split())
    if len(passed) != int(total[1]) or len(passed) + len(failed) != CASES:
        raise tools.JudgeFailed(f"httpwg counts {total[1]} passed; {len(passed)} passed and "
                                f"{len(failed)} failed were read: {sorted(failed)}")
    return passed, failed


def judge(place, binary):
    """Returns (passed, faults, notes); a case that is argued is neither passed nor a fault."""
    address = "{}:{}".format(*place.clear)
    _, output, errors = tools.call(binary, "-a", address, timeout_s=TIMEOUT_S)
    passed, failed = read(output + errors)
    faults = [f"{name}: {why}" for name, why in failed.items() if name not in ARGUED]
    notes = [f"{name}: {ARGUED[name]}" for name in failed if name in ARGUED]
    return len(passed), faults, notes
