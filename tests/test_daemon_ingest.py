"""Samples that another logger pushes: read as they arrive, kept whole before the answer, or not at all."""

from __future__ import annotations

import asyncio
import json
import math
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import FakeBoard, realistic_table, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from test_daemon_live_hub import settings as hub_settings

from daemon.drives.kept_sessions import KeptSessions
from daemon.ingest.fields import RecordLayouts
from daemon.ingest.ingest import Ingestion
from daemon.ingest.lines import WholeLines
from daemon.ingest.records import RecordReader
from daemon.ingest.session_writer import INGEST, SessionWriter
from daemon.live.hub import Hub
from daemon.serving.long_bodies import LongBodyLimits
from daemon.store.records import ClosedHow, StoreError
from daemon.store.store import Store
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.reader import LogReader
from lowmaf.samples import CHANNELS, SampleBatch
from web.app import create_app
from web.ingest_desk import (
    IngestFormat,
    IngestIncompleteError,
    InvalidRecord,
    SamplesUnusableError,
    TooManyIngestsError,
)
from web.service_errors import NoRoomError, ServiceUnavailableError
from web.session_shelf import SessionChange

NDJSON = {"content-type": "application/x-ndjson"}


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "t_s": number / 25,
        "maf_v": 1.5 + 0.001 * (number % 900),
        "stft_pct": (number % 9) - 4.0,
        "ltft_pct": 1.5,
        "fuel_loop": 2,
        "knock_sum": 0,
        "note": "not a channel",
        **changes,
    }


def lines_of(records: Sequence[Any]) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in records)


def read(body: bytes, size: int = 65536) -> tuple[RecordReader, SampleBatch]:
    reader = RecordReader(RecordLayouts())
    batches = [reader.feed(body[at : at + size]) for at in range(0, len(body), size)]
    batches += reader.finish()
    return reader, SampleBatch.concatenate(batch for batch in batches if batch is not None)


# ---- records


def test_records_become_samples_in_our_units() -> None:
    reader, samples = read(lines_of([record(number) for number in range(50)]))
    assert (reader.valid, reader.invalid) == (50, 0)
    np.testing.assert_array_equal(samples.t_s, np.arange(50) / 25)
    assert samples.delivered == {"maf_v", "stft_pct", "ltft_pct", "fuel_loop"}
    np.testing.assert_array_equal(samples["maf_v"], 1.5 + 0.001 * (np.arange(50) % 900))


def test_every_channel_of_ours_goes_by_its_own_name_and_unit() -> None:
    values = {name: 1.25 + place for place, name in enumerate(CHANNELS)}
    values |= {"fuel_loop": 2.0, "lambda_": 0.93, "lambda_target": 0.97}
    _, samples = read(lines_of([{"t_s": number * 0.04, **values} for number in range(30)]))
    assert samples.delivered == set(CHANNELS)
    for name, value in values.items():
        np.testing.assert_array_equal(samples[name], np.full(30, value), err_msg=name)


def test_names_of_logs_and_of_the_openej_service_are_known_with_their_units() -> None:
    romraider = {
        "Mass Airflow Sensor Voltage (V)": 2.5,
        "A/F Correction #1 (%)": 1.0,
        "A/F Learning #1 (%)": 2.0,
        "CL/OL Fueling* (status)": 8,
        "Coolant Temperature (F)": 194,
    }
    _, samples = read(lines_of([romraider | {"Time (msec)": 40 * number} for number in range(9)]))
    assert samples.t_s[8] == pytest.approx(0.32)
    assert (samples["fuel_loop"][0], samples["ect_c"][0]) == (2.0, pytest.approx(90.0))
    openej = {"af_correction_short": 1.0, "af_correction_learning": 2.0, "mass_airflow_voltage": 2.5,
              "cl_ol_status": 8, "intake_air_temp": 25}  # fmt: skip
    _, samples = read(lines_of([openej | {"time": 40 * number} for number in range(9)]))
    assert samples.t_s[8] == pytest.approx(0.32)
    assert (samples["fuel_loop"][0], samples["stft_pct"][0]) == (2.0, 1.0)


