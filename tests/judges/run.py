"""Lets foreign judges look at the server, and fails when one finds a fault.

Our own client shares our mistakes; these programs were written by others.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import go_range
import httpolice
import redbot
import slow
import tools
import tree

SERVER = tools.PROJECT / "target/release/downpour"
READY_WITHIN_S = 10
START_LINE = re.compile(r" listening on http://127\.0\.0\.1:(?P<port>\d+) ")

JUDGES = {
    "go-range": lambda host, port, _: go_range.judge(host, port, tools.go_source()),
    "httpolice": lambda host, port, scratch: httpolice.judge(
        host, port, tools.from_pypi("httpolice"), scratch),
    "redbot": lambda host, port, _: redbot.judge(
        host, port, tools.from_pypi("redbot"), tree.PAGES),
    "slowhttptest": lambda host, port, _: slow.judge(
        host, port, tools.from_debian("slowhttptest", "slowhttptest")),
}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/judges", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=JUDGES, default=list(JUDGES),
                        metavar="JUDGE", help=f"only these: {' '.join(JUDGES)}")
    parser.add_argument("--engine", default="auto", help="engine of the server (default auto)")
    parser.add_argument("--address", metavar="HOST:PORT",
                        help="judge a server that runs already (it must serve the tree that "
                             "--lay writes) instead of starting ours")
    parser.add_argument("--lay", metavar="DIRECTORY", type=Path,
                        help="only write the tree into a new directory")
    return parser.parse_args()


def start_server(root, engine, log):
    """Starts it at a port that the kernel chooses; returns the process and the port."""
    # Every flag is also a variable; the tester's own must not change what is judged.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("DOWNPOUR_")}
    process = subprocess.Popen(
        [SERVER, "serve", root, "--listen", "127.0.0.1:0", "--engine", engine],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if started := START_LINE.search(Path(log.name).read_text()):
            return process, int(started["port"])
        time.sleep(0.01)
    process.kill()
    process.wait()
    sys.exit(f"scripts/judges: the server did not start: {Path(log.name).read_text()}")


def judge_all(names, host, port, scratch):
    """Prints a verdict for each judge; true when none found a fault."""
    clean = True
    for name in names:
        try:
            passed, faults, notes = JUDGES[name](host, port, scratch)
        except tools.CannotFetch as error:
            passed, faults, notes = 0, [str(error)], []
        except (OSError, IndexError) as error:  # Refused, reset, timed out; no status line.
            passed, faults, notes = 0, [f"the server did not answer: {error!r}"], []
        clean = clean and passed > 0 and not faults
        print(f"{name}: {passed} passed, {len(faults)} failed", flush=True)
        for line in [f"FAIL {fault}" for fault in faults] + [f"note {note}" for note in notes]:
            print(f"    {line}", flush=True)
    return clean


def main():
    arguments = parse_arguments()
    if arguments.lay:
        arguments.lay.mkdir()
        tree.lay(arguments.lay)
        return
    with tempfile.TemporaryDirectory(prefix="downpour-judges-") as name:
        scratch = Path(name)
        if arguments.address:
            host, _, port = arguments.address.rpartition(":")
            sys.exit(not judge_all(arguments.only, host, int(port), scratch))
        root = scratch / "root"
        root.mkdir()
        tree.lay(root)
        with (scratch / "server.log").open("w") as log:
            process, port = start_server(root, arguments.engine, log)
            try:
                clean = judge_all(arguments.only, "127.0.0.1", port, scratch)
                if process.poll() is not None:
                    clean = False
                    print(f"the server ended by itself: {process.returncode}")
            finally:
                process.terminate()
                process.wait(30)
        sys.exit(not clean)


if __name__ == "__main__":
    main()
