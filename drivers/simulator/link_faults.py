"""What a bad link does to the answers of a simulated ECU: a way to see that drivers bear it."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from drivers.options import nearest

_SHARES = frozenset({"drop", "corrupt", "garbage"})
_SECONDS = frozenset({"mute", "unplug"})
_ADDRESS = re.compile("[0-9A-Fa-f]{1,6}")
_GARBAGE = b"\xff\x00\x80\xf0A9"


class LinkFaultError(ValueError):
    """A fault that is unknown or impossible; says which, the value met and what is allowed."""


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """Kinds of faults. The first three are shares of answers, drawn anew for each; 0 is none.

    An answer is what the link sends in one piece: a frame on CAN, a frame on the K-line, the lines
    up to a prompt on an ELM327.
    """

    drop: float = 0.0
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
    mute: float = 0.0
    """Seconds after which nothing is answered any more, as when the ignition is switched off; 0 is never."""
    unplug: float = 0.0
    """Seconds after which the link itself is gone; 0 is never."""
    negative: int = -1
    """Address that the ECU refuses to read; -1 is none. Only SSM on CAN can refuse."""
    seed: float = 1.0
    """Draws which answers are met."""

    @property
    def any(self) -> bool:
        """Whether any answer is met; an ECU that refuses or a link that goes away does nothing to answers."""
        return self != replace(NO_FAULTS, seed=self.seed, unplug=self.unplug, negative=self.negative)


NO_FAULTS = LinkFaults()


def parse_faults(text: str) -> LinkFaults:
    """Faults from ``KIND=VALUE,KIND=VALUE``, such as ``drop=0.2,mute=10s,negative=FF9921``.

    Raises:
        LinkFaultError: no such kind, or a value that is no number or out of range.
    """
    known = [field.name for field in fields(LinkFaults)]
    given: dict[str, float | int] = {}
    for part in text.split(","):
        kind, _, words = part.strip().partition("=")
        if kind not in known:
            raise LinkFaultError(
                f"no fault {kind!r}{nearest(kind, known)}; known: {', '.join(known)}, each as KIND=VALUE"
            )
        given[kind] = _address(words) if kind == "negative" else _number(kind, words)
    return LinkFaults(**given)  # type: ignore[arg-type]  # the only whole number is the address


def _number(kind: str, words: str) -> float:
    highest = 1.0 if kind in _SHARES else 1e6
    try:
        value = float(words.removesuffix("s") if kind in _SECONDS else words)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= highest:
        raise LinkFaultError(f"fault {kind}: met {words!r}, allowed are 0 to {highest:g}")
    return value


def _address(words: str) -> int:
    if not _ADDRESS.fullmatch(words):
        raise LinkFaultError(
            f"fault negative: met {words!r}, allowed are up to 6 hexadecimal digits, such as FF9921"
        )
    return int(words, 16)


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
        if faults.mute and time.monotonic() - self._started_s > faults.mute:
            return False
        if faults.delay_ms:
            self._stopping.wait(faults.delay_ms / 1000.0)
        return not self._met(faults.drop)

    def _damaged(self, answer: bytes, is_text: bool) -> bytes:
        if not self._met(self._faults.corrupt):
            return answer
        at = self._draw.randrange(len(answer))
        changed = 0 if is_text else answer[at] ^ self._draw.randrange(1, 256)
        return answer[:at] + bytes((changed,)) + answer[at + 1 :]

    def _met(self, share: float) -> bool:
        return share > 0.0 and self._draw.random() < share