def test_what_is_no_record_is_left_out_counted_and_named_by_its_line() -> None:
    bad: list[Any] = [b"{", b"[1]", b"\xff", {"maf_v": 2.0}, record(1, maf_v="2.5"), record(1, t_s=None),
                      record(1, t_s=True), b"[" * 5000, b"nonsense", b"{}", b"1", b"NaN"]  # fmt: skip
    body = lines_of([record(0), *bad, b"", b"  ", record(2), record(3)])
    reader, samples = read(body)
    assert (reader.valid, reader.invalid, len(samples)) == (3, len(bad), 3)
    assert [one.line for one in reader.first_invalid] == list(range(2, 12))
    assert "maf_v" in reader.first_invalid[4].error
    assert all(one.error and "\n" not in one.error and len(one.error) <= 200 for one in reader.first_invalid)


def test_nulls_are_not_measured_and_words_of_a_state_are_understood() -> None:
    _, samples = read(lines_of([record(0, fuel_loop="Closed"), record(1, maf_v=None), record(2)]))
    np.testing.assert_array_equal(samples["maf_v"], [1.5, np.nan, 1.502])
    np.testing.assert_array_equal(samples["fuel_loop"], [2.0, 2.0, 2.0])


def test_times_may_be_clocks_and_one_that_cannot_be_read_is_no_record() -> None:
    def at(text: str) -> dict[str, Any]:
        timed = record(0)
        del timed["t_s"]
        return {"timestamp": text, **timed}

    stamps = ["2026-11-21T10:00:00.000", "2026-11-21T10:00:00.500", "later", "2026-11-21T10:00:01.000"]
    reader, samples = read(lines_of([at(text) for text in stamps]))
    np.testing.assert_allclose(samples.t_s - samples.t_s[0], [0.0, 0.5, 1.0])
    assert [(one.line, one.error) for one in reader.first_invalid] == [(3, "its time cannot be read")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"\n \n", "the body is empty"),
        (b"{}\n[]\n", "none of 2 lines is a record: line 1: it has no fields"),
        (b'{"a": 1}\n', "no field for mass air flow"),
        (lines_of([{"t_s": 1, "maf_v": 2, "stft_pct": 1}]), "long-term fuel trim"),
    ],
)
def test_a_body_without_samples_says_why(body: bytes, words: str) -> None:
    with pytest.raises(SamplesUnusableError, match=words) as refused:
        read(body)
    assert "--columns" not in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.lists(st.integers(0, 7), min_size=1, max_size=60))
def test_chunks_do_not_matter(size: int, kinds: list[int]) -> None:
    made: dict[int, Any] = {5: b"", 6: b"{", 7: record(0, maf_v="x")}
    body = lines_of([record(0), *(made.get(kind, record(at + 1)) for at, kind in enumerate(kinds))])[:-1]
    (whole, samples), (pieces, again) = read(body, len(body)), read(body, size)
    assert whole.first_invalid == pieces.first_invalid
    assert (whole.valid, whole.invalid) == (pieces.valid, pieces.invalid)
    for name in samples.delivered:
        np.testing.assert_array_equal(samples[name], again[name])
    np.testing.assert_array_equal(samples.t_s, again.t_s)


def test_a_line_without_end_takes_no_memory_and_is_one_invalid_record() -> None:
    reader = RecordReader(RecordLayouts())
    reader.feed(lines_of([record(0)]))
    tracemalloc.start()
    for _ in range(1600):
        reader.feed(b"x" * 65536)  # 105 MB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reader.feed(b"x\n" + lines_of([record(1)]))
    samples = SampleBatch.concatenate(reader.finish())
    assert (reader.valid, reader.invalid, len(samples)) == (2, 1, 2)
    assert (reader.first_invalid[0].line, reader.first_invalid[0].error) == (
        2,
        "longer than 1000000 bytes ([limits] log_line_kb)",
    )
    assert peak < 4 * DEFAULT_LIMITS.line_bytes


@given(st.lists(st.binary(max_size=30), max_size=12))
def test_lines_are_cut_and_nothing_is_lost(chunks: list[bytes]) -> None:
    cut = WholeLines()
    pieces = [piece for chunk in chunks if (piece := cut.feed(chunk)) is not None]
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces) + cut.rest() == b"".join(chunks)


# ---- kept


async def in_chunks(body: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "car.sqlite3") as opened:
        await opened.put_table(realistic_table())
        yield opened


@pytest.fixture
def hub(store: Store) -> Hub:
    return Hub(hub_settings(table=store.current_table() or realistic_table()), store)


@pytest.fixture
def desk(store: Store, hub: Hub) -> Ingestion:
    return Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST))


CSV = "Time (s),MAF Voltage (V),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status)\n"


