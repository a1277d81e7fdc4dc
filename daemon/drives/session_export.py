"""A drive's samples as files that other tools read: RomRaider's kind of CSV, and JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from daemon.store.reader import StoreReader
from lowmaf.filters import Mask
from lowmaf.samples import CHANNELS, Floats, SampleBatch

SUBARU_LOOP_OFFSET = 6.0
"""RomRaider logs the Subaru status, which is the OBD code plus 6: 8 is closed loop."""

_HEADERS: Mapping[str, str] = {
    "maf_v": "Mass Airflow Sensor Voltage (V)",
    "maf_gs": "Mass Airflow (g/s)",
    "stft_pct": "A/F Correction #1 (%)",
    "ltft_pct": "A/F Learning #1 (%)",
    "fuel_loop": "CL/OL Fueling* (status)",
    "rpm": "Engine Speed (rpm)",
    "throttle_pct": "Throttle Opening Angle (%)",
    "load_g_rev": "Engine Load (4-byte)* (g/rev)",
    "speed_kmh": "Vehicle Speed (km/h)",
    "map_kpa": "Manifold Absolute Pressure (kPa)",
    "iat_c": "Intake Air Temperature (C)",
    "ect_c": "Coolant Temperature (C)",
    "lambda_": "A/F Sensor #1 (Lambda)",
    "lambda_target": "Final Fueling Base (4-byte)* (Lambda)",
}


class ExportFormat(StrEnum):
    """What a drive is exported as."""

    CSV = "csv"
    JSON = "json"


async def export_csv(store: StoreReader, session: int) -> AsyncIterator[bytes]:
    """Time in ms and a column per channel that was delivered; what was not measured is an empty cell.

    Times rise from row to row: samples whose time does not were never used and are left out. Every cell is
    a number, so no spreadsheet takes one for a formula.
    """
    channels = await store.channels(session)
    yield (",".join(("Time (msec)", *(_HEADERS[name] for name in channels))) + "\n").encode()
    async for batch in _rising(store, session):
        columns = [_cells(1e3 * batch.t_s), *(_cells(_as_logged(name, batch[name])) for name in channels)]
        yield ("\n".join(map(",".join, zip(*columns, strict=True))) + "\n").encode()


async def export_json(store: StoreReader, session: int, document: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """``document`` with ``channels`` and ``rows``: one per sample, time in s first; null: not measured."""
    channels = await store.channels(session)
    named = [
        {"name": "t_s", "unit": "s", "words": "time since the source started"},
        *({"name": name, "unit": CHANNELS[name].unit, "words": CHANNELS[name].words} for name in channels),
    ]
    head = json.dumps({**document, "channels": named}, ensure_ascii=False, allow_nan=False)
    yield (head[:-1] + ', "rows": [').encode()
    separator = "\n"
    async for batch in _rising(store, session):
        columns = [_numbers(batch.t_s), *(_numbers(batch[name]) for name in channels)]
        rows = (json.dumps(row) for row in zip(*columns, strict=True))
        yield (separator + ",\n".join(rows)).encode()
        separator = ",\n"
    yield b"\n]}\n"


async def _rising(store: StoreReader, session: int) -> AsyncIterator[SampleBatch]:
    newest_s = -np.inf
    async for batch in store.samples(session):
        times = np.where(np.isfinite(batch.t_s), batch.t_s, -np.inf)
        before = np.maximum.accumulate(np.append(newest_s, times))
        later: Mask = times > before[:-1]
        newest_s = float(before[-1])
        if later.any():
            yield batch.at(later)


def _as_logged(channel: str, values: Floats) -> Floats:
    return values + SUBARU_LOOP_OFFSET if channel == "fuel_loop" else values


def _cells(values: Floats) -> list[str]:
    """As many digits as it takes to read the same double again."""
    return [repr(value).removesuffix(".0") if np.isfinite(value) else "" for value in values.tolist()]


def _numbers(values: Floats) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
