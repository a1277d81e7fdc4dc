"""Raw recordings: the format, what is kept when the power goes, and how much room they take."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.recorder import Recorder, Recorders, RecordingSettings
from drivers.recording import (
    Event,
    Kind,
    Note,
    Recording,
    RecordingError,
    bytes_line,
    event_of,
    frame_line,
    is_recording,
    note_line,
)

times = st.integers(0, 10**12).map(lambda microseconds: microseconds / 1e6).filter(lambda t_s: t_s < 1e9)
kinds = st.sampled_from([Kind.CAME, Kind.SENT])


@given(times, st.binary(max_size=300), kinds)
def test_bytes_are_read_as_they_were_written(at_s: float, data: bytes, kind: Kind) -> None:
    assert event_of(bytes_line(at_s, "ttyUSB0", data, kind)) == Event(kind, round(at_s, 6), data)


@given(times, st.integers(0, 0x1FFFFFFF), st.booleans(), st.binary(max_size=8), kinds)
def test_frames_are_read_as_they_were_written(
    at_s: float, identifier: int, extended: bool, data: bytes, kind: Kind
) -> None:
    identifier &= 0x1FFFFFFF if extended else 0x7FF
    line = frame_line(at_s, "can0", identifier, data, kind, extended=extended)
    assert event_of(line) == Event(kind, round(at_s, 6), data, identifier, is_extended=extended)


@given(times, st.sampled_from(["car", "note", "gave-up"]), st.text(st.characters(codec="utf-8")))
def test_notes_are_read_as_they_were_written(at_s: float, key: str, value: str) -> None:
    assert event_of(note_line(at_s, key, value)) == Event(Kind.NOTE, round(at_s, 6), words=(key, value))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("ascii", "replace")))
def test_any_other_line_is_none_of_ours(line: str) -> None:
    event = event_of(line + "\n")
    assert event is None or line.startswith("(")


def settings(folder: Path, limit_bytes: int = 10**9) -> RecordingSettings:
    return RecordingSettings(folder, limit_bytes, "ssm-kline", {"options": "{}", "car": "Ŝubaru 2.5 (EJ255)"})


def started(given: RecordingSettings) -> Recorder:
    recorder = Recorders(given).started("/dev/ttyUSB0")
    assert recorder is not None
    return recorder


def recorded(folder: Path, limit_bytes: int = 10**9, events: int = 100, *, identified: bool = True) -> Path:
    recorder = started(settings(folder, limit_bytes))
    for number in range(events):
        recorder.bytes(number / 10.0, bytes((number % 256,) * 20), Kind.CAME)
    if identified:
        recorder.note(events / 10.0, Note.IDENTIFIED, "SSM on K-line")
    recorder.close()
    return recorder.path


def events_of(path: Path) -> list[Event]:
    recording = Recording(path)
    events = []
    while (event := recording.take()) is not None:
        events.append(event)
    recording.close()
    return events


def test_header_and_events(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    assert is_recording(path)
    recording = Recording(path)
    assert recording.header["driver"] == "ssm-kline"
    assert recording.header["adapter"] == "/dev/ttyUSB0"
    assert recording.header["car"] == "Ŝubaru 2.5 (EJ255)"
    assert recording.header["date"].endswith("Z")
    recording.close()
    events = events_of(path)
    assert len(events) == 101
    assert events[7] == Event(Kind.CAME, 0.7, b"\x07" * 20)
    assert events[100].is_note(Note.IDENTIFIED)


def test_cut_off_at_any_byte_every_whole_line_is_read(tmp_path: Path) -> None:
    content = recorded(tmp_path, events=6).read_bytes()
    header = content.index(b"(0.000000) /dev/ttyUSB0")
    torn = tmp_path / "torn.log"
    for size in range(header, len(content)):
        torn.write_bytes(content[:size])
        assert len(events_of(torn)) == content[header:size].count(b"\n")
        recording = Recording(torn)
        assert recording.damage == ""
        recording.close()


def test_what_a_failing_disk_left_ends_it_and_is_told(tmp_path: Path) -> None:
    path = recorded(tmp_path, events=10)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-4]) + b"\0" * 500 + b"\n" + lines[-1])
    recording = Recording(path)
    while recording.take() is not None:
        pass
    assert recording.damage == f"line {len(lines) - 3} is damaged: what came before was read"
    recording.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it does not begin as one"),
        (b"Time,MAF\n1,2\n", "it does not begin as one"),
        (note_line(0.0, "lowmaf-recording", "2").encode(), "version '2' is not known here, only 1"),
    ],
)
def test_no_recording_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        Recording(path)


def test_the_oldest_make_room_and_one_alone_ends_when_it_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = recorded(tmp_path)
    size = first.stat().st_size
    second = recorded(tmp_path, int(2.5 * size))
    third = recorded(tmp_path, int(2.5 * size))
    assert sorted(tmp_path.iterdir()) == sorted([second, third])
    with caplog.at_level(logging.WARNING):
        fourth = recorded(tmp_path, int(0.5 * size), events=0)
        assert fourth.exists()
        full = recorded(tmp_path, int(0.5 * size))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 0.5 * size + 100
    assert events_of(full)[-1].is_note(Note.FULL)
    assert [record.getMessage() for record in caplog.records] == [
        f"recording {full} ends: it takes all the room that it may take"
    ]


def test_of_a_car_that_does_not_answer_only_the_last_recording_is_kept(tmp_path: Path) -> None:
    for events in (1, 2, 3):
        recorded(tmp_path, events=events, identified=False)
    (kept,) = tmp_path.iterdir()
    assert kept.name == "lowmaf-ssm-kline-unanswered.log"
    assert len(events_of(kept)) == 3


def test_a_full_disk_costs_the_recording_only_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(given: RecordingSettings, _: datetime) -> tuple[Path, TextIO]:
        return given.folder / "lowmaf-full.log", Path("/dev/full").open("w")

    monkeypatch.setattr("drivers.recorder._created", full)
    recorders = Recorders(settings(tmp_path))
    for _ in range(3):
        recorder = recorders.started("/dev/ttyUSB0")
        assert recorder is not None
        assert not recorder.is_writing
        recorder.bytes(0.1, b"1", Kind.CAME)
        recorder.close()
    assert caplog.text.count("No space left on device") == 1
    monkeypatch.undo()
    again = recorders.started("/dev/ttyUSB0")
    assert again is not None
    assert again.is_writing
    again.close()


def test_a_recording_that_is_still_written_makes_no_room_for_another(tmp_path: Path) -> None:
    older = started(settings(tmp_path))
    older.note(0.1, Note.IDENTIFIED)
    closed = recorded(tmp_path)
    room = older.path.stat().st_size + closed.stat().st_size // 2
    newer = started(settings(tmp_path, room))
    newer.note(0.1, Note.IDENTIFIED)
    newer.close()
    assert not closed.exists(), "the oldest that is not written any more"
    older.bytes(0.2, b"\x80", Kind.CAME)
    older.close()
    assert events_of(older.path)[-1] == Event(Kind.CAME, 0.2, b"\x80")


def test_a_folder_that_cannot_be_written_to_costs_the_recording_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / "file"
    taken.touch()
    recorders = Recorders(settings(taken))
    assert recorders.started("/dev/ttyUSB0") is None
    assert recorders.started("/dev/ttyUSB0") is None
    assert caplog.text.count("nothing is recorded") == 1, "said once, not with every try"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "driver '' is not one that records; known: can-broadcast, elm327, obd-can, ssm-can, ssm-kline"),
        ({"driver": "simulator"}, "driver 'simulator' is not one that records"),
        ({"driver": "elm327", "options": "{"}, "its header is damaged"),
        ({"driver": "elm327", "options": "[1]"}, "its header is damaged"),
        ({"driver": "elm327", "options": "[" * 100_000}, "line 3 is damaged"),
        ({"driver": "elm327", "options": '{"prot": 1}'}, "driver elm327 has no option 'prot'"),
        ({"driver": "elm327"}, "it holds no sample: "),
        ({"driver": "ssm-kline"}, "it holds no sample: "),
        ({"driver": "ssm-can"}, "it holds no sample: "),
        ({"driver": "ssm-can", "options": '{"definition": "/etc/passwd"}'}, "passwd"),
    ],
)
def test_a_recording_that_gives_no_sample_is_refused_in_words(
    tmp_path: Path, header: dict[str, str], words: str
) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(note_line(0.0, *pair) for pair in {"lowmaf-recording": "1", **header}.items()))
    with pytest.raises(LogUnreadableError, match=words) as caught:
        list(open_log(path).batches())
    assert len(str(caught.value).splitlines()) == 1


def test_a_driver_that_asks_something_else_says_where(tmp_path: Path) -> None:
    recorder = started(settings(tmp_path))
    recorder.bytes(0.1, b"", Kind.CAME)
    recorder.bytes(0.25, b"\x80\x10\xf0\x01\xbe\x3f", Kind.SENT)
    recorder.note(0.3, Note.IDENTIFIED)
    recorder.close()
    with pytest.raises(LogUnreadableError, match=r"at 0\.250000 s: the driver sends 80 10 F0 01 BF 40 where"):
        list(open_log(recorder.path).batches())


def test_options_in_the_header_are_those_of_the_driver(tmp_path: Path) -> None:
    recorder = started(
        RecordingSettings(tmp_path, 10**6, "ssm-kline", {"options": json.dumps({"mode": "sideways"})})
    )
    recorder.note(0.1, Note.IDENTIFIED)
    recorder.close()
    with pytest.raises(LogUnreadableError, match="option mode: met 'sideways'"):
        list(open_log(recorder.path).batches())
