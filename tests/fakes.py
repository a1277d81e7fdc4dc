"""Stand-ins that several tests share."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI

from daemon.serving.limits import WebLimits
from daemon.serving.server import serve
from lowmaf.maf_table import MafTable
from lowmaf.snapshot import CellState, DataWarning, DriveNext, HeldOut, SampleCounts, Snapshot
from web.board import (
    Command,
    CommandRefusedError,
    LinkStatus,
    LiveReading,
    Status,
    TableChange,
    Truth,
    VerdictMinute,
)
from web.results import Result, ResultHead, ResultUnknownError

CELLS = 54


def realistic_table() -> MafTable:
    """54 breakpoints and a flow curve of the shape that a hot-film sensor has, 1 to 330 g/s."""
    maf_v = np.round(np.linspace(0.9, 4.97, CELLS), 2)
    return MafTable("2006 turbo, stock intake", maf_v, np.round(1.13 * (maf_v / 0.94) ** 3.4, 3))


def true_error_pct(maf_v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A plausible MAF error: lean at idle, rich in the middle, an intake change at the top."""
    return 4.5 * np.sin(1.9 * maf_v - 0.6) * np.exp(-0.25 * (maf_v - 1.0)) - 1.4 + 0.35 * maf_v


def realistic_snapshot(revision: int = 42, *, seed: int = 1, passed: bool = True) -> Snapshot:
    """A table after an hour of mixed driving: well known to 3 V, thin above, unseen at the top."""
    rng = np.random.default_rng(seed)
    table = realistic_table()
    volts = table.maf_v
    hits = (
        2400 * np.exp(-(((volts - 1.9) / 0.75) ** 2)) + 900 * np.exp(-(((volts - 1.25) / 0.08) ** 2))
    ).astype(np.int64)
    effective = hits / 14.0
    stderr = np.where(hits > 0, 0.12 + 2.2 / np.sqrt(effective + 0.5), np.nan)
    states = [
        CellState.MEASURED if error < 1.0 and evidence >= 5.0 else CellState.WEAK if hit else CellState.EMPTY
        for error, evidence, hit in zip(stderr, effective, hits, strict=True)
    ]
    states[2] = CellState.INTERPOLATED
    states[24] = CellState.LOCKED
    hits[2], effective[2], stderr[2] = 0, 0.0, np.nan
    known = np.array([state is not CellState.EMPTY for state in states])
    noise = rng.normal(0.0, 0.7, CELLS) * np.nan_to_num(stderr, nan=1.0)
    correction = np.where(known, true_error_pct(volts) + noise, np.nan)
    assert table.flow_gs is not None
    moves = np.array([state is CellState.MEASURED for state in states])
    proposed = np.where(moves, table.flow_gs * (1.0 + np.nan_to_num(correction) / 100.0), table.flow_gs)
    accepted = int(hits.sum())
    return Snapshot(
        revision=revision,
        estimator="curve",
        table=table,
        epoch=1,
        updated_s=1234.5,
        counts=SampleCounts(
            seen=accepted + 16_141,
            pending=31,
            accepted=accepted,
            rejected={"open_loop": 9_241, "cold_engine": 900, "transient": 5_400, "just_closed": 600},
        ),
        correction_pct=correction,
        stderr_pct=stderr,
        hits=hits,
        effective_hits=effective,
        states=tuple(states),
        proposed_gs=proposed,
        lag_s=0.42,
        warnings=(DataWarning("no_coolant", "No coolant temperature in this source: its filter is off."),),
        held_out=HeldOut(2.72 if passed else 3.61, 3.57, 3.06, passed),
        drive_next=(DriveNext((2.9, 3.2), (48.0, 66.0), (2600.0, 3200.0), (0.9, 1.5), 0.31),),
    )


