"""The files that compression, ranges and a large tree are measured with.

All text comes from fixed seeds: every run lays the same octets.
"""

import gzip
import os
import random
import shutil
import subprocess
import time

from workloads import KILOBYTE, MEGABYTE, body

SIDECAR_BYTES = 10 * KILOBYTE
SIDECAR_TOLERANCE = 0.02
LARGE_PATH, LARGE_BYTES = "large/100MB.txt", 100 * MEGABYTE

COMPRESSED_BYTES = 100 * KILOBYTE
COLD_COUNT = 200  # asked one after the other
QUIET_COUNT = 20  # asked when the server does nothing else

TREE_FILES = 100_000
TREE_FILES_A_DIRECTORY = 1000
TREE_SEED = 4
# Sidecars must not be older than their sources.
SOURCE_AGE_S = 60

VOCABULARY = 4000
SYLLABLES = ["ba", "con", "der", "e", "fi", "gra", "hu", "in", "ka", "lo", "men", "ne", "o", "per",
             "qui", "ra", "ste", "tion", "un", "vor", "wi", "xa", "y", "zen"]


def text_words():
    """Words with frequencies as in a language (Zipf's law), so that codes find what they find in
    real text."""
    made = random.Random(1)
    words = ["".join(made.choices(SYLLABLES, k=made.randint(1, 4))) for _ in range(VOCABULARY)]
    weights = [1 / rank for rank in range(1, VOCABULARY + 1)]
    return words, weights


WORDS, WEIGHTS = text_words()


def html(count, seed):
    """An HTML page of `count` octets: headings, paragraphs, links and lists around words."""
    made = random.Random(seed)
    parts = ['<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>'
             '<link rel="stylesheet" href="/style.css"></head><body>\n']
    total = len(parts[0])
    number = 0
    while total < count:
        number += 1
        words = made.choices(WORDS, WEIGHTS, k=60)
        sentence = " ".join(words[8:])
        parts.append(
            f'<section id="part-{number}" class="chapter"><h2>{" ".join(words[:4])}</h2>\n'
            f'<p class="text">{sentence}.</p>\n<ul class="links"><li><a href="/{words[4]}/'
            f'{words[5]}.html">{words[6]}</a></li><li><a href="#part-{number}">{words[7]}</a></li>'
            "</ul></section>\n")
        total += len(parts[-1])
    return "".join(parts)[:count].encode()


def brotli(content):
    """As a site makes its sidecars, at the highest quality."""
    command = [shutil.which("brotli") or "brotli", "--quality=11", "--stdout"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def gzipped(content):
    return gzip.compress(content, 9, mtime=0)


def page_compressed_to(compress, wanted_bytes):
    """A page, and its code of nearly `wanted_bytes`: the page is as long as that needs."""
    low, high = wanted_bytes, 16 * wanted_bytes
    whole = html(high, seed=0)
    while high - low > 16:
        middle = (low + high) // 2
        if len(compress(whole[:middle])) > wanted_bytes:
            high = middle
        else:
            low = middle
    coded = compress(whole[:low])
    if abs(len(coded) - wanted_bytes) > wanted_bytes * SIDECAR_TOLERANCE / 2:
        raise ValueError(f"a code of {len(coded)} octets, not {wanted_bytes}")
    return whole[:low], coded


def lay_sidecars(root):
    """Two pages with a sidecar of one length each: at their best, br and gzip differ by a tenth,
    and then the length alone would decide."""
    for suffix, compress in (("br", brotli), ("gz", gzipped)):
        page, coded = page_compressed_to(compress, SIDECAR_BYTES)
        write_old(root / f"coded/page-{suffix}.html", page)
        (root / f"coded/page-{suffix}.html.{suffix}").write_bytes(coded)


def lay_large(root):
    write_old(root / LARGE_PATH, body(LARGE_BYTES))


def lay_compressible(root):
    write_old(root / "compress/page.html", html(COMPRESSED_BYTES, seed=0))


def lay_cold(root):
    for path, seed in [(path, seed) for seed, path in enumerate(cold_paths() + quiet_paths())]:
        write_old(root / path.lstrip("/"), html(COMPRESSED_BYTES, seed))


def cold_paths():
    return [f"/cold/page-{index}.html" for index in range(COLD_COUNT)]


def quiet_paths():
    return [f"/cold/quiet-{index}.html" for index in range(QUIET_COUNT)]


def lay_tree(root, count=TREE_FILES):
    """Many files of 1 to 16 KB, small ones in the majority: about 475 MB. Returns their paths and
    the mean of their lengths."""
    made = random.Random(TREE_SEED)
    longest = body(16 * KILOBYTE)
    paths, total = [], 0
    for index in range(count):
        if index % TREE_FILES_A_DIRECTORY == 0:
            directory = f"tree/{index // TREE_FILES_A_DIRECTORY:03}"
            (root / directory).mkdir(parents=True)
        length = KILOBYTE + int(15 * KILOBYTE * made.random() ** 3)
        path = f"{directory}/{index % TREE_FILES_A_DIRECTORY:03}.txt"
        (root / path).write_bytes(longest[:length])
        paths.append(f"/{path}")
        total += length
    return paths, total / count


def write_old(target, content):
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    then = time.time() - SOURCE_AGE_S
    os.utime(target, (then, then))
