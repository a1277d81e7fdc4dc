"""Implements :class:`web.review.DriveReview` on the hub and the store."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from daemon.drives.cell_history import Learnt, cell_histories
from daemon.drives.kept_driving import Judging, KeptDrive, judged_again, newest_counted, newest_drives
from daemon.live.hub import Hub
from daemon.machine import machine_document
from daemon.store.reader import StoreReader
from daemon.store.records import StoreError
from lowmaf.filters import Filters
from web.review import CountedSample, HistoryStep, ReviewUnavailableError, WhatIf

FRESH_S = 10.0
"""What was read of the store is used again for this long: a tuner tries one limit after the other."""
HISTORY_S = 30.0
"""A history costs many solves, and changes little in this time."""


class HubReview:
    """Looks at what the hub learned and the store keeps. One look is taken at a time, in a thread."""

    def __init__(self, hub: Hub, reader: StoreReader, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._reader = reader
        self._now_s = now_s
        self._one_at_a_time = asyncio.Lock()
        self._drives: list[KeptDrive] = []
        self._counted: list[CountedSample] | None = None
        self._read_s = -math.inf
        self._histories: list[list[HistoryStep]] = []
        self._histories_of = (0, 0)
        self._solved_s = -math.inf

    def settings(self) -> Mapping[str, Any]:
        hub = self._hub
        return {
            "version": hub.settings.version,
            "driver": hub.status().link.driver,
            "estimator": hub.settings.estimator,
            "maf_table": hub.pipeline.table.name,
            "filters": [
                {
                    "name": spec.name,
                    "value": _known(getattr(hub.settings.filters, spec.name)),
                    "default": _known(spec.default),
                    "configured": _known(getattr(hub.settings.configured or hub.settings.filters, spec.name)),
                    "unit": spec.metadata.get("unit"),
                    "meaning": spec.metadata["meaning"],
                    "low": spec.metadata.get("low"),
                    "high": spec.metadata.get("high"),
                }
                for spec in fields(Filters)
            ],
            "curve": {name: _known(value) for name, value in asdict(hub.settings.curve).items()},
            "keep_samples": hub.settings.keep_samples,
            "machine": machine_document(self._reader.path),
        }

    async def what_if(self, pairs: Sequence[str]) -> WhatIf:
        given = self._hub.settings.filters
        filters = given.changed(pairs)
        async with self._one_at_a_time:
            drives = await self._kept()
            now = await asyncio.to_thread(judged_again, self._judging(given), drives)
            then = await asyncio.to_thread(judged_again, self._judging(filters), drives)
        return WhatIf(sum(now.values()), [drive.session for drive in drives], now, then)

    async def counted(self) -> Sequence[CountedSample]:
        async with self._one_at_a_time:
            drives = await self._kept()
            if self._counted is None:
                judging = self._judging(self._hub.settings.filters)
                self._counted = await asyncio.to_thread(newest_counted, judging, drives)
            return self._counted

    async def history(self, cell: int) -> Sequence[HistoryStep]:
        async with self._one_at_a_time:
            pipeline, now_s = self._hub.pipeline, self._now_s()
            of = (pipeline.table.revision, pipeline.learned.epoch)
            if of != self._histories_of or now_s - self._solved_s > HISTORY_S:
                self._histories = await asyncio.to_thread(cell_histories, Learnt.of(pipeline))
                self._histories_of, self._solved_s = of, now_s
        return self._histories[cell] if cell < len(self._histories) else ()

    def _judging(self, filters: Filters) -> Judging:
        hub = self._hub
        return Judging(hub.pipeline.table, hub.settings.estimator, filters, hub.settings.curve)

    async def _kept(self) -> Sequence[KeptDrive]:
        """The newest drives, read anew now and then."""
        now_s = self._now_s()
        if now_s - self._read_s > FRESH_S:
            try:
                self._drives = await newest_drives(self._reader)
            except StoreError as error:
                raise ReviewUnavailableError(f"the database cannot be read now: {error}") from error
            self._counted = None
            self._read_s = now_s
        if not self._drives:
            self._read_s = -math.inf
            raise ReviewUnavailableError(
                "no samples are kept yet: drive for a minute"
                if self._hub.settings.keep_samples
                else "no samples are kept: [storage] keep_samples is false in the configuration"
            )
        return self._drives


def _known(value: Any) -> Any:
    """JSON has no infinity: a limit that is off is null."""
    return None if isinstance(value, float) and math.isinf(value) else value