class FakeBoard:
    """A board whose every part a test sets; ``touch`` tells those who wait that something changed."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.newest = snapshot or realistic_snapshot()
        self.session_number: int | None = 7
        self.reading: LiveReading | None = live_reading(2.41)
        self.state = running_status(self.newest)
        self.commands: list[Command] = []
        self.allowed_commands: tuple[str, ...] = ("reset", "pause", "resume")
        self.minutes: list[VerdictMinute] = []
        self.snapshot_calls = 0
        self._generation = 1
        self._changed = asyncio.Event()

    def snapshot(self) -> Snapshot:
        self.snapshot_calls += 1
        return self.newest

    def session(self) -> int | None:
        return self.session_number

    def live(self) -> LiveReading | None:
        return self.reading

    def status(self) -> Status:
        return self.state

    async def changed(self, generation: int) -> int:
        while generation >= self._generation:
            await self._changed.wait()
        return self._generation

    async def command(self, command: Command) -> Mapping[str, Any]:
        if command.name not in self.allowed_commands:
            allowed = ", ".join(self.allowed_commands)
            raise CommandRefusedError(f"unknown command {command.name!r}; allowed: {allowed}")
        self.commands.append(command)
        return {"done": command.name}

    def recent_verdicts(self) -> Sequence[VerdictMinute]:
        return self.minutes

    async def flash(self, table: MafTable) -> TableChange:
        before = self.newest.table
        current = MafTable(table.name, table.maf_v, table.flow_gs, before.revision + 1)
        self.newest = dataclasses.replace(self.newest, table=current)
        return TableChange(current, changed=True, ended=self.session_number)

    def touch(self) -> None:
        """Something changed: wakes everybody in :meth:`changed`."""
        self._generation += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def next_revision(self) -> None:
        """A new table: revision and first cell differ."""
        correction = np.array(self.newest.correction_pct)
        correction[5] += 0.01
        self.newest = dataclasses.replace(
            self.newest, revision=self.newest.revision + 1, correction_pct=correction
        )
        self.touch()

    def set_status(self, **changes: Any) -> None:
        self.state = dataclasses.replace(self.state, **changes)
        self.touch()

    def set_link(self, state: str, words: str) -> None:
        self.set_status(link=dataclasses.replace(self.state.link, state=state, words=words))


def live_reading(maf_v: float, *, verdict: str = "accepted", t_s: float = 1234.5) -> LiveReading:
    """A sample at ``maf_v`` volts of the realistic table; intake temperature is not measured."""
    table = realistic_table()
    return LiveReading(
        t_s=t_s,
        values={
            "maf_v": maf_v,
            "maf_gs": float(table.flow_at(np.array([maf_v]))[0]),
            "stft_pct": -2.34,
            "ltft_pct": 1.56,
            "fuel_loop": 2.0,
            "rpm": 2350.0 + 100.0 * maf_v,
            "ect_c": 88.0,
            "iat_c": float("nan"),
        },
        cell=int(np.abs(table.maf_v - maf_v).argmin()),
        verdict=verdict,
        provisional=True,
    )


def running_status(snapshot: Snapshot) -> Status:
    """A daemon on a simulated car that has been running for twenty minutes."""
    return Status(
        version="1.2.3",
        uptime_s=1250.0,
        link=LinkStatus("running", "SSM on CAN, ECU 4D12044006 answers", "ssm-can", since_s=1240.0),
        session=7,
        sample_rate_hz=24.1,
        last_sample_age_s=0.03,
        counts={"accepted": snapshot.counts.accepted, **snapshot.counts.rejected},
        nothing_accepted_s=0.4,
        nothing_accepted_because=None,
        storage={"bytes": 123_456, "writes_per_h": 1800},
        healthy=True,
        unhealthy_because=None,
        truth=Truth(true_error_pct(snapshot.table.maf_v).tolist(), 0.84, 33),
        queues={"samples": 0, "samples_dropped": 0},
    )


class FakeResults:
    """A shelf with one published result."""

    TABLE = b'{"format":"lowmaf.table/1","revision":7,"cells":[]}'

    def __init__(self) -> None:
        self.published: list[ResultHead] = []

    async def publish(self, name: str, table: bytes, refusals: Sequence[str]) -> ResultHead:
        self.published.append(ResultHead(f"{len(self.published)}", name, 1.0))
        return self.published[-1]

    async def results(self) -> Sequence[ResultHead]:
        return self.published

    async def result(self, result_id: str) -> Result:
        if result_id != "PUBLISHED":
            raise ResultUnknownError(f"there is no published result {result_id!r}")
        return Result(ResultHead(result_id, "after the new intake", 1.0), self.TABLE, ())

    async def delete(self, result_id: str) -> None:
        await self.result(result_id)


@contextlib.asynccontextmanager
async def serving(app: FastAPI, port: int = 0, limits: WebLimits | None = None) -> AsyncIterator[str]:
    """A real server on loopback; yields its address and has stopped it when left."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(app, "127.0.0.1", port, limits=limits, listening=address.set_result))
    try:
        await asyncio.wait((address, server), return_when=asyncio.FIRST_COMPLETED)
        if not address.done():
            await server
        yield address.result()
    finally:
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server
