"""Where the judged server listens, and as whom."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
NAME = "localhost"


@dataclass(frozen=True)
class Place:
    """The addresses of one server; a judge is called only when it has those that it needs."""

    clear: tuple | None = None  # host and port that speak HTTP/1.1, and HTTP/2 by prior knowledge
    tls: tuple | None = None

    @property
    def clear_url(self):
        return "http://{}:{}".format(*self.clear)

    @property
    def tls_url(self):
        return "https://{}:{}".format(*self.tls)


def read(text):
    """HOST:PORT as a pair."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{text} is not HOST:PORT")
    return host, int(port)


def make_certificate(directory: Path):
    """A certificate for trying things out; returns the files of the chain and of the key."""
    chain, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", chain, "-days", "30", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME},IP:{HOST}",
         "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True)
    return chain, key
