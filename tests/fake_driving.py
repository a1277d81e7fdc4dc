"""Kept driving for tests of the page: what other limits would count, samples, a history, and drives."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fakes import FakeBoard
from fastapi import FastAPI

from lowmaf.filters import Filters
from web.app import create_app
from web.filter_desk import FilterChange
from web.review import CountedSample, HistoryStep, ReviewUnavailableError, WhatIf
from web.session_shelf import SessionChange, SessionRefusedError

NOW = {"accepted": 20_000, "open_loop": 9_000, "cold_engine": 1_000}


class FakeReview:
    """Implements :class:`web.review.DriveReview`; ``kept`` False keeps nothing."""

    def __init__(self, board: FakeBoard) -> None:
        self.board = board
        self.kept = True
        self.asked: list[list[str]] = []
        self.temperature_c: float | None = 61.5
        self.held_back: list[str] | None = []
        self.changed: dict[str, Any] = {}

    def settings(self) -> Mapping[str, Any]:
        return {
            "version": "1.2.3",
            "filters": [
                {**limit, "value": self.changed.get(limit["name"], limit["configured"])}
                for limit in (
                    _limit("min_ect_c", 70.0, "°C", "coolant at least this warm: trims say little"),
                    _limit("max_rpm", None, "1/min", "engine speed at most"),
                    _limit(
                        "allow_loop_fault", False, None, "true: closed loop with a fault counts; false: not"
                    ),
                )
            ],
            "machine": {
                "system": "Linux 6.12 (aarch64)",
                "python": "3.13.5",
                "temperature_c": self.temperature_c,
                "held_back": self.held_back,
                "free_bytes": 12_000_000_000,
                "load_1min": 0.1,
            },
        }

    async def what_if(self, pairs: Sequence[str]) -> WhatIf:
        self._refuse_unkept()
        self.asked.append(list(pairs))
        Filters().changed(pairs)
        then = {**NOW, "accepted": 20_900, "cold_engine": 100} if pairs else NOW
        return WhatIf(sum(NOW.values()), (6, 7), NOW, then)

    async def counted(self) -> Sequence[CountedSample]:
        self._refuse_unkept()
        volts = self.board.newest.table.maf_v
        return [
            CountedSample(7, 100.0 + cell, cell, float(volts[cell]), 1.5 - 0.1 * cell, 2000.0, math.nan)
            for cell in range(5, 30)
            for _ in range(12)
        ]

    async def history(self, cell: int) -> Sequence[HistoryStep]:
        if cell > 40:
            return [HistoryStep(7, 5.0, math.nan, math.nan, 0)]
        return [
            HistoryStep(None, None, 1.0, 2.0, 10),
            HistoryStep(7, 5.0, 2.0, 1.0, 40),
            HistoryStep(7, 10.0, 2.5, 0.5, 90),
        ]

    def _refuse_unkept(self) -> None:
        if not self.kept:
            raise ReviewUnavailableError("no samples are kept yet: drive for a minute")


def _limit(name: str, configured: Any, unit: str | None, meaning: str) -> dict[str, Any]:
    return {"name": name, "configured": configured, "unit": unit, "meaning": meaning}


class FakeFilters:
    """Implements :class:`web.filter_desk.FilterDesk` for a review: what is changed is shown by that."""

    def __init__(self, review: FakeReview) -> None:
        self._review = review

    async def change(self, change: FilterChange) -> None:
        Filters().changed(change.pairs)
        for pair in change.pairs:
            name, _, text = pair.partition("=")
            values: dict[str, Any] = {"off": None, "true": True, "false": False}
            self._review.changed[name] = values[text] if text in values else float(text)
        for name in change.configured:
            self._review.changed.pop(name, None)


class FakeShelf:
    """Implements :class:`web.session_shelf.SessionShelf` in memory: drive 7 goes on now."""

    def __init__(self) -> None:
        self.drives = [_drive(5, name="to work"), _drive(6), _drive(7, state="driving")]

    async def sessions(self) -> list[Mapping[str, Any]]:
        return list(self.drives)

    async def session(self, number: int) -> Mapping[str, Any]:
        return next(drive for drive in self.drives if drive["id"] == number)

    async def change(self, number: int, change: SessionChange) -> Mapping[str, Any]:
        drive = dict(await self.session(number))
        if change.name is not None:
            drive["name"] = change.name or None
        if change.included is not None:
            drive["included"] = drive["counts"] = change.included
            drive["counts_not_because"] = None if change.included else "it is excluded"
        self.drives = [drive if other["id"] == number else other for other in self.drives]
        return drive

    async def delete(self, number: int) -> None:
        if number == 7:
            raise SessionRefusedError("session 7 is the drive that goes on now")
        self.drives = [drive for drive in self.drives if drive["id"] != number]

    async def rebuild(self, number: int) -> Mapping[str, Any]:
        return {"id": number}

    async def export(self, number: int, export_format: str) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            yield f"{number} {export_format}\n".encode()

        return pieces()


def _drive(number: int, *, name: str | None = None, state: str = "ended") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "driver": "ssm-can",
        "started": "2026-05-03T06:12:00Z",
        "clock": "synced",
        "duration_s": 1830.0,
        "state": state,
        "samples": 43_000,
        "accepted": 21_500,
        "maf_table_revision": 1,
        "epoch": 1,
        "included": True,
        "counts": True,
        "counts_not_because": None,
        "log": None,
    }


def app_over(board: FakeBoard, *, version: str = "1.2.3") -> FastAPI:
    """The application with everything that the page asks for."""
    review = FakeReview(board)
    return create_app(
        board, version=version, review=review, filters=FakeFilters(review), sessions=FakeShelf()
    )
