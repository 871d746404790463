"""Fetches the judges (Debian's through apt, the others into target/judges) and calls them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
KEPT = PROJECT / "target/judges"

# HTTPolice is from before the newer releases of these two.
PYTHON_PACKAGES = {
    "httpolice": ["httpolice", "bitstring<4", "setuptools<80"],
    "redbot": ["redbot"],
    "sslyze": ["sslyze"],
}
# The verdicts that are expected belong to this version.
HTTPWG = "httpwg-cli@0.2.5"
PLAYWRIGHT = "playwright-core@1"

COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ENDS_WITHIN_S = 5


class CannotFetch(Exception):
    """A judge is missing and cannot be fetched from here."""


class JudgeFailed(Exception):
    """A judge that did not end, or that does not say what it found."""


def call(*command, timeout_s, said="", **options):
    """Runs a judge in a process group of its own, which is ended with all its children when the
    time is over or we are interrupted. It is told `said`. Returns its status, its standard output
    (a file's number in `stdout` gets it instead) and its standard error."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, text=True,
                               errors="replace", start_new_session=True, **options)
    try:
        output, errors = process.communicate(said, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        end_group(process)
        raise JudgeFailed(f"{command[0]} did not end within {timeout_s} s") from None
    except BaseException:
        end_group(process)
        raise
    return process.returncode, COLOUR.sub("", output or ""), COLOUR.sub("", errors)


def end_group(process):
    """Kindly at first: a judge may have children in groups of their own, which only it can end."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, kind)
            try:
                process.communicate(timeout=ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                continue


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise CannotFetch(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def apt_install(*packages):
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotFetch(f"please install {' '.join(packages)} (as root on Debian this is done "
                          "for you)")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def from_debian(binary, package, *others):
    """The path of a program; `others` are packages that it needs and only recommends."""
    if not shutil.which(binary):
        apt_install(package, *others)
    return shutil.which(binary)


def from_cargo(binary, crate):
    """A program that cargo builds, kept under target/judges."""
    kept = KEPT / binary
    if not (kept / "bin" / binary).exists():
        run("cargo", "install", "--locked", "--quiet", "--root", kept, "--target-dir",
            KEPT / f"{binary}-build", crate)
    return kept / "bin" / binary


def from_npm(package):
    """The directory with the package's node_modules, under target/judges."""
    name = package.partition("@")[0]
    kept = KEPT / name
    if not (kept / "node_modules" / name).exists():
        npm = from_debian("npm", "npm")
        kept.mkdir(parents=True, exist_ok=True)
        run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", kept,
            package)
    return kept


def from_pypi(name):
    """The judge's command in a virtual environment under target/judges."""
    environment = KEPT / name
    binary = environment / "bin" / name
    if not binary.exists():
        shutil.rmtree(environment, ignore_errors=True)
        try:
            run(sys.executable, "-m", "venv", environment)
        except CannotFetch:  # Debian keeps ensurepip in a package of its own.
            apt_install("python3-venv")
            run(sys.executable, "-m", "venv", "--clear", environment)
        run(environment / "bin/pip", "install", "--quiet", *PYTHON_PACKAGES[name])
    return binary


def go_source():
    """The test source of Go's net/http, unpacked from Debian's package and not installed."""
    kept = KEPT / "go"
    if not kept.exists():
        if not shutil.which("apt-get"):
            raise CannotFetch("Go's sources come from Debian, and there is no apt-get")
        partial = kept.with_name("go.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if os.geteuid() == 0:
            run("apt-get", "update", "-qq")
        depends = run("apt-cache", "depends", "--important", "golang-src").split()
        package = next((word for word in depends if word.endswith("-src") and "1." in word), None)
        if package is None:
            raise CannotFetch("apt knows no golang-src: run apt-get update")
        run("apt-get", "download", "-qq", package, cwd=partial)
        archive = next(partial.glob("*.deb"))
        run("dpkg-deb", "-x", archive, partial)
        archive.unlink()
        partial.rename(kept)
    return next(kept.glob("usr/share/go-*/src/net/http/fs_test.go"))
