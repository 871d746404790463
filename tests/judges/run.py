"""Lets foreign judges look at the server, and fails when one finds a fault.

Our own client shares our mistakes; these programs were written by others.
"""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import browser
import chromium
import cors
import curl
import go_range
import httpolice
import httpwg
import kinds
import nghttp
import notes
import redbot
import s_client
import server
import slow
import sslscan
import sslyze
import testssl
import tools
import tree
from place import HOST, Place, make_certificate, read


@dataclass(frozen=True)
class Judge:
    """`judge` gets a `Place` and a scratch directory; `needs` are the addresses it looks at. One
    without needs starts servers of its own, and gets a `server.Starter` instead of a place."""

    needs: frozenset
    judge: Callable
    flags: tuple = ()  # that the server must have been started with


CLEAR, TLS, OWN = frozenset(["clear"]), frozenset(["tls"]), frozenset()
EVERY_KIND = tuple(kinds.FLAGS)
FLAG_OF = {"clear": "--address", "tls": "--tls-address"}


def openssl():
    return tools.from_debian("openssl", "openssl")


def judge_by_browser(place, scratch):
    return chromium.judge(place, browser.fetched(),
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
    "cors": Judge(OWN, lambda starter, scratch: cors.judge(
        starter, browser.fetched(), openssl(), scratch)),
    "notes": Judge(OWN, lambda starter, scratch: notes.judge(
        starter, browser.fetched(), openssl(), scratch)),
}


def with_flags():
    return [name for name, judge in JUDGES.items() if judge.flags]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/judges", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=JUDGES, metavar="JUDGE",
                        help=f"only these: {' '.join(JUDGES)}")
    parser.add_argument("--engine", default="auto", help="engine of the server (default auto)")
    parser.add_argument("--server", metavar="FILE", type=Path, default=server.RELEASE,
                        help="the server's program (default: what scripts/judges builds)")
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
        blind = [name for name in arguments.only
                 if not JUDGES[name].needs <= given or JUDGES[name].needs == OWN]
        missing = sorted(FLAG_OF[kind] for kind in FLAG_OF.keys() - given)
        if wanted and blind:
            own = [name for name in blind if JUDGES[name].needs == OWN]
            parser.error(f"{', '.join(own)}: starts servers of its own" if own else
                         f"{', '.join(blind)}: please add {' and '.join(missing)}")
        if blind:
            print(f"left out here: {', '.join(blind)}")
        arguments.only = [name for name in arguments.only if name not in blind]
    return arguments


def flags_of(arguments, names, root, scratch):
    """The words that start the server as the named judges need it, and what they look at."""
    needs = frozenset().union(*(JUDGES[name].needs for name in names))
    listen = ["--listen", f"{HOST}:0"] if "clear" in needs else []
    if "tls" in needs:
        openssl()
        chain, key = make_certificate(scratch)
        listen += ["--tls-listen", f"{HOST}:0", "--tls-cert", chain, "--tls-key", key]
    return [root, *listen, "--engine", arguments.engine, *JUDGES[names[0]].flags], needs


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
    shared = [name for name in arguments.only if JUDGES[name].needs != OWN]
    lay(root, scratch, shared)
    clean = True
    for flags in dict.fromkeys(JUDGES[name].flags for name in shared):
        names = [name for name in shared if JUDGES[name].flags == flags]
        clean = judge_one_server(arguments, names, root, scratch) and clean
    own = [name for name in arguments.only if JUDGES[name].needs == OWN]
    return judge_all(own, server.Starter(arguments.server, arguments.engine), scratch) and clean


def lay(root, scratch, names):
    tree.lay(root)
    if "chromium" in names:
        chromium.lay_film(root, tools.from_debian("ffmpeg", "ffmpeg"), scratch)


def judge_one_server(arguments, names, root, scratch):
    words, needs = flags_of(arguments, names, root, scratch)
    try:
        with server.started(arguments.server, words, needs, scratch / "server.log") as place:
            return judge_all(names, place, scratch)
    except server.Failed as fault:
        print(f"scripts/judges: {fault}")
        return False


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
