"""Credentials of devices and scripts: ``lowmaf_<id>_<secret>``, of which only a hash of the secret is kept.

The secret is 32 random bytes, so that a fast hash is enough: there is nothing to guess. The id is public
and finds the one hash to compare with, so that the comparison takes the same time whatever is presented.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

_PREFIX = "lowmaf_"
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Credential:
    """Both parts of a credential. ``id`` may be shown, ``secret`` may not."""

    id: str
    secret: str

    @classmethod
    def new(cls) -> Credential:
        """One that nobody has."""
        return cls(secrets.token_hex(4), secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> Credential | None:
        """The credential in ``text``; None where it is none."""
        if not text.startswith(_PREFIX) or len(text) > _LONGEST or not text.isascii():
            return None
        device_id, mark, secret = text.removeprefix(_PREFIX).partition("_")
        return cls(device_id, secret) if mark and device_id and secret else None

    def __str__(self) -> str:
        return f"{_PREFIX}{self.id}_{self.secret}"

    def secret_sha256(self) -> str:
        """What is kept of the secret: its SHA-256, hexadecimal."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def fits(self, secret_sha256: str) -> bool:
        """Whether the kept hash is that of this secret, in constant time."""
        return hmac.compare_digest(self.secret_sha256(), secret_sha256)
