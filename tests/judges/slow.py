"""Judge: slowhttptest, which holds connections open with slow heads, bodies and reads.

Its probe must be answered at every moment of the attack.
"""

import re

import tools
import tree

SECONDS = 20
COMMON = ["-c", "200", "-r", "100", "-l", str(SECONDS), "-p", "3"]
MODES = {
    "slow heads": ["-H", "-i", "3", "-x", "24"],
    "slow bodies": ["-B", "-i", "3", "-x", "24", "-s", "8192"],
    "slow reads": ["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "32", "-k", "3"],
}


def judge(host, port, binary):
    """Returns (passed, faults, notes); a mode passes when the service was always available."""
    passed, faults, notes = 0, [], []
    for name, mode in MODES.items():
        path = tree.LARGE_PATH if name == "slow reads" else "/"
        command = [binary, *mode, *COMMON, "-u", f"http://{host}:{port}{path}"]
        _, output, errors = tools.call(*command, timeout_s=SECONDS + 60)
        available = re.findall(r"service available:\s*(\w+)", output)
        if not available:
            faults.append(f"{name}: slowhttptest says nothing: {output[-300:]}{errors}")
        elif set(available) != {"YES"}:
            faults.append(f"{name}: not available in {available.count('NO')} of "
                          f"{len(available)} looks")
        else:
            passed += 1
            ended = re.findall(r"Exit status:\s*(.*)", output)
            notes.append(f"{name}: {ended[0].strip() if ended else 'no exit status'}")
    return passed, faults, notes
