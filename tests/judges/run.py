"""Lets foreign judges look at the server, and fails when one finds a fault.

Our own client shares our mistakes; these programs were written by others.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import chromium
import curl
import go_range
import httpolice
import httpwg
import kinds
import nghttp
import redbot
import s_client
import slow
import sslscan
import sslyze
import testssl
import tools
import tree
from place import HOST, Place, make_certificate, read

SERVER = tools.PROJECT / "target/release/downpour"
READY_WITHIN_S = 10
STOP_WITHIN_S = 30


@dataclass(frozen=True)
class Judge:
    """`judge` gets a `Place` and a scratch directory; `needs` are the addresses it looks at."""

    needs: frozenset
    judge: Callable
    flags: tuple = ()  # that the server must have been started with


CLEAR, TLS = frozenset(["clear"]), frozenset(["tls"])
EVERY_KIND = tuple(kinds.FLAGS)
FLAG_OF = {"clear": "--address", "tls": "--tls-address"}


def openssl():
    return tools.from_debian("openssl", "openssl")


def judge_by_browser(place, scratch):
    return chromium.judge(place, tools.from_debian("node", "nodejs"),
                          tools.from_debian("chromium", "chromium"),
                          tools.from_npm(tools.PLAYWRIGHT),
                          s_client.public_key_hash(openssl(), place, scratch))


JUDGES = {
    "go-range": Judge(CLEAR, lambda place, _: go_range.judge(*place.clear, tools.go_source())),
    "httpolice": Judge(CLEAR, lambda place, scratch: httpolice.judge(
        *place.clear, tools.from_pypi("httpolice"), scratch), EVERY_KIND),
    "redbot": Judge(CLEAR, lambda place, _: redbot.judge(
        *place.clear, tools.from_pypi("redbot")), EVERY_KIND),
    "slowhttptest": Judge(CLEAR, lambda place, _: slow.judge(
        *place.clear, tools.from_debian("slowhttptest", "slowhttptest"))),
    "httpwg": Judge(CLEAR, lambda place, _: httpwg.judge(
        place, tools.from_cargo("httpwg", tools.HTTPWG))),
    "curl": Judge(CLEAR | TLS, lambda place, scratch: curl.judge(
        place, tools.from_debian("curl", "curl"), scratch)),
    "nghttp": Judge(CLEAR | TLS, lambda place, scratch: nghttp.judge(
        place, tools.from_debian("nghttp", "nghttp2-client"),
        tools.from_debian("h2load", "nghttp2-client"), scratch)),
    "openssl": Judge(TLS, lambda place, scratch: s_client.judge(place, openssl(), scratch)),
    "sslscan": Judge(TLS, lambda place, scratch: sslscan.judge(
        place, tools.from_debian("sslscan", "sslscan"), scratch)),
    "sslyze": Judge(TLS, lambda place, scratch: sslyze.judge(
        place, tools.from_pypi("sslyze"), scratch)),
    "testssl": Judge(TLS, lambda place, scratch: testssl.judge(
        place, tools.from_debian("testssl", "testssl.sh", "bsdextrautils"), scratch)),
    "chromium": Judge(TLS, judge_by_browser, EVERY_KIND),
}


def with_flags():
    return [name for name, judge in JUDGES.items() if judge.flags]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/judges", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=JUDGES, metavar="JUDGE",
                        help=f"only these: {' '.join(JUDGES)}")
    parser.add_argument("--engine", default="auto", help="engine of the server (default auto)")
    parser.add_argument("--address", metavar="HOST:PORT", type=read, dest="clear",
                        help="judge a server that runs already (it must serve the tree that "
                             "--lay writes) instead of starting ours")
    parser.add_argument("--tls-address", metavar="HOST:PORT", type=read, dest="tls",
                        help="the same server over TLS")
    parser.add_argument("--lay", metavar="DIRECTORY", type=Path,
                        help="only write the tree into a new directory, and print the flags that "
                             f"{', '.join(with_flags())} need the server to have")
    arguments = parser.parse_args()
    arguments.runs_already = bool(arguments.clear or arguments.tls)
    given = {kind for kind in FLAG_OF if getattr(arguments, kind)}
    wanted, arguments.only = arguments.only, arguments.only or list(JUDGES)
    if arguments.runs_already:
        blind = [name for name in arguments.only if not JUDGES[name].needs <= given]
        missing = sorted(FLAG_OF[kind] for kind in FLAG_OF.keys() - given)
        if wanted and blind:
            parser.error(f"{', '.join(blind)}: please add {' and '.join(missing)}")
        if blind:
            print(f"left out without {' and '.join(missing)}: {', '.join(blind)}")
        arguments.only = [name for name in arguments.only if name not in blind]
    return arguments


def start_server(arguments, names, root, scratch, log):
    """Starts it at ports that the kernel chooses, as the named judges need it; returns the process
    and the `Place`."""
    # Every flag is also a variable; the tester's own must not change what is judged.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("DOWNPOUR_")}
    needs = frozenset().union(*(JUDGES[name].needs for name in names))
    listen = ["--listen", f"{HOST}:0"] if "clear" in needs else []
    if "tls" in needs:
        openssl()
        chain, key = make_certificate(scratch)
        listen += ["--tls-listen", f"{HOST}:0", "--tls-cert", chain, "--tls-key", key]
    process = subprocess.Popen(
        [SERVER, "serve", root, *listen, "--engine", arguments.engine, *JUDGES[names[0]].flags],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        place = wait_for_start_line(process, needs, Path(log.name))
    except BaseException:
        process.kill()
        process.wait()
        raise
    if place is None:
        process.kill()
        process.wait()
        sys.exit(f"scripts/judges: the server did not start: {Path(log.name).read_text()}")
    return process, place


def wait_for_start_line(process, needs, log):
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        place = read_start_line(log.read_text())
        if all(getattr(place, kind) for kind in needs):
            return place
        time.sleep(0.01)
    return None


def read_start_line(text):
    """Where the server says that it listens."""
    _, _, told = text.partition(" listening on ")
    ports = {scheme: re.search(rf"\b{scheme}://{re.escape(HOST)}:(\d+)\s", told)
             for scheme in ("http", "https")}
    places = {scheme: (HOST, int(found[1])) if found else None for scheme, found in ports.items()}
    return Place(places["http"], places["https"])


def judge_all(names, place, scratch):
    """Prints a verdict for each judge; true when none found a fault."""
    clean = True
    for name in names:
        own = scratch / name
        own.mkdir()
        started = time.monotonic()
        try:
            passed, faults, notes = JUDGES[name].judge(place, own)
        except (tools.CannotFetch, tools.JudgeFailed) as error:
            passed, faults, notes = 0, [str(error)], []
        except (OSError, IndexError) as error:  # Refused, reset, timed out; no status line.
            passed, faults, notes = 0, [f"the server did not answer: {error!r}"], []
        clean = clean and passed > 0 and not faults
        print(f"{name}: {passed} passed, {len(faults)} failed "
              f"({time.monotonic() - started:.0f} s)", flush=True)
        for line in [f"FAIL {fault}" for fault in faults] + [f"note {note}" for note in notes]:
            print(f"    {line}", flush=True)
        shutil.rmtree(own, ignore_errors=True)
    return clean


def judge_ours(arguments, scratch):
    """Those judges that need the same flags look at the same server."""
    root = scratch / "root"
    root.mkdir()
    lay(root, scratch, arguments.only)
    clean = True
    for flags in dict.fromkeys(JUDGES[name].flags for name in arguments.only):
        names = [name for name in arguments.only if JUDGES[name].flags == flags]
        clean = judge_one_server(arguments, names, root, scratch) and clean
    return clean


def lay(root, scratch, names):
    tree.lay(root)
    if "chromium" in names:
        chromium.lay_film(root, tools.from_debian("ffmpeg", "ffmpeg"), scratch)


def judge_one_server(arguments, names, root, scratch):
    with (scratch / "server.log").open("w") as log:
        process, place = start_server(arguments, names, root, scratch, log)
        try:
            clean = judge_all(names, place, scratch)
            if process.poll() is not None:
                clean = False
                print(f"the server ended by itself: {process.returncode}")
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                clean = False
                print(f"the server did not end {STOP_WITHIN_S} s after SIGTERM")
    return clean


def main():
    arguments = parse_arguments()
    if arguments.lay:
        arguments.lay.mkdir()
        with tempfile.TemporaryDirectory(prefix="downpour-judges-") as name:
            lay(arguments.lay, Path(name), arguments.only)
        print(shlex.join(kinds.FLAGS))
        return
    # So that what was started is ended, whoever ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("scripts/judges: ended"))
    with tempfile.TemporaryDirectory(prefix="downpour-judges-") as name:
        scratch = Path(name)
        if arguments.runs_already:
            clean = judge_all(arguments.only, Place(arguments.clear, arguments.tls), scratch)
        else:
            clean = judge_ours(arguments, scratch)
    sys.exit(not clean)


if __name__ == "__main__":
    main()
