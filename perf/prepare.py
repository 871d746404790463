"""What a run needs: packages, programs, a certificate, the bodies and the site."""

import os
import shutil
import subprocess
from statistics import mean

import measure
import pages
import servers
import workloads

PACKAGES = {"nginx": "nginx-light", "h2o": "h2o", "wrk": "wrk", "h2load": "nghttp2-client",
            "openssl": "openssl", "brotli": "brotli"}
# A metapackage that depends on the documentation of the current major version: more than a thousand
# pages of about 15 KB. It is unpacked, not installed, since slim images leave /usr/share/doc out.
SITE_METAPACKAGE = "postgresql-doc"
SITE_PAGES_MIN = 300


class CannotPrepare(Exception):
    """Something is missing that the run cannot get by itself."""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise CannotPrepare(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def apt_update_once():
    """Package lists may be missing or old on a fresh machine."""
    if not apt_update_once.done:
        run("apt-get", "update", "-qq")
        apt_update_once.done = True


apt_update_once.done = False


def install_packages(server_names, tools):
    wanted = {"openssl", *tools}
    wanted |= {workloads.VARIANTS.get(name, name) for name in server_names}
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [package for program, package in PACKAGES.items()
               if program in wanted and not shutil.which(program, path=path)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotPrepare(f"please install {' and '.join(missing)} "
                            "(as root on Debian this would be done for you)")
    apt_update_once()
    # RUNLEVEL=1 keeps Debian from starting the packaged servers as services.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment)


def build_programs(server_names, tools):
    if any(name in servers.ENGINES for name in server_names):
        print("building downpour (release) …", flush=True)
        run("cargo", "build", "--release", "--quiet", cwd=servers.PROJECT)
    if {"floor", "floor-one"} & set(server_names):
        build_own("floor")
    if "handshakes" in tools:
        build_own("handshakes")


def build_own(name):
    """One of the programs below perf/, each a workspace of its own."""
    print(f"building perf/{name} (release) …", flush=True)
    run("cargo", "build", "--release", "--quiet", "--locked",
        "--manifest-path", servers.PROJECT / f"perf/{name}/Cargo.toml",
        "--target-dir", servers.PROJECT / f"target/{name}", cwd=servers.PROJECT)


def make_site(scratch):
    """A certificate as most sites have one (ECDSA with P-256), and where the root will be."""
    site = servers.Site(scratch / "root", scratch / "certificate.pem", scratch / "key.pem")
    # It signs itself and is no authority: so it can be trusted as it is, and verified.
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-keyout", site.key, "-out", site.certificate, "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext", "basicConstraints=critical,CA:FALSE")
    return site


def site_source():
    """The unpacked documentation package, fetched once and kept under target/."""
    kept = servers.PROJECT / "target/perf/site"
    if not kept.exists():
        unpack_site(kept)
    return kept


def unpack_site(kept):
    if not shutil.which("apt-get"):
        raise CannotPrepare("the site workload needs apt-get to fetch a documentation package; "
                            "leave it out with --only")
    partial = kept.with_name("site.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if os.geteuid() == 0:
        apt_update_once()
    depends = run("apt-cache", "depends", "--important", SITE_METAPACKAGE)
    package = next((word for line in depends.splitlines() for word in line.split()
                    if word.startswith(SITE_METAPACKAGE + "-")), None)
    if package is None:
        raise CannotPrepare(f"apt knows no package behind {SITE_METAPACKAGE}: run apt-get update")
    run("apt-get", "download", "-qq", package, cwd=partial)
    archive = next(partial.glob("*.deb"))
    run("dpkg-deb", "-x", archive, partial)
    archive.unlink()
    partial.rename(kept)


def lay_site(root):
    """Copies the pages into `root`; returns their paths, sorted, as a request spells them."""
    paths = []
    for page in sorted(site_source().rglob("*.html")):
        if page.is_symlink() or not page.is_file():
            continue
        target = root / "site" / page.name
        if target.exists():
            raise CannotPrepare(f"two pages are named {page.name}")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(page, target)
        paths.append(f"/site/{page.name}")
    if len(paths) < SITE_PAGES_MIN:
        raise CannotPrepare(f"the site has {len(paths)} pages, fewer than {SITE_PAGES_MIN}")
    return paths


# The files of the workloads that have their own.
LAYERS = {"brotli-10KB": pages.lay_sidecars, "range-64KB": pages.lay_large,
          "compress-100KB": pages.lay_compressible, "cold-compressible": pages.lay_cold}


def lay_root(root, names):
    """Everything that is served to the named workloads."""
    root.mkdir()
    workloads.write_bodies(root)
    for name in names:
        if name in LAYERS:
            LAYERS[name](root)


def lay_paths(root, scratch, names):
    """The trees that are walked, by the kind of walk."""
    found = {}
    if "site" in names:
        paths = lay_site(root)
        found["walk"] = paths, mean((root / path[1:]).stat().st_size for path in paths)
    if "files-100k" in names:
        print("writing 100,000 files …", flush=True)
        found["scatter"] = pages.lay_tree(root)
    walks = {}
    for kind, (paths, mean_bytes) in found.items():
        file = scratch / f"{kind}.txt"
        file.write_text("".join(f"{path}\n" for path in paths))
        walks[kind] = measure.Paths(file, paths, mean_bytes)
    return walks
