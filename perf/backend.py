"""Figures of what a backend does: guarded hits, writes, and many clients against a limit.

Whatever was written, to the log or under the root, is looked at afterwards: a figure of a server
that left something out is worth nothing.
"""

import json
import os
import resource
import shutil
import time
from pathlib import Path

import clients
import cold
import gate
import loads
import measure
import memory
import servers
import workloads
from loads import LoadFailed
from workloads import WrongAnswer

WARM_UP_REQUESTS = 200
LOG_WITHIN_S, LOG_QUIET_S = 10, 0.5
CHUNK_BYTES = 1 << 20

# Where PUTs are compared with the bare loop instead of a server.
LOOPS = ("floor", "floor-one")
LEFTOVERS_WITHIN_S = 10
NOT_ON_A_DISK = ("tmpfs", "ramfs")
FLUSHES_FIELD = 15  # of the block device's stat: requests that the disk empty its cache

UPLOAD_MARKS = 16  # places of the sparse file that hold something
CREATED_OR_REPLACED = (200, 201, 204)

ADDRESSES_WITHIN_S = 600
ASKS_BEYOND_THE_LIMIT = 40
# Of RFC 5737: none that the load uses.
TRIED_ADDRESSES = ("192.0.2.1", "192.0.2.2")


def measure_gate(running, workload, seconds, site):
    """A load whose every request is logged. What the log costs counts until its last line."""
    log = running.log.with_name(gate.LOG_FILE)
    answer_bytes = clients.check_answer(workload, running.port, site.root)
    asked = 1 + check_closed(running, workload)
    clients.warm_up(workload, running.port, WARM_UP_REQUESTS)
    before = settled_lines(log, asked + WARM_UP_REQUESTS)
    bytes_before = log.stat().st_size

    def happening():
        load = loads.make_load(workload, running.port, seconds, site)
        return load, settled_lines(log, before + load.requests)

    (load, after), spent = measure.spent_over(running, happening)
    bytes_a_request = measure.check_bytes(running, workload, load, answer_bytes)
    if after - before > load.requests + workload.in_flight:
        raise LoadFailed(f"{running.name}: {after - before} lines for {load.requests} requests")
    check_last_line(running, workload, log)
    log_bytes = (log.stat().st_size - bytes_before) / (after - before)
    log.unlink()  # A hundred megabytes and more.
    return measure.per_request(load, spent, load.requests) | {
        "bytes_request": bytes_a_request,
        "rss_bytes": measure.resident_bytes(running.pids()),
        "log_bytes": log_bytes,
    }


def check_closed(running, workload):
    """The gate must be shut to who has no token; returns how often it asked. nginx has none."""
    if running.name not in servers.ENGINES:
        return 0
    client = clients.connect(workload, running.port)
    status, _, _, _ = client.get(workload.path)
    client.close()
    if status != 401:
        raise WrongAnswer(f"status {status} without a token, expected 401")
    return 1


def settled_lines(log, at_least):
    """The lines of a log when there are enough and no more come. Fewer: some were dropped."""
    deadline, found, since = time.monotonic() + LOG_WITHIN_S, -1, 0.0
    while time.monotonic() < deadline:
        lines = count_lines(log)
        if lines != found:
            found, since = lines, time.monotonic()
        elif found >= at_least and time.monotonic() - since > LOG_QUIET_S:
            return found
        time.sleep(LOG_QUIET_S / 5)
    raise LoadFailed(f"{log.name} has {found} lines for {at_least} requests")


def count_lines(log):
    if not log.exists():
        return 0
    with log.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))


