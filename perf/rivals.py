"""The other servers: their configurations filled in, their commands and their environments.

What is set, and why, stands in the templates: `nginx/` and `h2o/`.
"""

import os
import re
import resource
import shutil
import subprocess
from pathlib import Path

import rules

PERF = Path(__file__).resolve().parent
# For the tree of many files: what nginx's cache is to hold, and what is left for all else.
FILES_WANTED = 100_000
FILES_SPARE = 1000


def nginx_binary():
    return shutil.which("nginx") or "/usr/sbin/nginx"


def nginx_command(workload, values, scratch, with_rules=False):
    protocols = (" ssl" if workload.tls else "") + \
        (" http2" if workload.protocol == "h2" else "")
    config = fill_in("nginx", workload, values | {
        "USER": "user root;" if os.geteuid() == 0 else "",
        "CPU_MASK": f"{1 << values['CPU']:b}",
        "PROTOCOLS": protocols,
        "MAPS": rules.nginx_maps() if with_rules else nginx_part(workload, "-http", scratch),
        "OWN": rules.nginx_locations() if with_rules else nginx_part(workload, "", scratch),
    } | nginx_room(workload), scratch)
    return [nginx_binary(), "-p", str(scratch), "-c", str(config)]


def nginx_part(workload, suffix, scratch):
    """What its server block has for this workload alone; with `-http` what is outside of that."""
    part = PERF / f"nginx/{workload.nginx}{suffix}.conf"
    if not workload.nginx or not part.exists():
        return ""
    return filled(part.read_text().rstrip("\n"), {"SCRATCH": scratch})


def nginx_room(workload):
    """Its descriptors, and how they are divided. Each file that it remembers is an open one; where
    many files count, all that the system allows are for files."""
    if workload.kind != "scatter":
        return {"DESCRIPTORS": 20000, "CONNECTIONS": 20000, "FILES": 20000, "INACTIVE": "300s"}
    descriptors = min(FILES_WANTED + FILES_SPARE, descriptors_max())
    return {"DESCRIPTORS": descriptors, "CONNECTIONS": FILES_SPARE // 2,
            "FILES": descriptors - FILES_SPARE, "INACTIVE": "1h"}


def descriptors_max():
    """How many descriptors one process may have here; only the kernel can say whether the limit may
    be raised, so a child tries."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED + FILES_SPARE
    tried = subprocess.run(["prlimit", f"--nofile={wanted}:{wanted}", "true"], check=False,
                           capture_output=True)
    return wanted if tried.returncode == 0 else hard


def h2o_command(workload, values, scratch):
    # Beside its default user, which could not read the served files, it wants one named for root.
    user = "user: root" if os.geteuid() == 0 else ""
    config = fill_in("h2o", workload, values | {"USER": user}, scratch)
    return [shutil.which("h2o") or "h2o", "-c", str(config)]


def h2o_environment():
    return {"OPENSSL_CONF": str(PERF / "h2o/openssl.cnf")}


def fill_in(name, workload, values, scratch):
    """Writes the configuration of `name` into `scratch`: @KEY@ becomes the value of that name."""
    tls = (PERF / name / "tls.conf").read_text().rstrip("\n") if workload.tls else ""
    text = (PERF / name / f"{name}.conf").read_text().replace("@TLS@", tls)
    config = scratch / f"{name}.conf"
    config.write_text(filled(text, values | {"SCRATCH": scratch}))
    return config


def filled(text, values):
    return re.sub(r"@([A-Z_]+)@", lambda match: str(values.get(match[1], match[0])), text)
