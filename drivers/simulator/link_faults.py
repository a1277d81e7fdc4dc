"""What a bad link does to the answers of a simulated ECU: a way to see that drivers bear it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

_GARBAGE = b"\xff\x00\x80\xf0A9"


class LinkFaultError(ValueError):
    """A fault that is unknown or impossible; says which, the value met and what is allowed."""


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """Kinds of faults. The first three are shares of answers, drawn anew for each; 0 is none.

    An answer is what the link sends in one piece: a frame on CAN, a frame on the K-line, the lines
    up to a prompt on an ELM327.
    """

    loss: float = 0.0
    """Share of answers that are not sent."""
    corrupt: float = 0.0
    """Share of answers that arrive damaged, in a way that the link can show: with a changed byte where
    there are checksums, cut short on CAN, whose controllers drop what fails its checksum, and with a
    byte that is no text where text is sent."""
    garbage: float = 0.0
    """Share of answers with bytes before them that mean nothing; on CAN frames of somebody else's."""
    delay_ms: float = 0.0
    """Time that every answer is late."""
    split: float = 0.0
    """Bytes per write; 0 leaves answers whole. A CAN frame always stays whole."""
    silent_after_s: float = 0.0
    """Time after which nothing is answered any more, as when the ignition is switched off; 0 is never."""
    seed: float = 1.0
    """Draws which answers are met."""

    @property
    def any(self) -> bool:
        return self != replace(NO_FAULTS, seed=self.seed)


NO_FAULTS = LinkFaults()


def parse_faults(text: str) -> LinkFaults:
    """Faults from ``KIND=VALUE,KIND=VALUE``, such as ``loss=0.2,delay_ms=40``.

    Raises:
        LinkFaultError: no such kind, or a value that is no number or out of range.
    """
    known = [field.name for field in fields(LinkFaults)]
    given: dict[str, float] = {}
    for part in text.split(","):
        kind, _, words = part.strip().partition("=")
        if kind not in known:
            raise LinkFaultError(f"no fault {kind!r}; known: {', '.join(known)}, each as KIND=VALUE")
        highest = 1.0 if kind in {"loss", "corrupt", "garbage"} else 1e6
        try:
            value = float(words)
        except ValueError:
            value = -1.0
        if not 0.0 <= value <= highest:
            raise LinkFaultError(f"fault {kind}: met {words!r}, allowed are 0 to {highest:g}")
        given[kind] = value
    return LinkFaults(**given)


class FaultyOutput:
    """Turns answers into what arrives of them. ``stopping`` cuts delays short."""

    def __init__(self, faults: LinkFaults, stopping: threading.Event) -> None:
        self._faults = faults
        self._any = faults.any
        self._stopping = stopping
        self._draw = random.Random(faults.seed)  # noqa: S311 - a simulation, no secret
        self._started_s = time.monotonic()

    def frames(self, frame: bytes) -> Iterator[bytes]:
        """What arrives of a CAN frame: frames."""
        if not self._any:
            yield frame
        elif self._arrives():
            yield frame[: self._draw.randrange(1, 8)] if self._met(self._faults.corrupt) else frame

    def has_company(self) -> bool:
        """Whether a frame of somebody else's goes before the next one on a CAN bus."""
        return self._met(self._faults.garbage)

    def pieces(self, answer: bytes, *, is_text: bool = False) -> Iterator[bytes]:
        """What arrives of an answer on a serial line: pieces to be written one after the other."""
        if not self._any:
            yield answer
        elif self._arrives():
            answer = (_GARBAGE if self._met(self._faults.garbage) else b"") + self._damaged(answer, is_text)
            size = int(self._faults.split) or len(answer)
            for at in range(0, len(answer), size):
                yield answer[at : at + size]

    def _arrives(self) -> bool:
        faults = self._faults
        if faults.silent_after_s and time.monotonic() - self._started_s > faults.silent_after_s:
            return False
        if faults.delay_ms:
            self._stopping.wait(faults.delay_ms / 1000.0)
        return not self._met(faults.loss)

    def _damaged(self, answer: bytes, is_text: bool) -> bytes:
        if not self._met(self._faults.corrupt):
            return answer
        at = self._draw.randrange(len(answer))
        changed = 0 if is_text else answer[at] ^ self._draw.randrange(1, 256)
        return answer[:at] + bytes((changed,)) + answer[at + 1 :]

    def _met(self, share: float) -> bool:
        return share > 0.0 and self._draw.random() < share
