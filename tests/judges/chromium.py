"""Judge: headless Chromium over each of HTTP/1.1 and HTTP/2: twelve checks of single answers, and
the sample site with everything that it uses."""

from pathlib import Path

import tools

VISIT = Path(__file__).with_name("chromium.mjs")
SAMPLE = VISIT.with_name("sample.mjs")
TIMEOUT_S = 120
CHECKS = 12 + 11
FILM_SECONDS = 60
FILM_LOOP_SECONDS = 3


def lay_film(root, ffmpeg, scratch):
    """A film long enough that a jump in it needs a range: some seconds of noise, many times. It
    is made here, because it is too large to be kept."""
    loop = scratch / "loop.webm"
    tools.run(ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i",
              f"testsrc2=size=320x180:rate=15:duration={FILM_LOOP_SECONDS},noise=alls=60:allf=t",
              "-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime", "-cpu-used", "8", loop)
    tools.run(ffmpeg, "-v", "error", "-y", "-stream_loop", FILM_SECONDS // FILM_LOOP_SECONDS - 1,
              "-i", loop, "-c", "copy", root / "sample/film.webm")


def judge(place, browser, key_hash):
    """Returns (passed, faults, notes)."""
    passed, faults, notes = 0, [], []
    for protocol in ("h1", "h2"):
        found = browser.visit(VISIT, place.tls_url, key_hash, protocol, timeout_s=TIMEOUT_S)
        passed += len(found["passed"])
        faults += [f"{protocol}: {fault}" for fault in found["failed"]]
        if len(found["passed"]) + len(found["failed"]) < CHECKS:
            faults.append(f"{protocol}: only {len(found['passed'])} of {CHECKS} checks were made")
        notes.append(f"{protocol}: Chromium {found['version']}")
    return passed, faults, notes
