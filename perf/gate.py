"""What stands before a hit of a backend: CORS, a token, a limit that never refuses, an access log.

In the words of downpour's flags, with the requests that pass. What nginx has of it stands in
`nginx/gate.conf`. Knows nothing of how either is started.
"""

import hashlib

ORIGIN = "https://app.example"
USER, TOKEN = "perf", "a-token-that-only-measures-3f9c1d7e5b20"

ASKS = (("Authorization", f"Bearer {TOKEN}"), ("Origin", ORIGIN))
WANTS = (("access-control-allow-origin", ORIGIN),)

LOG_FILE = "access.log"
TOKENS_FILE = "tokens"
# @SCRATCH@ is the directory of the one start.
FLAGS = ("--cors", ORIGIN, "--tokens", f"@SCRATCH@/{TOKENS_FILE}", "--access", "read=users",
         "--limit", "1000000/s burst=1000000",
         "--access-log", "json", "--log-file", f"@SCRATCH@/{LOG_FILE}")


def lay_tokens(scratch):
    """The file of tokens: a name, and the hash of what it must show."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (scratch / TOKENS_FILE).write_text(f"{USER}:sha256:{digest}\n")
