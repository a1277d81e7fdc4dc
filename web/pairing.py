"""Pairing: a code that is shown where only the owner looks, and is good once, for some minutes.

Typed codes have eight of 31 characters (8e11), so that guessing is hopeless within their minutes even from
thousands of addresses, and nobody need be locked out but the address that guesses. The link of the QR code
carries a secret that cannot be guessed at all: it is taken from any address, at any time.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from web.rate_limit import RateLimit
from web.service_errors import ServiceError

CODE_CHARACTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without those that are taken for one another: 0 and O, 1, I and L."""

CODE_LENGTH = 8
ATTEMPTS = 5
"""Wrong codes that an address may present at once."""

ATTEMPTS_AGAIN_S = 60.0
"""After so long it may present one more."""


class CodeWrongError(ServiceError):
    """There is no such code, or not any more."""

    status, code = 403, "code_wrong"


class TooManyAttemptsError(ServiceError):
    """The address has presented too many wrong codes."""

    status, code = 429, "too_many_attempts"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What lets one device pair: ``code`` to type, ``link_secret`` for a link, both for ``valid_s``."""

    code: str
    link_secret: str
    valid_s: float


class Pairing:
    """The one invitation that is open, if any. ``clock`` gives seconds that never jump."""

    def __init__(self, valid_s: float, clock: Callable[[], float]) -> None:
        self.valid_s = valid_s
        self._clock = clock
        self._attempts = RateLimit(per_s=1.0 / ATTEMPTS_AGAIN_S, burst=ATTEMPTS, clock=clock)
        self._code = b""
        self._link_secret = b""
        self._until_s = clock()

    def invite(self) -> Invitation:
        """A new invitation; the one before is no good any more, and attempts are counted anew."""
        code = "".join(secrets.choice(CODE_CHARACTERS) for _ in range(CODE_LENGTH))
        invitation = Invitation(f"{code[:4]}-{code[4:]}", secrets.token_urlsafe(24), self.valid_s)
        self._code = code.encode()
        self._link_secret = invitation.link_secret.encode()
        self._until_s = self._clock() + self.valid_s
        self._attempts.forgive()
        return invitation

    def redeem(self, presented: str, address: str) -> None:
        """Uses the invitation up, if ``presented`` is its code (in any case and spacing) or link secret.

        Raises:
            CodeWrongError: it is neither, or the invitation is over.
            TooManyAttemptsError: ``address`` has presented too many others.
        """
        is_open = self._clock() < self._until_s
        by_link = hmac.compare_digest(presented.encode("utf-8", "replace"), self._link_secret)
        if not (is_open and by_link):
            wait_s = self._attempts.take(address)
            if wait_s > 0.0:
                raise TooManyAttemptsError(
                    f"too many wrong codes from {address}: wait {wait_s:.0f} s, or make a new code",
                    retry_after_s=wait_s,
                )
            typed = "".join(character for character in presented.upper() if character.isalnum())
            by_code = hmac.compare_digest(typed.encode("utf-8", "replace"), self._code)
            if not (is_open and by_code):
                raise CodeWrongError(
                    "this is not the code that is shown now; each is good once, and for "
                    f"{self.valid_s / 60.0:.3g} min. On the machine in the car, lowmaf pair makes a new one"
                )
        self._until_s = self._clock()


def pairing_link(origin: str, link_secret: str) -> str:
    """The address that pairs the phone that opens it. What follows ``#`` is not sent with the request."""
    return f"{origin}/#settings/{link_secret}"