def csv_of(records: Sequence[dict[str, Any]]) -> bytes:
    rows = (f"{r['t_s']!r},{r['maf_v']!r},{r['stft_pct']!r},{r['ltft_pct']!r},8\n" for r in records)
    return (CSV + "".join(rows)).encode()


@pytest.mark.parametrize("body_format", list(IngestFormat))
async def test_a_body_is_a_session_of_its_own_that_is_durable_and_does_not_count(
    body_format: IngestFormat, desk: Ingestion, store: Store
) -> None:
    records = [record(number) for number in range(30_000)]
    body = csv_of(records) if body_format is IngestFormat.CSV else lines_of(records)
    ingested = await desk.take(body_format, in_chunks(body), "a friend's car")
    assert (ingested.valid, ingested.invalid, ingested.bytes) == (30_000, 0, len(body))
    session = await store.session(ingested.session)
    assert session is not None
    assert (session.driver, session.name, session.included) == ("ingest", "a friend's car", False)
    assert session.closed_how is ClosedHow.CLOSED
    assert session.duration_s == pytest.approx(29_999 / 25)
    kept = SampleBatch.concatenate([batch async for batch in store.samples(ingested.session)])
    np.testing.assert_array_equal(kept["maf_v"], [one["maf_v"] for one in records])
    np.testing.assert_array_equal(kept.t_s, [one["t_s"] for one in records])


async def test_what_is_included_counts_as_if_it_had_been_driven(
    desk: Ingestion, store: Store, hub: Hub
) -> None:
    relearned: list[int] = []

    async def relearn() -> None:
        relearned.append(1)

    records = [record(number) for number in range(4000)]
    ingested = await desk.take(IngestFormat.NDJSON, in_chunks(lines_of(records)), "")
    assert not (await store.counts(ingested.session))
    shelf = KeptSessions(store, lambda _: False, relearn, "curve")
    shown = await shelf.change(ingested.session, SessionChange(included=True))
    assert shown["included"]
    assert relearned == [1]
    judged = hub.pipeline
    judged.begin(1)
    judged.feed(SampleBatch.concatenate([batch async for batch in store.samples(ingested.session)]))
    judged.finish()
    assert sum(judged.verdict_counts().values()) == 4000
    given_counts = {label: n for label, n in judged.verdict_counts().items() if n}
    assert {label: n for label, n in (await store.counts(ingested.session)).items() if n} == given_counts


async def test_bodies_at_the_same_time_do_not_mix(desk: Ingestion, store: Store) -> None:
    bodies = [
        lines_of([record(number, ltft_pct=float(which)) for number in range(500 + which)])
        for which in range(12)
    ]

    async def slowly(body: bytes) -> AsyncIterator[bytes]:
        async for chunk in in_chunks(body, 7001):
            await asyncio.sleep(0)
            yield chunk

    many = await asyncio.gather(*(desk.take(IngestFormat.NDJSON, slowly(body), "") for body in bodies))
    assert len({one.session for one in many}) == 12
    for which, one in enumerate(many):
        kept = SampleBatch.concatenate([batch async for batch in store.samples(one.session)])
        assert len(kept) == one.valid == 500 + which
        assert set(kept["ltft_pct"].tolist()) == {float(which)}


@pytest.mark.parametrize("body_format", list(IngestFormat))
async def test_a_body_that_breaks_off_leaves_nothing(
    body_format: IngestFormat, desk: Ingestion, store: Store
) -> None:
    records = [record(number) for number in range(30_000)]
    body = csv_of(records) if body_format is IngestFormat.CSV else lines_of(records)

    async def breaks_off() -> AsyncIterator[bytes]:
        async for chunk in in_chunks(body[:-3]):
            yield chunk
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await desk.take(body_format, breaks_off(), "")
    await store.flush()
    assert await store.sessions() == []
    assert list(await store.query("SELECT id FROM sample_chunks")) == []
    again = await desk.take(body_format, in_chunks(body), "")
    assert again.valid == 30_000


@pytest.mark.parametrize("body_format", list(IngestFormat))
async def test_whoever_stops_waiting_ends_the_work(
    body_format: IngestFormat, desk: Ingestion, store: Store
) -> None:
    asked = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield csv_of([record(0)]) if body_format is IngestFormat.CSV else lines_of([record(0)])
        asked.set()
        await asyncio.Event().wait()

    taking = asyncio.create_task(desk.take(body_format, stalls(), ""))
    await asked.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await store.flush()
    assert await store.sessions() == []


