"""Measures downpour, its engines, nginx, h2o and the floors, interleaved, and says what came out.

Every round goes over all workloads, every workload over all servers, each started afresh; the order
of the servers turns by one from round to round. What each figure means stands in perf/README.md.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import backend
import clients
import cold
import loads
import measure
import prepare
import report
import rules
import servers
import workloads
from targets import verdicts

RECORDS = servers.PROJECT / "perf/record"
SECONDS_MIN = 3
DESCRIPTORS = 20000


def words(text):
    return [word for word in text.split(",") if word]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/perf", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=5,
                        help=f"length of one load run, at least {SECONDS_MIN} (default 5)")
    parser.add_argument("--only", type=words, nargs="+", metavar="WORKLOAD",
                        help=f"only these: {' '.join(workloads.BY_NAME)}, or all of a group: "
                             f"{' '.join(workloads.GROUPS)}")
    parser.add_argument("--servers", type=words, nargs="+", metavar="SERVER",
                        help=f"only these: {' '.join(servers.NAMES)}")
    parser.add_argument("--quick", action="store_true",
                        help="one round of the shortest runs: does it work, not how fast is it")
    parser.add_argument("--record", action="store_true",
                        help="keep the results under perf/record/")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, SECONDS_MIN
    if arguments.seconds < SECONDS_MIN:
        parser.error(f"--seconds: less than {SECONDS_MIN} s cannot be measured with ticks of 10 ms")
    if arguments.rounds < 1:
        parser.error("--rounds: at least one")
    groups = arguments.only and [of_group(parser, word) for given in arguments.only
                                 for word in given]
    arguments.only = chosen(parser, "--only", groups, workloads.BY_NAME)
    all_servers = not arguments.servers
    arguments.servers = chosen(parser, "--servers", arguments.servers, servers.NAMES)
    useful = [server for server in arguments.servers
              if any(workloads.BY_NAME[name].runs_on(server) for name in arguments.only)]
    if not all_servers and useful != arguments.servers:
        idle = [server for server in arguments.servers if server not in useful]
        parser.error(f"--servers: {', '.join(idle)} can run none of these workloads")
    arguments.servers = useful
    return arguments


def of_group(parser, word):
    """The workloads that a word names: one, or all of a group."""
    names = workloads.named(word)
    if not names:
        parser.error(f"--only: there is no {word}; there are {', '.join(workloads.BY_NAME)} and "
                     f"the groups {', '.join(workloads.GROUPS)}")
    return names


def chosen(parser, flag, groups, known):
    """The named ones in the order of `known`; all without a choice."""
    names = [name for group in groups or [known] for name in group]
    for name in names:
        if name not in known:
            parser.error(f"{flag}: there is no {name}; there are {', '.join(known)}")
    return [name for name in known if name in names]


class Run:
    """One interleaved run over a served tree of its own."""

    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.scratch = scratch
        self.site = prepare.make_site(scratch)
        prepare.lay_root(self.site.root, arguments.only)
        self.walks = prepare.lay_paths(self.site.root, scratch, arguments.only)
        self.results = {}
        self.failures = []

    def all_rounds(self):
        for index in range(self.arguments.rounds):
            turn = index % len(self.arguments.servers)
            order = self.arguments.servers[turn:] + self.arguments.servers[:turn]
            for name in self.arguments.only:
                for server in order:
                    if workloads.BY_NAME[name].runs_on(server):
                        self.one(index, workloads.BY_NAME[name], server)

    def one(self, index, workload, server):
        label = f"round {index + 1}, {workload.name}, {server}"
        try:
            figures = self.measure(workload, server)
        except (servers.ServerFailed, clients.WrongAnswer, loads.LoadFailed, OSError) as error:
            self.failures.append(f"{label}: {error}")
            print(f"FAILED {self.failures[-1]}", flush=True)
            return
        main = report.MAIN_FIGURE[workload.kind]
        print(f"{label}: {main} {figures[main]:.2f}", flush=True)
        by_server = self.results.setdefault(workload.name, {})
        by_server.setdefault(server, []).append(figures)

    def measure(self, workload, server):
        if workload.kind == "start":
            return measure.measure_start(server, self.site, workload, self.scratch)
        workload = workload.on(server)
        if self.arguments.quick:
            workload = workload.shortened()
        if workload.kind == "put" and server in backend.LOOPS:
            return backend.measure_loop(workload, self.arguments.seconds, self.site)
        running = servers.start(server, workload, self.site, self.scratch)
        try:
            running.check_engine()
            if workload.kind == "compress":
                return cold.measure_compress(running, workload, self.site)
            if workload.kind == "cold":
                return cold.measure_cold(running, workload, self.site)
            if workload.kind in backend.MEASURES:
                return backend.MEASURES[workload.kind](running, workload, self.arguments.seconds,
                                                       self.site)
            return self.measure_warm(running, workload)
        finally:
            running.stop()

    def measure_warm(self, running, workload):
        """A server that has answered rightly before the clock starts."""
        workload = clients.with_validator(workload, running.port)
        answer_bytes = clients.check_answer(workload, running.port, self.site.root)
        if workload.wants == rules.ADDED:
            clients.check_redirects(workload, running.port, rules.TRIED)
        if workload.kind == "idle":
            return measure.measure_idle(running, workload)
        paths = self.walks.get(workload.kind)
        if paths:
            head_bytes = clients.walk_site(workload, running.port, self.site.root, paths.all)
            answer_bytes = head_bytes if workload.kind == "scatter" else answer_bytes
        elif not workload.close:
            clients.warm_up(workload, running.port, 200 if answer_bytes < 1e6 else 10)
        return measure.measure_load(running, workload, self.arguments.seconds, self.site,
                                    answer_bytes, paths)

    def in_order(self):
        """The results with servers in their usual order, whichever came first in a round."""
        return {name: {server: by_server[server] for server in servers.NAMES if server in by_server}
                for name, by_server in self.results.items()}


def tools_of(arguments):
    """The programs that make load in this run."""
    tools = {workloads.BY_NAME[name].tool for name in arguments.only}
    return sorted(tool for tool in tools if tool)


def needs_of(arguments):
    """The programs that some workload needs beside."""
    return sorted({need for name in arguments.only for need in workloads.BY_NAME[name].needs})


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=servers.PROJECT, check=False)
    return (done.stdout + done.stderr).strip()


def environment_of(arguments):
    """All that someone else needs to judge or repeat the run."""
    cpu = next((line.partition(":")[2].strip() for line in
                Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
               platform.machine())
    dirty = bool(output_of("git", "status", "--porcelain"))
    return {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["scripts/perf", *sys.argv[1:]]),
        "revision": output_of("git", "rev-parse", "HEAD") + (" with changes" if dirty else ""),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "kernel": platform.release(),
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average_before": os.getloadavg(),
        "server_cpu": servers.SERVER_CPU,
        "client_cpu": servers.CLIENT_CPU,
        "scratch": backend.file_system_of(tempfile.gettempdir()),
        "rustc": output_of("rustc", "--version"),
        "tools": {tool: loads.version_of(tool) for tool in tools_of(arguments)},
        "openssl": output_of("openssl", "version"),
        "servers": {name: servers.version_of(name) for name in arguments.servers},
    }


def record(results, environment, text):
    """Writes a dated record; a second one of the same day gets a number."""
    name = f"{environment['date']}-{environment['kernel']}"
    target, number = RECORDS / name, 2
    while target.exists():
        target, number = RECORDS / f"{name}-{number}", number + 1
    target.mkdir(parents=True)
    (target / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (target / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    (target / "table.md").write_text(text + "\n")
    print(f"recorded in {target.relative_to(servers.PROJECT)}")


def main():
    arguments = parse_arguments()
    if (os.cpu_count() or 1) < 2:
        sys.exit("scripts/perf needs two cores: one for the server, one for the client")
    clients.raise_descriptor_limit(DESCRIPTORS)
    try:
        prepare.install_packages(arguments.servers,
                                 tools_of(arguments) + needs_of(arguments))
        prepare.build_programs(arguments.servers, tools_of(arguments))
    except prepare.CannotPrepare as error:
        sys.exit(f"scripts/perf: {error}")
    environment = environment_of(arguments)
    os.sched_setaffinity(0, {servers.CLIENT_CPU})
    with tempfile.TemporaryDirectory(prefix="downpour-perf-") as scratch:
        try:
            run = Run(arguments, Path(scratch))
        except prepare.CannotPrepare as error:
            sys.exit(f"scripts/perf: {error}")
        run.all_rounds()
    results = run.in_order()
    text = report.render(results, environment)
    print(f"\n{text}")
    if run.failures:
        sys.exit("FAILED, no record is kept:\n" + "\n".join(run.failures))
    if arguments.record:
        record(results, environment, text)
    missed = [verdict for verdict in verdicts(results) if not verdict.met]
    print(f"targets: {len(verdicts(results)) - len(missed)} met, {len(missed)} not met")


if __name__ == "__main__":
    main()
