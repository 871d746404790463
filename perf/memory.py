"""What a server's processes hold at most while something happens, from /proc."""

import threading
from pathlib import Path

SAMPLE_S = 0.01
RESET_HIGHEST = "5"  # proc(5), of clear_refs


def held_bytes(pids, name):
    """A line of /proc/PID/status in bytes, all processes added up."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                total += int(line.split()[1]) * 1024
    return total


class Watch:
    """Watches from `with` on. The kernel keeps the highest of all resident pages (VmHWM); of those
    that are no file's (RssAnon), which it keeps no highest of, samples are taken."""

    def __init__(self, pids):
        self.pids = pids
        self.ended = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self):
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text(RESET_HIGHEST)
        self.before = held_bytes(self.pids, "VmRSS")
        self.anonymous_before = self.anonymous = held_bytes(self.pids, "RssAnon")
        self.sampler.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.sampler.join()

    def sample(self):
        while not self.ended.wait(SAMPLE_S):
            try:
                self.anonymous = max(self.anonymous, held_bytes(self.pids, "RssAnon"))
            except OSError:  # It ended; whoever uses it says so.
                return

    def figures(self):
        highest = held_bytes(self.pids, "VmHWM")
        anonymous = max(self.anonymous, held_bytes(self.pids, "RssAnon"))
        return {"growth_bytes": highest - self.before,
                "anonymous_bytes": anonymous - self.anonymous_before,
                "highest_bytes": highest}
