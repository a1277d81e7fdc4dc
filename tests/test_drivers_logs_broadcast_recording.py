"""Recordings of what an ECU broadcasts: the samples that the live driver gives, from any format."""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Sequence

import can
import numpy as np
import pytest
from passive_links import DBC, SIGNALS, Frame, engine_frame, slow_frame, trims_frame
from test_drivers_logs_can_recording import WRITERS

from daemon.cli import main
from drivers.broadcast_samples import BroadcastSamples, HoldRules
from drivers.dbc_signals import parse_pairs, signal_map
from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.logs.recorded_drive import RecordedDrive
from lowmaf.samples import SampleBatch

STEP_S = 0.03125  # every format can write it


def drive(seconds: float) -> list[tuple[float, Frame]]:
    """A car that goes faster and slower, with its loop closed and trims of 2 to 4 %."""
    frames: list[tuple[float, Frame]] = []
    for n in range(int(seconds / STEP_S)):
        at_s = 1000.0 + n * STEP_S
        maf_v = 1.9 + 0.7 * np.sin(n / 400.0)
        frames += [
            (at_s, slow_frame(n % 3, (130.0, 300.0, 40.0)[n % 3])),
            (at_s, trims_frame(3.0 + np.sin(n / 90.0), 1.0, 1.0, 1.0)),
            (at_s, engine_frame(2000.0, maf_v, 2.0 * maf_v**2.6, 1)),
        ]
    return frames


def record(path: pathlib.Path, frames: Sequence[tuple[float, Frame]]) -> pathlib.Path:
    writer = WRITERS[path.name](path)
    for at_s, (identifier, extended, data) in frames:
        writer.on_message_received(
            can.Message(
                timestamp=at_s, arbitration_id=identifier, is_extended_id=extended, data=data, channel=0
            )
        )
    writer.stop()
    return path


def opened(path: pathlib.Path, signals: str = SIGNALS) -> RecordedDrive:
    return open_log(path, signals=signal_map(DBC, parse_pairs(signals)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_recording_gives_what_the_live_driver_makes_of_the_frames(
    name: str, tmp_path: pathlib.Path
) -> None:
    frames = drive(20.0)
    live = BroadcastSamples(signal_map(DBC, parse_pairs(SIGNALS)), HoldRules())
    rows = [(at_s, live.take((number, ext), data, at_s)) for at_s, (number, ext, data) in frames]
    expected = np.array([row for _, row in rows if row is not None]).T
    log = opened(record(tmp_path / name, frames))
    found = SampleBatch.concatenate(log.batches())
    assert len(found) == expected.shape[1] == 640
    assert found.t_s[0] == 0.0
    for channel, values in zip(live.channels, expected, strict=True):
        assert found[channel].tobytes() == values.tobytes(), channel
    summary = log.summary
    assert (summary.rows, summary.gaps, summary.warnings) == (640, 0, ())
    assert summary.sample_rate_hz == pytest.approx(1.0 / STEP_S)
    assert summary.columns["stft_pct"] == "ShortTrim"


def test_messages_that_never_come_are_named(tmp_path: pathlib.Path) -> None:
    frames = [item for item in drive(5.0) if item[1][0] != 0x362]
    log = opened(record(tmp_path / "drive.log", frames))
    assert len(SampleBatch.concatenate(log.batches())) == 160
    assert log.summary.warnings == ("messages that never come: Slow (362)",)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (
            [(1.0, (0x100, False, b"\1"))],
            "1 frames, none of them with the air flow: messages that never come: En",
        ),
        (
            [(n / 10, trims_frame(1.0, 1.0, 1.0, 1.0)) for n in range(9)],
            "9 frames, none of them with the air",
        ),
        (
            [(n / 10, engine_frame(0.0, 1.0, 1.0, 0)) for n in range(99)],
            "the engine never ran: Engine.EngineSpe",
        ),
    ],
)
def test_a_recording_that_gives_no_table_is_refused_in_words(
    frames: list[tuple[float, Frame]], words: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(LogUnreadableError) as caught:
        list(opened(record(tmp_path / "drive.log", frames)).batches())
    assert words in str(caught.value)


# ---- the command


COLUMNS = [pair.strip() for pair in SIGNALS.split(",")]


def replay(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["replay", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_table_is_made_of_broadcast_frames(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(tmp_path / "drive.blf", drive(120.0))
    packed = tmp_path / "drive.blf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    results = []
    for log in (path, packed):
        status, out, err = replay(
            capsys, log, "--format", "json", "--dbc", DBC, "--columns", *COLUMNS, "--estimator", "nearest"
        )
        assert (status, err) == (0, "")
        results.append(json.loads(out))
    assert results[0]["cells"] == results[1]["cells"]
    (log_said,) = results[0]["logs"]
    assert (log_said["format"], log_said["rows"]) == ("blf", 3840)
    corrections = [cell["correction_pct"] for cell in results[0]["cells"] if cell["hits"]]
    assert min(corrections) > 2.0
    assert max(corrections) < 6.0


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["maf_v=MafVoltag"], "--dbc, --columns: no signal for stft_pct, ltft_pct, fuel_loop"),
        (
            [*COLUMNS[1:], "maf_v=MafVoltag"],
            "no signal 'MafVoltag' in broadcast.dbc, did you mean 'MafVoltage'?",
        ),
    ],
)
def test_columns_that_are_no_signals_are_wrong_usage(
    columns: list[str], words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(tmp_path / "drive.log", drive(1.0))
    status, out, err = replay(capsys, path, "--dbc", DBC, "--columns", *columns)
    assert (status, out) == (2, "")
    assert words in err


def test_without_a_dbc_file_its_use_is_told(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = replay(capsys, record(tmp_path / "drive.log", drive(1.0)))
    assert status == 1
    assert "name a DBC file that describes them (--dbc)" in err
