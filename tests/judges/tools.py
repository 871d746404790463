"""Fetches the judges: Debian packages through apt, Python ones into environments of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
KEPT = PROJECT / "target/judges"

# HTTPolice is from before the newer releases of these two.
PYTHON_PACKAGES = {
    "httpolice": ["httpolice", "bitstring<4", "setuptools<80"],
    "redbot": ["redbot"],
}


class CannotFetch(Exception):
    """A judge is missing and cannot be fetched from here."""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise CannotFetch(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def apt_install(package):
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotFetch(f"please install {package} (as root on Debian this is done for you)")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def from_debian(binary, package):
    if not shutil.which(binary):
        apt_install(package)
    return shutil.which(binary)


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
