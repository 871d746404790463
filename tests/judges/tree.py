"""The directory that the judges look at: small, of known content, with every case they ask for.

Files that others check octet by octet are in `FILES`; what belongs to a kind of resource or to the
sample site is copied from `laid/`.
"""

import gzip
import os
import shutil
import time
from pathlib import Path

LAID = Path(__file__).with_name("laid")

RANGE_PATH = "/11.txt"  # as long as the file of Go's own test
STYLE_PATH = "/style.css"
LARGE_PATH = "/1m.bin"
REDIRECTED_PATH = "/directory"
# Sidecars must not be older than their sources.
SOURCE_AGE_S = 60

PAGE = ("<!doctype html><html lang=en><meta charset=utf-8><title>Judged</title>"
        + "<p>A page of some length, so that a part of it is shorter than all of it.</p>" * 20)
FILES = {
    "/index.html": PAGE.encode(),
    "/11.txt": b"0123456789\n",
    "/style.css": b"body { color: black; }\n" * 150,
    "/64k.bin": bytes(range(256)) * 256,
    "/1m.bin": bytes(range(256)) * 4096,
    "/directory/index.html": PAGE.encode(),
}


# Compressed by nobody beforehand, and worth it.
FLY = PAGE.replace("Judged", "Compressed") + "".join(
    f"<p>Paragraph {number} says that {number} is not {number + 1}.</p>\n" for number in range(400))


def lay(root):
    """Writes the tree into `root`, which exists and is empty."""
    shutil.copytree(LAID, root, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path, content in (FILES | {"/fly.html": FLY.encode()}).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    then = time.time() - SOURCE_AGE_S
    for source in root.rglob("*"):
        if source.suffix not in (".br", ".gz"):
            os.utime(source, (then, then))
    coded = root / "coded.html"
    coded.with_name("coded.html.gz").write_bytes(gzip.compress(coded.read_bytes(), 9, mtime=0))
