"""The whole application, every route of it, with devices that are really kept."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from fake_driving import FakeReview, FakeShelf
from fakes import FakeBoard
from fastapi import FastAPI

from daemon.serving.kept_devices import KeptDevices
from daemon.store.store import Store
from web.access import AccessSettings
from web.app import create_app
from web.device_shelf import DeviceKind
from web.pairing import Pairing

CAR = "192.168.4.1"
PHONE = "192.168.4.20"


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class NobodyHome:
    """Stands for what must not be reached: any use of it is an error."""


@dataclass
class PairedApp:
    """The application and what it stands on."""

    app: FastAPI
    board: FakeBoard
    store: Store
    devices: KeptDevices
    pairing: Pairing
    clock: Clock

    def client(self, address: str = PHONE, **headers: str) -> httpx.AsyncClient:
        """A browser or script at ``address``; without cookies yet."""
        transport = httpx.ASGITransport(self.app, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{CAR}:8000", headers=headers)

    async def token(self) -> dict[str, str]:
        """The header of a new script."""
        _, credential = await self.devices.add(DeviceKind.TOKEN, "logger")
        return {"authorization": f"Bearer {credential}"}


@contextlib.asynccontextmanager
async def paired_app(folder: Path, settings: AccessSettings | None = None) -> AsyncIterator[PairedApp]:
    """Everything that the daemon offers; logs, analyses, results and pushed samples only as far as their
    routes."""
    board, clock = FakeBoard(), Clock()
    async with await Store.open(folder / "car.sqlite3") as store:
        devices = await KeptDevices.load(store, max_devices=4, wall_clock=lambda: 1.7e9 + clock())
        pairing = Pairing(300.0, clock)

        async def diagnose() -> dict[str, Any]:
            return {"format": "lowmaf.diagnosis/1"}

        app = create_app(
            board,
            version="1.2.3",
            sessions=FakeShelf(),
            review=FakeReview(board),
            filters=cast("Any", NobodyHome()),
            logs=cast("Any", NobodyHome()),
            log_sessions=cast("Any", NobodyHome()),
            analyses=cast("Any", NobodyHome()),
            results=cast("Any", NobodyHome()),
            ingest=cast("Any", NobodyHome()),
            access=settings,
            pairing=(devices, pairing),
            diagnose=diagnose,
        )
        yield PairedApp(app, board, store, devices, pairing, clock)