def check_last_line(running, workload, log):
    """The line must say what was asked and what was answered; ours is an object of JSON."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 10_000))
        line = file.read().decode().splitlines()[-1]
    is_right = workload.path in line and "200" in line
    if running.name in servers.ENGINES:
        try:
            is_right &= isinstance(json.loads(line), dict)
        except ValueError:
            is_right = False
    if not is_right:
        raise WrongAnswer(f"the log's last line is {line!r}")


def measure_put(running, workload, seconds, site):
    """Durable PUTs that replace files, each of another name."""
    directory = lay_names(workload, site)
    check_put(running, workload, site)
    flushes_before = device_flushes(directory)
    load, spent = measure.spent_over(
        running, lambda: loads.make_load(workload, running.port, seconds, site))
    flushes = flushes_between(flushes_before, device_flushes(directory), load.requests)
    check_names(workload, directory, load.requests)
    return put_figures(load) | measure.per_request(load, spent, load.requests) | flushes | {
        "rss_bytes": measure.resident_bytes(running.pids()),
    }


def measure_loop(workload, seconds, site):
    """The same writes by the bare loop, on the server's core, a thread for each connection."""
    directory = lay_names(workload, site)
    command = [servers.FLOOR_PUT, "--directory", directory, "--threads", workload.connections,
               "--seconds", seconds, "--bytes", workload.body_bytes, "--names", workload.names]
    flushes_before = device_flushes(directory)
    used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = loads.output_of(command, seconds, cpu=servers.SERVER_CPU)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    load = loads.load_of(loads.last_json("the bare loop", output))
    flushes = flushes_between(flushes_before, device_flushes(directory), load.requests)
    check_names(workload, directory, load.requests)
    cpu_s = (used.ru_utime - used_before.ru_utime) + (used.ru_stime - used_before.ru_stime)
    return put_figures(load) | flushes | {
        "cpu_us": cpu_s * 1e6 / load.requests,
        "requests_s": load.requests / load.duration_s,
        "requests": load.requests,
    }


def put_figures(load):
    """The time from one PUT's end to the next one's, however many are under way."""
    return {"put_us": load.duration_s * 1e6 / max(1, load.requests)} | load.latencies


def names_of(workload):
    return [f"name-{number}.txt" for number in range(workload.names)]


def lay_names(workload, site):
    """Files of another content, of which every PUT replaces one, all on the disk. Not in a memory
    file system: there a PUT waits for nothing."""
    directory = site.root / workload.path.strip("/")
    if file_system_of(site.root) in NOT_ON_A_DISK:
        raise WrongAnswer(f"{site.root} is in memory: let TMPDIR name a directory on a disk")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name in names_of(workload):
        (directory / name).write_bytes(old_content(workload))
    os.sync()
    return directory


def old_content(workload):
    return workloads.body(workload.body_bytes)[::-1]


def check_put(running, workload, site):
    """One PUT must be on the disk and in the next answer."""
    path = f"{workload.path}{names_of(workload)[0]}"
    content = workloads.body(workload.body_bytes)
    source = site.root.with_name("put.bin")
    source.write_bytes(content)
    client = clients.connect(workload, running.port)
    client.get(path)  # It may remember what it is to forget.
    with source.open("rb") as file:
        status, _, _, _ = client.put(path, file, workload.body_bytes)
    if status not in CREATED_OR_REPLACED:
        raise WrongAnswer(f"PUT {path}: status {status}")
    status, _, body, _ = client.get(path)
    client.close()
    if (status, body) != (200, content) or stored(site, path).read_bytes() != content:
        raise WrongAnswer(f"GET {path} after its PUT: status {status}, {len(body)} bytes")


def stored(site, path):
    return site.root / path.lstrip("/")


def check_names(workload, directory, requests):
    """All that was answered is there, each file is the old or the new one, nothing is left over.
    What the end of the run cut off may take a moment to be tidied away."""
    names = set(names_of(workload))
    deadline = time.monotonic() + LEFTOVERS_WITHIN_S
    while (found := set(os.listdir(directory))) != names:
        if time.monotonic() > deadline:
            raise WrongAnswer(f"{directory.name} has {sorted(found ^ names)[:5]} too many or less")
        time.sleep(0.05)
    new, old, replaced = workloads.body(workload.body_bytes), old_content(workload), 0
    for name in names:
        content = (directory / name).read_bytes()
        if content not in (new, old):
            raise WrongAnswer(f"{name} has {len(content)} bytes that are neither old nor new")
        replaced += content == new
    if replaced < min(requests, len(names)) - workload.in_flight:
        raise WrongAnswer(f"{replaced} of {len(names)} files were replaced by {requests} PUTs")


