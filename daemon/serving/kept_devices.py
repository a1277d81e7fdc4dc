"""Paired devices and tokens: at hand for every request, and kept in the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from daemon.serving.device_records import KeptDevice
from daemon.store.records import StoreError
from daemon.store.store import Store
from web.credentials import Credential
from web.device_shelf import LONGEST_NAME, Device, DeviceKind, DeviceUnknownError, TooManyDevicesError
from web.service_errors import ServiceUnavailableError

_NOTED_EVERY_S = 3600.0
_NOBODY = KeptDevice(Device(id="", kind=DeviceKind.DEVICE, name="", added_wall_s=0.0), "0" * 64)
"""What an unknown id is compared with, so that it takes as long as a known one."""


class KeptDevices:
    """A :class:`web.device_shelf.DeviceShelf` over the ``devices`` of a store. Made by :meth:`load`."""

    def __init__(
        self,
        store: Store,
        kept: Sequence[KeptDevice],
        *,
        max_devices: int,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Use :meth:`load`."""
        self._store = store
        self._max_devices = max_devices
        self._wall_clock = wall_clock
        self._kept = {one.device.id: one for one in kept}
        self._revoked = {device_id: asyncio.Event() for device_id in self._kept}

    @classmethod
    async def load(
        cls, store: Store, *, max_devices: int, wall_clock: Callable[[], float] = time.time
    ) -> KeptDevices:
        """With what the database holds.

        Raises:
            StoreError: it cannot be read.
        """
        rows = await store.query("SELECT * FROM devices ORDER BY added_wall_s, id")
        kept = [one for one in map(KeptDevice.of, rows) if one is not None]
        return cls(store, kept, max_devices=max_devices, wall_clock=wall_clock)

    def devices(self) -> Sequence[Device]:
        """All of them, in the order in which they were added."""
        return [one.device for one in self._kept.values()]

    def recognise(self, credential: str) -> Device | None:
        """Whose credential this is; None where it is nobody's, or was revoked."""
        presented = Credential.parse(credential)
        if presented is None:
            return None
        kept = self._kept.get(presented.id, _NOBODY)
        if not presented.fits(kept.secret_sha256):
            return None
        return self._noted_use(kept).device

    async def add(self, kind: DeviceKind, name: str) -> tuple[Device, str]:
        """A new one, and its credential."""
        if len(self._kept) >= self._max_devices:
            raise TooManyDevicesError(
                f"{len(self._kept)} devices and tokens are kept, and no more are allowed; revoke one first",
                limit=self._max_devices,
            )
        credential = Credential.new()
        while credential.id in self._kept:
            credential = Credential.new()
        shown = " ".join(name.split())[:LONGEST_NAME] or "unnamed"
        device = Device(id=credential.id, kind=kind, name=shown, added_wall_s=self._wall_clock())
        kept = KeptDevice(device, credential.secret_sha256())
        self._kept[device.id] = kept
        self._revoked[device.id] = asyncio.Event()
        self._store.write("INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, ?)", *kept.row())
        try:
            await self._durable()
        except ServiceUnavailableError:
            self._forget(device.id)  # what waits to be written is written one day, and must let nobody in
            raise
        return device, str(credential)

    async def revoke(self, device_id: str) -> None:
        """Lets it in no more, at once and after a power cut."""
        if device_id not in self._kept:
            raise DeviceUnknownError(f"there is no paired device or token {device_id!r:.60}")
        self._forget(device_id)
        await self._durable()

    async def revoked(self, device_id: str) -> None:
        """Returns when the device is revoked."""
        gone = self._revoked.get(device_id)
        if gone is not None:
            await gone.wait()

    def _forget(self, device_id: str) -> None:
        del self._kept[device_id]
        self._revoked.pop(device_id).set()
        self._store.write("DELETE FROM devices WHERE id = ?", device_id)

    def _noted_use(self, kept: KeptDevice) -> KeptDevice:
        """Notes the use, not oftener than once an hour: a card bears only so many writes."""
        now_s, last_s = self._wall_clock(), kept.device.last_used_wall_s
        if last_s is not None and abs(now_s - last_s) < _NOTED_EVERY_S:
            return kept
        kept = kept.used(now_s)
        self._kept[kept.device.id] = kept
        self._store.write("UPDATE devices SET last_used_wall_s = ? WHERE id = ?", now_s, kept.device.id)
        return kept

    async def _durable(self) -> None:
        try:
            await self._store.flush()
        except StoreError as error:
            raise ServiceUnavailableError(f"the database cannot be written now: {error}") from error
