"""What every live driver is, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lowmaf.samples import SampleBatch


class DriverError(Exception):
    """Base of everything a driver raises on purpose."""


class DriverOptionError(DriverError):
    """An option that is unknown or impossible; says which, the value met and what is allowed."""


class OptionMissingError(DriverOptionError):
    """Options that a driver cannot do without; what is there may be right."""


class DeviceUnavailableError(DriverError):
    """The port, bus or ECU is not there now. The supervisor tries again later."""


class EcuSilentError(DeviceUnavailableError):
    """The link is there and the ECU does not answer, as with the ignition off.

    ``traffic`` listens, sending nothing, and returns once somebody on the link has begun to speak; None
    where there is nobody to be heard. It raises DeviceUnavailableError when the link is gone.
    """

    def __init__(self, words: str, traffic: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(words)
        self.traffic = traffic


class LinkInUseError(DeviceUnavailableError):
    """Another tester asks the ECU. Two at a time confuse it, so we are the one that falls silent."""


class FrameError(DriverError):
    """Bytes that are not a valid frame; quotes them and says what was expected. Counted, resynchronised."""


@dataclass(slots=True)
class LinkCounts:
    """What happened on a link so far."""

    samples: int = 0
    bad_frames: int = 0
    unanswered: int = 0
    refused: int = 0
    dropped_batches: int = 0


class Driver(Protocol):
    """A source of live samples. The constructor validates options and opens nothing."""

    name: str

    def batches(self) -> AsyncGenerator[SampleBatch, None]:
        """Opens the link, identifies the ECU and yields samples until the link ends.

        Closing the iterator (``aclose``) or cancelling closes the link and leaves no thread behind.

        Raises:
            DeviceUnavailableError: the link could not be opened or was lost.
        """
        ...

    def describe(self) -> str:
        """The link in words for the status line, such as ``SSM on CAN vcan0, ECU 4D12044006``."""
        ...


@runtime_checkable
class NamesItsEcu(Protocol):
    """A driver whose ECUs say which they are."""

    @property
    def ecu_id(self) -> str | None:
        """The id of the ECU that is read, None before it was identified."""
        ...
