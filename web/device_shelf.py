"""What the web needs of whoever keeps devices and tokens; the daemon implements :class:`DeviceShelf`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from web.service_errors import ServiceError

LONGEST_NAME = 80


class DeviceKind(StrEnum):
    """``DEVICE``: a browser, with a cookie. ``TOKEN``: a script, with a bearer token."""

    DEVICE = "device"
    TOKEN = "token"  # noqa: S105 - a kind, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A paired device or a token, by its public ``id``.

    Times are seconds since 1970, UTC, by the machine's clock; ``last_used_wall_s`` is within an hour, None
    before the first use.
    """

    id: str
    kind: DeviceKind
    name: str
    added_wall_s: float
    last_used_wall_s: float | None = None


class DeviceUnknownError(ServiceError):
    """There is no device or token of that id."""

    status, code = 404, "device_unknown"


class TooManyDevicesError(ServiceError):
    """As many devices and tokens are kept as are allowed."""

    status, code = 409, "too_many_devices"


class DeviceShelf(Protocol):
    """Who may change something from the network."""

    def devices(self) -> Sequence[Device]:
        """All of them, in the order in which they were added."""
        ...

    def recognise(self, credential: str) -> Device | None:
        """Whose credential this is; None where it is nobody's, or was revoked."""
        ...

    async def add(self, kind: DeviceKind, name: str) -> tuple[Device, str]:
        """A new one, and its credential, which is nowhere else: it survives a power cut when this returns.

        Raises:
            TooManyDevicesError: no more are allowed.
            ServiceUnavailableError: the database cannot be written now.
        """
        ...

    async def revoke(self, device_id: str) -> None:
        """Lets it in no more, at once and after a power cut.

        Raises:
            DeviceUnknownError: there is none of that id.
            ServiceUnavailableError: it is not let in, but the database cannot be written now.
        """
        ...

    async def revoked(self, device_id: str) -> None:
        """Returns when the device is revoked."""
        ...