@pytest.mark.parametrize(
    ("bodies", "words"),
    [
        (LongBodyLimits(quiet_s=0.05), r"nothing came for 0.05 s \(\[limits\] quiet_s\)"),
        (LongBodyLimits(lasts_s=0.05), r"it was not whole after 0.05 s \(\[limits\] long_body_s\)"),
    ],
)
async def test_a_body_that_comes_too_slowly_is_given_up(
    store: Store, hub: Hub, bodies: LongBodyLimits, words: str
) -> None:
    desk = Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST), bodies=bodies)

    async def stalls() -> AsyncIterator[bytes]:
        yield lines_of([record(0)])
        await asyncio.Event().wait()

    with pytest.raises(IngestIncompleteError, match=words):
        await desk.take(IngestFormat.NDJSON, stalls(), "")
    assert await store.sessions() == []


@pytest.mark.parametrize("body_format", IngestFormat)
async def test_how_long_a_line_may_be_is_the_owners_choice(
    store: Store, hub: Hub, body_format: IngestFormat
) -> None:
    limits = LogLimits(line_bytes=5000)
    desk = Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST), log_limits=limits)

    async def body() -> AsyncIterator[bytes]:
        yield lines_of([record(number) for number in range(30)])
        for _ in range(4):
            yield b"1" * 2000
        yield b"\n"

    if body_format is IngestFormat.CSV:
        with pytest.raises(SamplesUnusableError, match="no line end within 5000 bytes"):
            await desk.take(body_format, body(), "")
    else:
        ingested = await desk.take(body_format, body(), "")
        assert (ingested.valid, ingested.invalid) == (30, 1)
        assert ingested.first_invalid[0].error == "longer than 5000 bytes ([limits] log_line_kb)"


async def test_sessions_without_an_answer_are_removed_at_the_next_start(
    desk: Ingestion, store: Store, hub: Hub
) -> None:
    session = store.write_session_start(hub.session_start(INGEST))
    drive = store.write_session_start(hub.session_start("simulator"))
    await store.flush()
    answered = await desk.take(IngestFormat.NDJSON, in_chunks(lines_of([record(0)])), "")
    await SessionWriter(store).restore()
    assert {one.id for one in await store.sessions()} == {drive, answered.session}
    assert session not in {one.id for one in await store.sessions()}


async def test_so_many_bodies_at_once_and_no_more(desk: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.ingest.ingest.AT_ONCE", 1)
    began = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        began.set()
        await asyncio.Event().wait()
        yield b""

    taking = asyncio.create_task(desk.take(IngestFormat.NDJSON, stalls(), ""))
    await began.wait()
    with pytest.raises(TooManyIngestsError):
        await desk.take(IngestFormat.NDJSON, in_chunks(lines_of([record(0)])), "")
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert (await desk.take(IngestFormat.NDJSON, in_chunks(lines_of([record(0)])), "")).valid == 1


async def test_a_disk_that_is_full_or_fails_is_said(
    store: Store, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Ingestion(SessionWriter(store, min_free_bytes=math.inf), lambda: hub.session_start(INGEST))
    with pytest.raises(NoRoomError, match="MB free"):
        await full.take(IngestFormat.NDJSON, in_chunks(lines_of([record(0)])), "")

    async def fails() -> None:
        raise StoreError("the disk does not answer")

    monkeypatch.setattr(store, "flush", fails)
    failing = Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST))
    with pytest.raises(ServiceUnavailableError, match="the disk does not answer"):
        await failing.take(IngestFormat.NDJSON, in_chunks(lines_of([record(0)])), "")
    monkeypatch.undo()
    await store.flush()


async def test_csv_is_read_as_a_recorded_log_is(desk: Ingestion, store: Store, tmp_path: Path) -> None:
    body = csv_of([record(number) for number in range(300)]).replace(b"1.51,", b"n/a,") + b"broken,line\n"
    path = tmp_path / "drive.csv"
    path.write_bytes(body)
    ingested = await desk.take(IngestFormat.CSV, in_chunks(body, 100), "")
    kept = SampleBatch.concatenate([batch async for batch in store.samples(ingested.session)])
    read_again = SampleBatch.concatenate(LogReader(path).batches())
    for name in read_again.delivered:
        np.testing.assert_array_equal(kept[name], read_again[name])
    assert (ingested.valid, ingested.invalid) == (300, 1)
    assert any("1 row" in words for words in ingested.warnings)
    assert ingested.first_invalid == [InvalidRecord(302, "fewer fields than column names")]


