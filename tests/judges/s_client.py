"""Judge: OpenSSL's client: versions, ALPN and resumption."""

import base64
import hashlib
import re

import tools
import tree
from place import NAME

TIMEOUT_S = 20
REQUEST = f"GET {tree.RANGE_PATH} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"


def connect(binary, place, *options, request=""):
    """What s_client says of one connection; after a request it reads to the end, also tickets."""
    reading = ["-ign_eof"] if request else []
    try:
        _, output, errors = tools.call(
            binary, "s_client", "-connect", "{}:{}".format(*place.tls), "-servername", NAME,
            *reading, *options, timeout_s=TIMEOUT_S, said=request)
    except tools.JudgeFailed as error:
        return str(error)
    return output + errors


def cases(binary, place, scratch):
    """Names of cases, what s_client says, and what must and must not be in it."""
    def says(*options, request=""):
        return connect(binary, place, *options, request=request)

    for version in ("1_2", "1_3"):
        spoken = rf"(?m)^(New|Reused), TLSv{version.replace('_', '.')}, Cipher is \S+"
        yield f"TLS {version}", says(f"-tls{version}"), spoken
        for protocol in ("h2", "http/1.1"):
            yield (f"ALPN {protocol} over TLS {version}",
                   says(f"-tls{version}", "-alpn", protocol), f"ALPN protocol: {protocol}")
        yield f"no ALPN over TLS {version}", says(f"-tls{version}"), "No ALPN negotiated"
        yield (f"an unknown ALPN over TLS {version} is refused (RFC 7301 §3.2)",
               says(f"-tls{version}", "-alpn", "spdy/1"), "alert no application protocol")
        # Both are asked for a page: tickets of TLS 1.3 come after the handshake.
        session = scratch / f"session-{version}.pem"
        yield (f"a page over TLS {version}",
               says(f"-tls{version}", "-sess_out", session, request=REQUEST), "0123456789")
        yield (f"resumption over TLS {version}",
               says(f"-tls{version}", "-sess_in", session, request=REQUEST), r"(?m)^Reused, TLSv1")
    # Its own security level must not be what refuses.
    for version in ("1", "1_1"):
        yield (f"TLS {version} is refused",
               says(f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0"), "alert protocol version")
    yield ("the server prefers no group that all lack", says("-groups", "P-256"),
           r"Server Temp Key: (ECDH, prime256v1|ECDH, P-256), 256 bits")
    yield ("X25519 is taken", says("-groups", "X25519"), "Server Temp Key: X25519")
    yield ("an unknown name gets the default certificate",
           says("-servername", "unknown.example"), r"subject=CN = localhost")


def judge(place, binary, scratch):
    """Returns (passed, faults, notes)."""
    passed, faults = 0, []
    for name, said, wanted in cases(binary, place, scratch):
        if re.search(wanted, said):
            passed += 1
        else:
            last = [line for line in said.splitlines() if line.strip()][-1:] or ["nothing"]
            errors = re.findall(r"error:.*|alert .*", said)
            faults.append(f"{name}: no {wanted!r}; s_client says {(errors or last)[0]}")
    return passed, faults, []


def public_key_hash(binary, place, scratch):
    """The SHA-256 of the key in the certificate that the server shows, as browsers name one."""
    said = connect(binary, place)
    shown = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.DOTALL)
    if shown is None:
        raise tools.JudgeFailed(f"the server shows no certificate: {said[-300:]}")
    certificate, key, octets = (scratch / f"shown.{kind}" for kind in ("pem", "key", "der"))
    certificate.write_text(shown[0] + "\n")
    tools.run(binary, "x509", "-in", certificate, "-noout", "-pubkey", "-out", key)
    tools.run(binary, "pkey", "-pubin", "-in", key, "-outform", "DER", "-out", octets)
    return base64.b64encode(hashlib.sha256(octets.read_bytes()).digest()).decode()
