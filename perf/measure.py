"""How one figure is taken: CPU and memory from /proc, load from the programs of `loads`."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import clients
import servers
from loads import LoadFailed, make_load

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STARTS_A_ROUND = 5
SETTLE_S = 1.0
# By which the mean of answers at random may differ from that of all files.
SCATTER_TOLERANCE = 0.03
# By which answers may differ that say what is left of a limit.
LIMITED_TOLERANCE = 0.02


@dataclass
class Cpu:
    """CPU time of a server's processes so far."""

    run_ns: dict  # by thread: exact
    user_ticks: int
    system_ticks: int

    @staticmethod
    def of(pids):
        run_ns, user, system = {}, 0, 0
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                run_ns[task.name] = int((task / "schedstat").read_text().split()[0])
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11])
            system += int(fields[12])
        return Cpu(run_ns, user, system)

    def since(self, before):
        """Seconds of user and system time since `before`.

        The total is the threads' run time in nanoseconds (kernel workers of io_uring are threads of
        the process); ticks of 10 ms give only the split. Where a thread ended meanwhile, its run
        time is gone from its file but not from the process's ticks, which then give the total.
        """
        user = self.user_ticks - before.user_ticks
        system = self.system_ticks - before.system_ticks
        ticks_s = (user + system) / TICKS_A_SECOND
        total_s = (sum(self.run_ns.values()) - sum(before.run_ns.values())) / 1e9
        if not before.run_ns.keys() <= self.run_ns.keys() or total_s <= 0:
            total_s = ticks_s
        user_share = user / (user + system) if user + system else 0.0
        return total_s * user_share, total_s * (1 - user_share)


def resident_bytes(pids):
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * PAGE_BYTES


def kernel_slab_bytes():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:"))


def machine_ticks():
    """Busy and stolen ticks of the server's core since boot."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{servers.SERVER_CPU} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return user + nice + system + irq + softirq, steal
    raise RuntimeError("the server's core is not in /proc/stat")


@dataclass(frozen=True)
class Paths:
    """What a walk over files asks for."""

    file: Path  # one path a line
    all: list
    mean_bytes: float  # of the files' lengths


def measure_load(running, workload, seconds, site, answer_bytes, paths=None):
    """CPU per request, requests a second and latencies under load; `paths` where it walks."""
    load, spent = spent_over(running, lambda: make_load(workload, running.port, seconds, site,
                                                        paths and paths.file))
    bytes_a_request = check_bytes(running, workload, load, answer_bytes, paths)
    return per_request(load, spent, counted(workload, load, answer_bytes)) | {
        "bytes_request": bytes_a_request,
        "rss_bytes": resident_bytes(running.pids()),
    }


@dataclass(frozen=True)
class Spent:
    """What a server spent while something happened."""

    user_s: float
    system_s: float
    disturbance: dict  # figures that say how far it had its core to itself

    @property
    def cpu_s(self):
        return self.user_s + self.system_s


def spent_over(running, happening):
    """What `happening` returns, and what the server spent meanwhile: all of its threads."""
    pids = running.pids()
    busy_before, steal_before = machine_ticks()
    cpu_before, started = Cpu.of(pids), time.monotonic()
    result = happening()
    elapsed = time.monotonic() - started
    user_s, system_s = Cpu.of(pids).since(cpu_before)
    busy_after, steal_after = machine_ticks()
    if running.process.poll() is not None:
        raise LoadFailed(f"{running.name} ended under load")
    busy_s = (busy_after - busy_before) / TICKS_A_SECOND
    return result, Spent(user_s, system_s, {
        "server_core_share": (user_s + system_s) / elapsed,
        "foreign_share": max(0.0, busy_s - user_s - system_s) / elapsed,
        "steal_share": (steal_after - steal_before) / TICKS_A_SECOND / elapsed,
    })


def per_request(load, spent, requests):
    """The figures of every load."""
    return {
        "cpu_us": spent.cpu_s * 1e6 / requests,
        "user_us": spent.user_s * 1e6 / requests,
        "system_us": spent.system_s * 1e6 / requests,
        "requests_s": requests / load.duration_s,
        "requests": requests,
    } | spent.disturbance | load.latencies


def counted(workload, load, answer_bytes):
    """Requests, by bytes where those that the end of the run cuts off weigh."""
    if not workload.counted_by_bytes:
        return load.requests
    if load.body_bytes is not None:
        return load.body_bytes / workload.body_bytes
    return load.bytes / answer_bytes


def check_bytes(running, workload, load, answer_bytes, paths=None):
    """Every answer must be as long as the one that was checked; returns the bytes of one. What the
    end of the run cut off may add up to one answer for each request in flight."""
    bytes_a_request = load.bytes / max(1, load.requests)
    if workload.kind == "walk":
        if load.requests < len(paths.all):
            raise LoadFailed(f"{running.name}: the run was too short to visit every page once")
        return bytes_a_request
    if workload.kind == "scatter":  # Of so many at random, the mean is known.
        share = bytes_a_request / (paths.mean_bytes + answer_bytes)
        if abs(share - 1) > SCATTER_TOLERANCE:
            raise LoadFailed(f"{running.name}: {bytes_a_request:.0f} bytes a request, expected "
                             f"about {paths.mean_bytes + answer_bytes:.0f}")
        return bytes_a_request
    if workload.kind in ("gate", "addresses"):  # What is left of a limit may have fewer digits.
        if abs(bytes_a_request / answer_bytes - 1) > LIMITED_TOLERANCE:
            raise LoadFailed(f"{running.name}: {bytes_a_request:.0f} bytes a request, expected "
                             f"about {answer_bytes}")
        return bytes_a_request
    if load.body_bytes is None:
        received, one = load.bytes, answer_bytes
    else:  # Header blocks of HTTP/2 shrink as its tables fill: the bodies are compared.
        received, one = load.body_bytes, workload.body_bytes
        answer_bytes = load.bytes * workload.body_bytes / max(1, load.body_bytes)
    surplus = received - load.requests * one
    if not 0 <= surplus <= workload.in_flight * one:
        raise LoadFailed(f"{running.name}, {workload.name}: {received / max(1, load.requests):.1f} "
                         f"bytes a request, expected {one}")
    return answer_bytes


def measure_idle(running, workload):
    """Growth of memory by connections that have asked once and wait."""
    clients.warm_up(workload, running.port)
    time.sleep(SETTLE_S)
    pids = running.pids()
    before, slab_before = resident_bytes(pids), kernel_slab_bytes()
    opened = clients.open_idle(workload, running.port)
    time.sleep(SETTLE_S)
    after, slab_after = resident_bytes(pids), kernel_slab_bytes()
    for client in opened:  # Each must still be alive: a closed one costs nothing.
        if client.get(workload.path)[0] != 200:
            raise LoadFailed(f"{running.name}: an idle connection was lost")
        client.close()
    return {
        "idle_bytes": (after - before) / workload.connections,
        "kernel_bytes": (slab_after - slab_before) / workload.connections,
        "rss_bytes": after,
    }


def measure_start(name, site, workload, scratch):
    """Exec to first answer, and the memory held then; the median of a few starts."""
    times, resident = [], []
    for _ in range(STARTS_A_ROUND):
        started_at = time.perf_counter()
        running = servers.start(name, workload, site, scratch, wait=False)
        try:
            times.append(clients.time_to_first_answer(workload, running, started_at))
            resident.append(resident_bytes(running.pids()))
        finally:
            running.stop()
    times.sort()
    resident.sort()
    return {"start_ms": times[len(times) // 2] * 1e3, "rss_bytes": resident[len(resident) // 2]}
