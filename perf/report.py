"""Turns the figures of a run into tables. Knows nothing of how they were taken."""

from statistics import median

from targets import median_of, verdicts
from workloads import BY_NAME

COLUMNS = {
    "load": [
        ("CPU µs", "cpu_us", 2), ("user", "user_us", 2), ("system", "system_us", 2),
        ("req/s", "requests_s", 0), ("p50 µs", "p50_us", 0), ("p99 µs", "p99_us", 0),
        ("p99.9 µs", "p999_us", 0), ("B/req", "bytes_request", 0), ("RSS MB", "rss_bytes", 1),
    ],
    "idle": [("B/connection", "idle_bytes", 0), ("kernel B/connection", "kernel_bytes", 0),
             ("RSS MB", "rss_bytes", 1)],
    "start": [("start ms", "start_ms", 1), ("RSS MB", "rss_bytes", 1)],
}
COLUMNS["walk"] = COLUMNS["scatter"] = COLUMNS["handshake"] = COLUMNS["load"]
COLUMNS["gate"] = [*COLUMNS["load"], ("log B/req", "log_bytes", 0)]
COLUMNS["put"] = [
    ("PUT µs", "put_us", 1), ("PUT/s", "requests_s", 0), ("p50 µs", "p50_us", 0),
    ("p99 µs", "p99_us", 0), ("CPU µs", "cpu_us", 1), ("flushes/PUT", "flushes", 2),
    ("RSS MB", "rss_bytes", 1),
]
HELD = [("growth MB", "growth_bytes", 2), ("of it anonymous MB", "anonymous_bytes", 2),
        ("highest MB", "highest_bytes", 1)]
COLUMNS["upload"] = [("CPU s", "cpu_s", 3), ("user", "user_s", 3), ("system", "system_s", 3),
                     ("s", "upload_s", 2), *HELD]
COLUMNS["addresses"] = [*HELD, ("CPU µs", "cpu_us", 2), ("req/s", "requests_s", 0),
                        ("requests", "requests", 0)]
COLUMNS["compress"] = [
    ("CPU µs", "cpu_us", 2), ("user", "user_us", 2), ("system", "system_us", 2),
    ("total ms", "total_ms", 1), ("B/req", "bytes_request", 0), ("last B", "last_bytes", 0),
    ("coded", "coded_share", 3), ("RSS MB", "rss_bytes", 1),
]
COLUMNS["cold"] = [
    ("answer µs", "answer_us", 0), ("first byte µs", "first_byte_us", 0),
    ("when quiet µs", "quiet_us", 0), ("its first byte µs", "quiet_first_byte_us", 0),
    ("B/req", "bytes_request", 0), ("RSS MB", "rss_bytes", 1),
]
MAIN_FIGURE = {"load": "cpu_us", "walk": "cpu_us", "scatter": "cpu_us", "handshake": "cpu_us",
               "compress": "cpu_us", "cold": "quiet_us", "idle": "idle_bytes", "start": "start_ms",
               "gate": "cpu_us", "put": "put_us", "upload": "cpu_s", "addresses": "growth_bytes"}
IN_MEGABYTES = {"rss_bytes", *[figure for _, figure, _ in HELD]}

FOREIGN_SHARE_MAX = 0.05
STEAL_SHARE_MAX = 0.02


def number(value, digits):
    return f"{value:,.{digits}f}"


def spread(values, figure, digits):
    """Median (min–max); megabytes for memory; a dash where there is no such figure."""
    if not values:
        return "–"
    if figure in IN_MEGABYTES:
        values = [value / 1e6 for value in values]
    middle = number(median(values), digits)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values), digits)}–{number(max(values), digits)})"


def table_of(workload, by_server):
    """One Markdown table: a line for each server, the median with its spread in each cell."""
    columns = COLUMNS[workload.kind]
    rows = [["server", *[title for title, _, _ in columns]]]
    for server, rounds in by_server.items():
        cells = [spread([figures[key] for figures in rounds if key in figures], key, digits)
                 for _, key, digits in columns]
        rows.append([server, *cells])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def ratios_of(workload, results):
    """Ours over each other server, by the workload's main figure."""
    figure = MAIN_FIGURE[workload.kind]
    ours = median_of(results, workload.name, workload.ours, figure)
    others = [server for server in results[workload.name] if server != workload.ours]
    parts = []
    for server in others:
        theirs = median_of(results, workload.name, server, figure)
        if ours is not None and theirs:
            parts.append(f"{workload.ours}/{server} {ours / theirs:.2f}")
    return f"{figure}: " + ", ".join(parts) if parts else ""


def noise_of(results):
    """What disturbed the run: other programs on the server's core, and the hypervisor."""
    lines = []
    for name, by_server in results.items():
        for server, rounds in by_server.items():
            for index, figures in enumerate(rounds):
                foreign, steal = figures.get("foreign_share", 0), figures.get("steal_share", 0)
                if foreign > FOREIGN_SHARE_MAX or steal > STEAL_SHARE_MAX:
                    lines.append(f"- {name}, {server}, round {index + 1}: others took "
                                 f"{foreign:.0%} of the server's core, the hypervisor {steal:.0%}")
    return lines


def targets_table(results):
    rows = [f"| {verdict.target.text()} | {verdict.value:,.4g} | "
            f"{'met' if verdict.met else '**not met**'} |" for verdict in verdicts(results)]
    if not rows:
        return []
    return ["## Targets", "", "| target | measured | |", "|---|---|---|", *rows, ""]


def render(results, environment):
    """The whole report as Markdown."""
    lines = [f"# {environment['date']}, {environment['kernel']}, {environment['cpu']}", "",
             f"`{environment['command']}` at {environment['revision']}; {environment['rounds']} "
             f"rounds of {environment['seconds']} s, medians (min–max).", ""]
    for name, by_server in results.items():
        workload = BY_NAME[name]
        lines += [f"## {name}: {workload.about}", "", table_of(workload, by_server), ""]
        ratios = ratios_of(workload, results)
        if ratios:
            lines += [ratios, ""]
    lines += targets_table(results)
    disturbed = noise_of(results)
    if disturbed:
        lines += ["## Disturbed: do not conclude from these", "", *disturbed, ""]
    return "\n".join(lines)
