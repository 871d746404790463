"""Headless Chromium, driven by scripts in this directory that print what they found as JSON."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import tools


@dataclass(frozen=True)
class Browser:
    """The programs that it takes."""

    node: str
    chromium: str
    playwright: Path

    def visit(self, script, *words, timeout_s):
        """Runs a script; returns the object that it prints on its last line."""
        status, output, errors = tools.call(
            self.node, script, self.chromium, *words, timeout_s=timeout_s,
            env=os.environ | {"PLAYWRIGHT": str(self.playwright)})
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise tools.JudgeFailed(f"the browser says nothing ({status}): {errors[-500:]}")
        return json.loads(lines[-1])


def fetched():
    """The programs, which are fetched when they are missing."""
    return Browser(tools.from_debian("node", "nodejs"),
                   tools.from_debian("chromium", "chromium"),
                   tools.from_npm(tools.PLAYWRIGHT))
