"""How one figure is taken: CPU and memory from /proc, load from wrk."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import clients
import servers
import workloads

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOAD_LUA = Path(__file__).resolve().parent / "wrk/load.lua"
STARTS_A_ROUND = 5
SETTLE_S = 1.0


class LoadFailed(Exception):
    """An error under load: a figure that hides one is worth nothing."""


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


def wrk(port, workload, seconds, paths_file=None):
    """One run of wrk on the client's core; returns what perf/wrk/load.lua prints."""
    mode = ["plain"]
    if workload.pipeline > 1:
        mode = ["pipeline", str(workload.pipeline)]
    if workload.kind == "walk":
        mode = ["walk", str(paths_file)]
    headers = [word for name, value in workload.headers.items()
               for word in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", str(servers.CLIENT_CPU), shutil.which("wrk"), "-t1",
               f"-c{workloads.CONNECTIONS}", f"-d{seconds}s", "--timeout", "60s", *headers,
               "-s", str(LOAD_LUA), f"http://127.0.0.1:{port}{workload.path}", "--", *mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 90)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise LoadFailed(f"wrk failed: {done.stdout}{done.stderr}")
    return json.loads(lines[-1])


def measure_load(running, workload, seconds, answer_bytes, paths_file=None, paths_count=0):
    """CPU per request, requests a second and latencies under load."""
    pids = running.pids()
    busy_before, steal_before = machine_ticks()
    cpu_before, started = Cpu.of(pids), time.monotonic()
    result = wrk(running.port, workload, seconds, paths_file)
    elapsed = time.monotonic() - started
    user_s, system_s = Cpu.of(pids).since(cpu_before)
    busy_after, steal_after = machine_ticks()
    if running.process.poll() is not None:
        raise LoadFailed(f"{running.name} ended under load")
    if any(result["errors"].values()):
        raise LoadFailed(f"{running.name}, {workload.name}: errors {result['errors']}")
    bytes_a_request = check_bytes(running, workload, result, answer_bytes, paths_count)
    requests = result["requests"]
    if workload.counted_by_bytes:
        requests = result["bytes"] / answer_bytes
    busy_s = (busy_after - busy_before) / TICKS_A_SECOND
    figures = {
        "cpu_us": (user_s + system_s) * 1e6 / requests,
        "user_us": user_s * 1e6 / requests,
        "system_us": system_s * 1e6 / requests,
        "requests_s": requests / (result["duration_us"] / 1e6),
        "bytes_request": bytes_a_request,
        "rss_bytes": resident_bytes(pids),
        "server_core_share": (user_s + system_s) / elapsed,
        "foreign_share": max(0.0, busy_s - user_s - system_s) / elapsed,
        "steal_share": (steal_after - steal_before) / TICKS_A_SECOND / elapsed,
        "requests": requests,
    }
    if workload.pipeline == 1:
        # wrk corrects its latencies for coordinated omission by a request's mean interval, which is
        # wrong by the depth when many requests are sent at once: then they mean nothing.
        figures |= {key: result[key] for key in ("p50_us", "p99_us", "p999_us")}
    return figures


def check_bytes(running, workload, result, answer_bytes, paths_count):
    """Every answer must be as long as the one that was checked. What the end of the run cut off may
    add up to one answer a connection, or one batch of them."""
    bytes_a_request = result["bytes"] / max(1, result["requests"])
    if workload.kind == "walk":
        if result["requests"] < paths_count:
            raise LoadFailed(f"{running.name}: the run was too short to visit every page once")
        return bytes_a_request
    cut_off = workloads.CONNECTIONS * workload.pipeline * answer_bytes
    surplus = result["bytes"] - result["requests"] * answer_bytes
    if not 0 <= surplus <= cut_off:
        raise LoadFailed(f"{running.name}, {workload.name}: {bytes_a_request:.1f} bytes a request, "
                         f"expected {answer_bytes}")
    return answer_bytes


def measure_idle(running, workload, count):
    """Growth of memory by connections that have asked once and wait."""
    clients.warm_up(running.port, workload.path)
    time.sleep(SETTLE_S)
    pids = running.pids()
    before, slab_before = resident_bytes(pids), kernel_slab_bytes()
    opened = clients.open_idle(running.port, workload.path, count)
    time.sleep(SETTLE_S)
    after, slab_after = resident_bytes(pids), kernel_slab_bytes()
    for client in opened:  # Each must still be alive: a closed one costs nothing.
        if client.get(workload.path)[0] != 200:
            raise LoadFailed(f"{running.name}: an idle connection was lost")
        client.close()
    return {
        "idle_bytes": (after - before) / count,
        "kernel_bytes": (slab_after - slab_before) / count,
        "rss_bytes": after,
    }


def measure_start(name, root, workload, scratch):
    """Exec to first answer, and the memory held then; the median of a few starts."""
    times, resident = [], []
    expected = workloads.body(workload.body_bytes)
    for _ in range(STARTS_A_ROUND):
        started_at = time.perf_counter()
        running = servers.start(name, root, workload.body_bytes, scratch, wait=False)
        try:
            times.append(clients.time_to_first_answer(running, workload.path, expected, started_at))
            resident.append(resident_bytes(running.pids()))
        finally:
            running.stop()
    times.sort()
    resident.sort()
    return {"start_ms": times[len(times) // 2] * 1e3, "rss_bytes": resident[len(resident) // 2]}
