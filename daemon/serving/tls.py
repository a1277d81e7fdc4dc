"""The certificate of the dashboard where it is served over https, checked before anything starts."""

from __future__ import annotations

import calendar
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

_SEQUENCE, _VERSION, _UTC_TIME, _GENERAL_TIME = 0x30, 0xA0, 0x17, 0x18
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TlsError(Exception):
    """The certificate or its key cannot be used; one line says which, why, and what to do."""


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server needs to prove who it is, from two PEM files. TLS 1.2 is the least.

    Raises:
        TlsError: a file cannot be read, is not what it should be, or they do not belong together.
    """
    for path, what in ((certificate, "tls_certificate"), (key, "tls_key")):
        try:
            path.read_bytes()
        except OSError as error:
            words = f"{what}: {path} cannot be read: {error.strerror or error}"
            raise TlsError(words + _hint(error)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    asked: list[None] = []

    def password() -> str:
        asked.append(None)  # without this OpenSSL would ask at the terminal
        return ""

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        raise TlsError(_words(error, certificate, key, asked=bool(asked))) from None
    return context


def validity_trouble(certificate: Path, now_wall_s: float) -> str | None:
    """Why browsers will refuse the certificate now by its dates; None where they will not.

    A clock that is wrong, as after a night without network, makes a good one look bad: it is served all the
    same.
    """
    match = _PEM.search(certificate.read_text("ascii", "replace"))
    if match is None:
        return None
    begins_s, ends_s = validity(ssl.PEM_cert_to_DER_cert(match.group()))
    if now_wall_s > ends_s:
        return f"the certificate {certificate} has expired on {_day(ends_s)}: make a new one"
    if now_wall_s < begins_s:
        return f"the certificate {certificate} holds from {_day(begins_s)} on, which is not yet by our clock"
    return None


def validity(der: bytes) -> tuple[float, float]:
    """From when to when a certificate holds, in seconds since 1970; RFC 5280, 4.1.

    Raises:
        ValueError: it is none.
    """
    certificate = next(_parts(der))[1]
    fields = _parts(next(_parts(certificate))[1])
    first = next(fields)
    behind_version = next(fields) if first[0] == _VERSION else first
    sequences = [content for tag, content in (behind_version, *fields) if tag == _SEQUENCE]
    begins, ends = (_seconds(*part) for part in _parts(sequences[2]))  # signature, issuer, validity
    return begins, ends


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element; X.690, 8.1."""
    at = 0
    while at < len(der):
        if at + 2 > len(der):
            raise ValueError("an element is cut off")
        tag, size, begin = der[at], der[at + 1], at + 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(der[at + 2 : begin], "big")
        at = begin + size
        if at > len(der):
            raise ValueError("an element is cut off")
        yield tag, der[begin:at]


def _seconds(tag: int, content: bytes) -> float:
    """A time; UTCTime has two digits of the year, of which those from 50 on mean 19xx."""
    if tag not in (_UTC_TIME, _GENERAL_TIME):
        raise ValueError(f"an element of kind {tag:#x} where a time is needed")
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _day(wall_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(wall_s))


def _hint(error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return ""
    return "; the user that lowmaf runs as must be able to: chgrp lowmaf FILE and chmod 640 FILE"


def _words(error: ssl.SSLError, certificate: Path, key: Path, *, asked: bool) -> str:
    if asked:
        return f"tls_key: {key} is locked with a password; openssl pkey -in LOCKED -out FILE unlocks it"
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"tls_key: {key} is not the key of the certificate {certificate}"
    if _PEM.search(certificate.read_text("ascii", "replace")) is None:
        return f"tls_certificate: {certificate} has no certificate in it (PEM, BEGIN CERTIFICATE)"
    if "PRIVATE KEY-----" not in key.read_text("ascii", "replace"):
        return f"tls_key: {key} has no private key in it (PEM, BEGIN PRIVATE KEY)"
    return f"tls_certificate, tls_key: OpenSSL refuses {certificate} with {key}: {error.reason or error}"
