"""The other servers: their configurations filled in, their commands and their environments.

What is set, and why, stands in the templates: `nginx/` and `h2o/`.
"""

import os
import re
import shutil
from pathlib import Path

PERF = Path(__file__).resolve().parent


def nginx_binary():
    return shutil.which("nginx") or "/usr/sbin/nginx"


def nginx_command(workload, values, scratch):
    protocols = (" ssl" if workload.tls else "") + \
        (" http2" if workload.protocol == "h2" else "")
    config = fill_in("nginx", workload, values | {
        "USER": "user root;" if os.geteuid() == 0 else "",
        "CPU_MASK": f"{1 << values['CPU']:b}",
        "PROTOCOLS": protocols,
    }, scratch)
    return [nginx_binary(), "-p", str(scratch), "-c", str(config)]


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
    values = values | {"SCRATCH": scratch}
    config = scratch / f"{name}.conf"
    config.write_text(re.sub(r"@([A-Z_]+)@", lambda match: str(values.get(match[1], match[0])),
                             text))
    return config