async def test_rows_so_short_that_very_many_come_at_once_drop_no_sample_of_the_drive(
    desk: Ingestion, store: Store, hub: Hub
) -> None:
    drive = store.write_session_start(hub.session_start("simulator"))
    store.write_samples(drive, SampleBatch(np.arange(100.0), {"maf_v": np.full(100, 2.0)}))
    names = CSV.rpartition(",")[0] + "\n"
    body = (names + "".join(f"{second},2,0,0\n" for second in range(100_000))).encode()
    ingested = await desk.take(IngestFormat.CSV, in_chunks(body, 1 << 18), "")
    assert ingested.valid == 100_000
    assert store.status()["samples_dropped"] == 0
    for session, samples in ((drive, 100), (ingested.session, 100_000)):
        kept = SampleBatch.concatenate([batch async for batch in store.samples(session)])
        np.testing.assert_array_equal(kept.t_s, np.arange(float(samples)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "packed"),
        (b"PK\x03\x04", "packed"),
        (b"a,b,c\n1,2,3\n", "no column for"),
        (b"x" * 3_000_000, "no line end"),
        (b"\0\1\2" * 300, "binary"),
    ],
)
async def test_a_csv_body_without_samples_says_why(
    body: bytes, words: str, desk: Ingestion, store: Store
) -> None:
    with pytest.raises(SamplesUnusableError, match=words):
        await desk.take(IngestFormat.CSV, in_chunks(body), "")
    assert await store.sessions() == []


# ---- over HTTP


@pytest.fixture
async def client(desk: Ingestion) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(create_app(FakeBoard(), version="1", ingest=desk)) as url,
        httpx.AsyncClient(base_url=url, timeout=20.0) as asking,
    ):
        yield asking


async def test_the_answer_says_what_became_of_the_body(client: httpx.AsyncClient) -> None:
    body = lines_of([record(0), b"{", record(1)])
    response = await client.post("api/v1/ingest", params={"name": "drive\n"}, content=body, headers=NDJSON)
    assert response.status_code == 200
    result = response.json()["result"]
    assert result["status"] == "ok"
    assert result["stats"] == {"bytes": len(body), "records": {"valid": 2, "invalid": 1, "total": 3}}
    assert [bad["line"] for bad in result["first_invalid"]] == [2]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 415, "unsupported_media_type"),
        ({"content-type": "application/json"}, 415, "unsupported_media_type"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
        ({**NDJSON, "content-encoding": "gzip"}, 415, "unsupported_content_coding"),
        ({"content-type": "Application/X-NDJSON; charset=utf-8"}, 200, ""),
    ],
)
async def test_what_is_sent_otherwise_is_told_how(
    headers: dict[str, str], status: int, code: str, client: httpx.AsyncClient
) -> None:
    response = await client.post("api/v1/ingest", content=lines_of([record(0)]), headers=headers)
    assert response.status_code == status
    if code:
        assert response.json()["error"]["code"] == code


async def test_a_truncated_body_leaves_nothing_and_the_server_goes_on(
    client: httpx.AsyncClient, store: Store
) -> None:
    port = client.base_url.port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = lines_of([record(number) for number in range(9000)])
    writer.write(
        b"POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: %d\r\n\r\n" % (2 * len(body))
    )
    writer.write(body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    response = await client.post("api/v1/ingest", content=lines_of([record(0)]), headers=NDJSON)
    assert response.status_code == 200
    async with asyncio.timeout(10.0):
        while len(await store.sessions()) != 1:
            await asyncio.sleep(0.01)
            await store.flush()


async def test_memory_stays_flat_whatever_the_length(client: httpx.AsyncClient) -> None:
    block = lines_of([record(number) for number in range(2000)])

    async def long_body() -> AsyncIterator[bytes]:
        for _ in range(25):
            yield block

    def blocks() -> Iterator[bytes]:
        yield block

    await client.post("api/v1/ingest", content=b"".join(blocks()), headers=NDJSON)
    tracemalloc.start()
    response = await client.post("api/v1/ingest", content=long_body(), headers=NDJSON)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.json()["result"]["stats"]["records"]["total"] == 50_000
    assert peak < 8_000_000, f"{peak} bytes for a body of {25 * len(block)}"
