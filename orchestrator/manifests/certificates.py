"""Read a certificate chain and its key: that both parse, fit, and which hosts they are for.

There is no parser of certificates in the standard library, so one is asked to do what it is for: a
handshake in memory, in which the client trusts this one certificate and shows what it was given.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_HOST_KINDS = ("DNS", "IP Address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says: the hosts it is for, and until when."""

    hosts: tuple[str, ...]
    expires_at: datetime

    def fits(self, host: str) -> bool:
        """Tell whether it is for this host; a host with `*.` needs the same in the certificate."""
        if host in self.hosts:
            return True
        return not host.startswith("*.") and f"*.{host.partition('.')[2]}" in self.hosts


class CertificateInvalid(ValueError):
    """A certificate or key that cannot be used; `place` is the field at fault."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


def text_of(full: Mapping[str, Any], name: str) -> tuple[str, str | None]:
    """Return which part of a Secret holds a value, and the value (None: neither, or unreadable)."""
    plain = (full.get("stringData") or {}).get(name)
    if plain is not None:
        return "stringData", plain
    encoded = (full.get("data") or {}).get(name)
    if encoded is None:
        return "stringData" if full.get("stringData") else "data", None
    try:
        return "data", base64.b64decode("".join(encoded.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return "data", None


def read(chain: str, key: str) -> Certificate:
    """Return what the first certificate of the chain says.

    Raises:
        CertificateInvalid: one of both does not parse, they do not belong together, or the
            certificate is out of its time.
    """
    client = _client(chain)
    server = _server(chain, key)
    try:
        shown = _handshake(server, client)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", None) or error.reason
        raise CertificateInvalid("tls.crt", f"the certificate cannot be used: {reason}") from None
    names = [value for kind, value in shown.get("subjectAltName", ()) if kind in _HOST_KINDS]
    expires = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    return Certificate(
        hosts=tuple(dict.fromkeys(map(str, names))),
        expires_at=datetime.fromtimestamp(expires, tz=UTC),
    )


def _client(chain: str) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # Trusting the certificate itself, whoever issued it.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        client.load_verify_locations(cadata=chain)
    except (ssl.SSLError, ValueError):
        raise CertificateInvalid("tls.crt", "is no certificate in PEM form") from None
    return client


def _server(chain: str, key: str) -> ssl.SSLContext:
    if "ENCRYPTED" in key:
        raise CertificateInvalid("tls.key", "is locked with a passphrase; give it without one")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _in_memory(chain) as chain_path, _in_memory(key) as key_path:
        try:
            server.load_cert_chain(chain_path, key_path, password=lambda: "")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise _named(error) from None
    return server


def _named(error: Exception) -> CertificateInvalid:
    if "MISMATCH" in str(getattr(error, "reason", "")):
        return CertificateInvalid("tls.key", "is not the key of the certificate in tls.crt")
    return CertificateInvalid("tls.key", "is no private key in PEM form")


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Yield the path of a file that is in memory alone: a key must not touch a disk."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """Return the server's certificate as the client sees it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asker = client.wrap_bio(to_client, to_server)
    answerer = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        if _step(asker):
            return dict(asker.getpeercert() or {})
        _step(answerer)
    raise ssl.SSLError("the handshake does not end")


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
