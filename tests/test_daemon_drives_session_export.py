"""Exported drives: read again by our own reader they give the same cells; no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from kept_drives import FROM_COLD, TABLE, Kept, drive, kept

from drivers.logs.opening import open_log
from lowmaf.pipeline import Pipeline
from lowmaf.samples import CHANNELS, SampleBatch

NAN = float("nan")


async def exported(car: Kept, session: int, export_format: str) -> bytes:
    pieces = await car.sessions.export(session, export_format)
    return b"".join([piece async for piece in pieces])


async def kept_samples(car: Kept, batch: SampleBatch) -> int:
    session = car.begin(batch)
    car.hub.source_ended()
    await car.store.flush()
    return session


async def test_an_exported_drive_replays_to_the_same_cells(tmp_path: Path) -> None:
    async with kept(tmp_path / "car.sqlite3") as car:
        session = await car.driven(1)
        live = car.hub.snapshot()
        (tmp_path / "drive.csv").write_bytes(await exported(car, session, "csv"))
    reader = open_log(tmp_path / "drive.csv", "drive.csv")
    pipeline = Pipeline(TABLE, filters=FROM_COLD)
    pipeline.begin(1)
    rows = 0
    for batch in reader.batches():
        rows += len(batch)
        assert batch.delivered == drive(1).delivered
        pipeline.feed(batch)
    pipeline.finish()
    replayed = pipeline.snapshot()
    assert rows == len(drive(1))
    assert reader.summary.format == "romraider"
    np.testing.assert_array_equal(replayed.hits, live.hits)
    # A log's time begins at its first row, so its blocks of time lie otherwise.
    np.testing.assert_allclose(replayed.correction_pct, live.correction_pct, rtol=0.0, atol=0.1)
    assert replayed.counts.accepted == live.counts.accepted


async def test_every_channel_has_a_header_that_is_read_as_the_same_channel(tmp_path: Path) -> None:
    n = 400
    rng = np.random.default_rng(3)
    columns = {name: rng.uniform(channel.low, channel.high, n) for name, channel in CHANNELS.items()}
    columns |= {
        "fuel_loop": np.resize([1.0, 2.0, 4.0, 8.0, 16.0], n),
        "rpm": rng.uniform(800.0, 3000.0, n),
        "lambda_": rng.uniform(0.8, 1.2, n),
        "lambda_target": np.full(n, 1.0),
    }
    whole = SampleBatch(100.0 + 0.05 * np.arange(n), columns)
    async with kept(tmp_path / "car.sqlite3") as car:
        text = await exported(car, await kept_samples(car, whole), "csv")
    (tmp_path / "all.csv").write_bytes(text)
    read = SampleBatch.concatenate(list(open_log(tmp_path / "all.csv", "all.csv").batches()))
    assert read.delivered == whole.delivered
    for name in CHANNELS:
        np.testing.assert_allclose(read[name], whole[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(np.diff(read.t_s), 0.05, rtol=1e-9)


async def test_csv_holds_nothing_but_numbers_and_time_that_rises(tmp_path: Path) -> None:
    batch = SampleBatch(
        np.array([1.0, 1.5, 1.5, 1.2, NAN, 2.0, 2.5]),
        {
            "rpm": np.full(7, 850.0),
            "maf_v": np.array([1.0, NAN, 9.0, 9.0, 9.0, 0.1 + 0.2, np.inf]),
            "stft_pct": np.array([-2.5, 0.0, 9.0, 9.0, 9.0, 1e-7, -0.0]),
        },
    )
    async with kept(tmp_path / "car.sqlite3") as car:
        session = await kept_samples(car, batch)
        await car.sessions.session(session)
        rows = list(csv.reader(io.StringIO((await exported(car, session, "csv")).decode("ascii"))))
        document = json.loads(await exported(car, session, "json"))
    volts, trim, rpm = "Mass Airflow Sensor Voltage (V)", "A/F Correction #1 (%)", "Engine Speed (rpm)"
    assert rows == [
        ["Time (msec)", volts, trim, rpm],
        ["1000", "1", "-2.5", "850"],
        ["1500", "", "0", "850"],
        ["2000", "0.30000000000000004", "1e-07", "850"],
        ["2500", "", "-0", "850"],
    ]
    for cell in (cell for row in rows[1:] for cell in row if cell):
        float(cell)
        assert cell[0] not in "=+@\t\r"
    assert [channel["name"] for channel in document["channels"]] == ["t_s", "maf_v", "stft_pct", "rpm"]
    assert document["channels"][1]["unit"] == "V"
    assert document["rows"] == [
        [1.0, 1.0, -2.5, 850.0],
        [1.5, None, 0.0, 850.0],
        [2.0, 0.1 + 0.2, 1e-7, 850.0],
        [2.5, None, -0.0, 850.0],
    ]
    assert document["format"] == "lowmaf.session/1"
    assert document["id"] == session


@pytest.mark.parametrize(("export_format", "end"), [("csv", b"Time (msec)\n"), ("json", b'"rows": [\n]}\n')])
async def test_a_drive_without_samples_is_an_empty_file(
    tmp_path: Path, export_format: str, end: bytes
) -> None:
    async with kept(tmp_path / "car.sqlite3") as car:
        session = await car.driven(1)
        car.store.write("DELETE FROM sample_chunks")
        await car.store.flush()
        text = await exported(car, session, export_format)
        assert text.endswith(end)
        if export_format == "json":
            assert json.loads(text)["rows"] == []


async def test_damaged_samples_are_left_out_and_told(tmp_path: Path) -> None:
    async with kept(tmp_path / "car.sqlite3") as car:
        session = await car.driven(1)
        car.store.write("UPDATE sample_chunks SET channels = '}' WHERE id % 4294967296 = 0")
        await car.store.flush()
        rows = (await exported(car, session, "csv")).count(b"\n") - 1
        assert 0 < rows < len(drive(1))
        assert any("was damaged on the disk" in notice.message for notice in car.store.notices)
