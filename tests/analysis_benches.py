"""The analysis service over a real database and real worker processes, for several tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import log_samples
from fakes import FakeBoard, realistic_table

from daemon.analysis.orders import Defaults
from daemon.analysis.service import AnalysisService
from daemon.analysis.settings import AnalysisSettings
from daemon.store.store import Store
from lowmaf.filters import Filters
from lowmaf.settings import CurveSettings
from web.app import create_app

WITHIN_S = 60.0


@dataclass
class Bench:
    """A service that works, and a client of its routes in process."""

    store: Store
    service: AnalysisService
    client: httpx.AsyncClient
    working: asyncio.Task[None]

    async def upload(self, content: bytes | None = None, name: str = "drive.csv") -> str:
        """Id of a log, by default of a short one."""
        body = log_samples.romraider() if content is None else content
        answer = await self.client.post("/api/v1/logs", params={"name": name}, content=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def ask(
        self, logs: Iterable[str], *runs: dict[str, Any], webhook_url: str | None = None
    ) -> list[str]:
        """Ids of runs, by default of one."""
        order: dict[str, Any] = {"logs": list(logs), "runs": list(runs) or [{}]}
        if webhook_url is not None:
            order["webhook_url"] = webhook_url
        answer = await self.client.post("/api/v1/analyses", json=order)
        assert answer.status_code == 202, answer.text
        return list(answer.json()["ids"])

    async def look(self, run: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/analyses/{run}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, run: str, status: str, push: str | None = None) -> dict[str, Any]:
        """The run as soon as it has this status, and this state of its push where one is given; the store
        is asked to write at once."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                news = self.service.analyses.news(run)
                await self.store.flush()
                document = await self.look(run)
                if document["status"] == status and push in (None, document["push"]["state"]):
                    return document
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await news.wait()


@contextlib.asynccontextmanager
async def analysing(database: Path, settings: AnalysisSettings | None = None) -> AsyncIterator[Bench]:
    """A service on a database, which may have been used before; stopped when left."""
    async with await Store.open(database, commit_interval_s=0.2) as store:
        await store.put_table(realistic_table())
        defaults = Defaults("curve", Filters(), CurveSettings())
        service = AnalysisService(store, settings or AnalysisSettings(), lambda: defaults, 0.0)
        app = create_app(FakeBoard(), version="1", logs=service.uploads, analyses=service.analyses)
        working = asyncio.create_task(service.analyses.run())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=WITHIN_S
            ) as client:
                yield Bench(store, service, client, working)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
