"""The replay driver: recorded logs of every kind, in their time or as fast as it goes."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from passive_links import DBC, SIGNALS
from test_drivers_logs_broadcast_recording import drive, opened, record
from timing import at_most

from drivers.base import DeviceUnavailableError, DriverOptionError
from drivers.clock import WallClock
from drivers.logs.opening import open_log
from drivers.recorder import Recorder, RecordingSettings
from drivers.recording import Kind, Note
from drivers.replay import Replay
from lowmaf.samples import SampleBatch

HEADER = (
    "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
    "Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),Engine Speed (rpm)"
)


def log(folder: Path, times_ms: list[int]) -> Path:
    path = folder / "drive.csv"
    rows = [f"{t_ms},{n % 5},-1.5,8,1.5,4.{n % 10},800" for n, t_ms in enumerate(times_ms)]
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


async def replayed(path: Path, speed: float) -> list[SampleBatch]:
    driver = Replay({"file": str(path), "speed": speed}, WallClock())
    async with asyncio.timeout(20.0), aclosing(driver.batches()) as batches:
        return [batch async for batch in batches]


def same(found: list[SampleBatch], path: Path) -> None:
    expected = SampleBatch.concatenate(open_log(path).batches())
    samples = SampleBatch.concatenate(found)
    assert samples.t_s.tobytes() == expected.t_s.tobytes()
    for name, values in expected.channels.items():
        assert samples[name].tobytes() == values.tobytes()


@pytest.mark.parametrize("speed", [0.0, 20.0, 10_000.0])
async def test_the_samples_are_those_of_the_log(tmp_path: Path, speed: float) -> None:
    path = log(tmp_path, list(range(0, 20_000, 50)))
    same(await replayed(path, speed), path)


async def test_they_come_in_their_time_and_in_small_pieces(tmp_path: Path) -> None:
    path = log(tmp_path, list(range(0, 4000, 20)))
    started_s = time.monotonic()
    batches = await replayed(path, 4.0)
    assert 0.85 < time.monotonic() - started_s < at_most(2.0)
    assert max(map(len, batches)) <= 21


async def test_a_hole_is_not_sat_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.replay._LONGEST_WAIT_S", 0.1)
    path = log(tmp_path, [0, 10, 20, 7_200_000, 7_200_010])
    started_s = time.monotonic()
    same(await replayed(path, 1.0), path)
    assert time.monotonic() - started_s < at_most(2.0)


@pytest.mark.parametrize(("name", "words"), [("nosuch.csv", "nosuch.csv"), ("empty.csv", "empty.csv")])
async def test_what_cannot_be_replayed_is_one_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DeviceUnavailableError, match=f"nothing can be replayed: .*{words}") as caught:
        await replayed(tmp_path / name, 0.0)
    assert len(str(caught.value).splitlines()) == 1


async def test_a_raw_recording_that_tells_nothing_is_one_line_too(tmp_path: Path) -> None:
    recorder = Recorder(RecordingSettings(tmp_path, 10**6, "elm327", {}), "x", print)
    recorder.bytes(0.1, b"7F", Kind.SENT)
    recorder.note(0.2, Note.IDENTIFIED)
    recorder.close()
    with pytest.raises(DeviceUnavailableError, match="nothing can be replayed"):
        await replayed(recorder.path, 0.0)


async def test_a_slow_listener_loses_nothing(tmp_path: Path) -> None:
    """The reader waits; nothing is dropped however far ahead it could read."""
    path = log(tmp_path, list(range(0, 400_000, 10)))
    driver = Replay({"file": str(path), "speed": 0.0}, WallClock())
    samples = 0
    async with asyncio.timeout(20.0), aclosing(driver.batches()) as batches:
        async for batch in batches:
            samples += len(batch)
            await asyncio.sleep(0.005)
    assert samples == 40_000
    assert driver.describe() == f"replay of {path} (romraider), as fast as it goes"


async def test_opened_again_it_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    path = log(tmp_path, list(range(0, 60_000, 10)))
    driver = Replay({"file": str(path), "speed": 100.0}, WallClock())
    parts: list[SampleBatch] = []
    openings = 0
    async with asyncio.timeout(20.0):
        while sum(map(len, parts)) < 6000:
            openings += 1
            async with aclosing(driver.batches()) as batches:
                async for batch in batches:
                    parts.append(batch)
                    if len(parts) % 2 == 0:
                        break
    assert openings >= 3
    same(parts, path)
    assert [batch async for batch in driver.batches()] == [], "it has ended for good"


async def test_a_recording_of_a_broadcast_is_decoded_as_can_broadcast_does(tmp_path: Path) -> None:
    path = record(tmp_path / "drive.log", drive(20.0))
    options = {"file": str(path), "speed": 0.0, "dbc": str(DBC), "signals": SIGNALS}
    driver = Replay(options, WallClock())
    async with asyncio.timeout(20.0), aclosing(driver.batches()) as batches:
        found = SampleBatch.concatenate([batch async for batch in batches])
    expected = SampleBatch.concatenate(opened(path).batches())
    assert found.t_s.tobytes() == expected.t_s.tobytes()
    assert found["stft_pct"].tobytes() == expected["stft_pct"].tobytes()
    assert not driver.lacks_voltage
    no_volts = "maf_gs=MafFlow, stft_pct=ShortTrim, ltft_pct=0, fuel_loop=LoopState:closed"
    assert Replay({**options, "signals": no_volts}, WallClock()).lacks_voltage


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dbc": str(DBC)}, "driver replay needs the options dbc .* and signals .* together"),
        ({"signals": SIGNALS}, "driver replay needs the options dbc .* and signals .* together"),
        ({"dbc": str(DBC), "signals": "maf_v=MafVolts"}, "driver replay: no signal for stft_pct"),
        ({"dbc": "nosuch.dbc", "signals": SIGNALS}, "driver replay: DBC file nosuch.dbc: No such file"),
    ],
)
def test_a_dbc_and_signals_that_do_not_fit_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(DriverOptionError, match=words):
        Replay(options, WallClock())


async def test_times_are_the_logs_own(tmp_path: Path) -> None:
    found = SampleBatch.concatenate(await replayed(log(tmp_path, [100, 150, 300]), 0.0))
    np.testing.assert_allclose(np.diff(found.t_s), [0.05, 0.15])