def file_system_of(path):
    """The type of the file system that holds `path`; empty where the kernel does not say."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0]
    return ""


def device_flushes(path):
    """How often the disk below `path` was asked to empty its cache; None where nobody counts."""
    device = os.stat(path).st_dev
    sysfs = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not sysfs.exists():
        return None
    sysfs = sysfs.resolve()
    whole = sysfs.parent if (sysfs / "partition").exists() else sysfs
    fields = (whole / "stat").read_text().split()
    return int(fields[FLUSHES_FIELD]) if len(fields) > FLUSHES_FIELD else None


def flushes_between(before, after, requests):
    if before is None or after is None:
        return {}
    return {"flushes": (after - before) / max(1, requests)}


def measure_upload(running, workload, _seconds, site):
    """One PUT of a gigabyte: what it costs, and what the server holds meanwhile."""
    source = upload_source(workload, site)
    target = stored(site, workload.path)
    target.parent.mkdir(exist_ok=True)
    upload(running, workload, source, 10 * workloads.KILOBYTE, f"{workload.path}.first")
    cold.wait_until_quiet(running.pids())

    def happening():
        started = time.monotonic()
        upload(running, workload, source, workload.body_bytes, workload.path)
        upload_s = time.monotonic() - started
        cold.wait_until_quiet(running.pids())
        return upload_s

    with memory.Watch(running.pids()) as watch:
        upload_s, spent = measure.spent_over(running, happening)
        held = watch.figures()
    check_same(source, target)
    shutil.rmtree(target.parent)
    return held | spent.disturbance | {"cpu_s": spent.cpu_s, "user_s": spent.user_s,
                                       "system_s": spent.system_s, "upload_s": upload_s}


def upload_source(workload, site):
    """A sparse file, so that no disk is read, with a mark here and there."""
    source = site.root.with_name("upload.bin")
    if not source.exists():
        with source.open("wb") as file:
            for index in range(UPLOAD_MARKS):
                file.seek(index * (workload.body_bytes // UPLOAD_MARKS))
                file.write(b"mark %d" % index)
            file.truncate(workload.body_bytes)
    return source


def upload(running, workload, source, count, path):
    client = clients.connect(workload, running.port)
    with source.open("rb") as file:
        status, _, _, _ = client.put(path, file, count)
    client.close()
    if status not in CREATED_OR_REPLACED:
        raise WrongAnswer(f"PUT {path}: status {status}")


def check_same(source, target):
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        raise WrongAnswer(f"{target.name} is missing or of another length")
    with source.open("rb") as ours, target.open("rb") as theirs:
        while chunk := ours.read(CHUNK_BYTES):
            if chunk != theirs.read(CHUNK_BYTES):
                raise WrongAnswer(f"{target.name} differs from what was sent")


def measure_addresses(running, workload, _seconds, site):
    """Requests of which each comes from another address. A limit must hold before and after."""
    answer_bytes = clients.check_answer(workload, running.port, site.root)
    check_limited(running, workload, TRIED_ADDRESSES[0])
    with memory.Watch(running.pids()) as watch:
        load, spent = measure.spent_over(running, lambda: loads.make_load(
            workload, running.port, ADDRESSES_WITHIN_S, site))
        held = watch.figures()
    check_limited(running, workload, TRIED_ADDRESSES[1])
    measure.check_bytes(running, workload, load, answer_bytes)
    if load.requests < workload.requests:
        raise LoadFailed(f"{running.name}: {load.requests} of {workload.requests} requests within "
                         f"{ADDRESSES_WITHIN_S} s")
    return held | measure.per_request(load, spent, load.requests)


def check_limited(running, workload, address):
    """The first request of an address is answered, and not all of many."""
    client = clients.connect(workload, running.port)
    statuses = [client.get(workload.path, {"X-Forwarded-For": address})[0]
                for _ in range(ASKS_BEYOND_THE_LIMIT)]
    client.close()
    if statuses[0] != 200 or 429 not in statuses:
        raise WrongAnswer(f"{address} asked {len(statuses)} times and got {sorted(set(statuses))}, "
                          f"{statuses[0]} at first; expected 200, then 429")


MEASURES = {"gate": measure_gate, "put": measure_put, "upload": measure_upload,
            "addresses": measure_addresses}
