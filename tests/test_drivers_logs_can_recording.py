"""CAN recordings: the samples that the live driver's link and codecs gave while recording, bit for bit."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pathlib
import random
import tempfile
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import can
import numpy as np
import pytest

from drivers.batches import batch_of
from drivers.can_link import CanLink, open_bus
from drivers.can_port import BusPort
from drivers.clock import WallClock
from drivers.logs.can_sniff import CanFormat, can_format
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import LogLimits
from drivers.logs.opening import open_log
from drivers.logs.peeked import peeked
from drivers.obd_can import ObdCan
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.settings import CarSettings
from drivers.ssm_can import SsmCan
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

WARM = CarSettings(seed=2, ect_start_c=85.0)
STEP_S = 0.125
WRITERS = {
    "drive.log": can.CanutilsLogWriter,
    "drive.asc": can.ASCWriter,
    "drive.blf": can.BLFWriter,
    "drive.trc": can.TRCWriter,
    "drive.csv": can.CSVWriter,
}


class HandClock:
    """Time that passes when the test says so, in steps that every format can write."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s


class Tapped:
    """A bus on which every frame, ours and theirs, is kept with the time of a clock."""

    def __init__(self, bus: can.BusABC, clock: HandClock) -> None:
        self.frames: list[can.Message] = []
        self._bus = bus
        self._clock = clock
        self.channel_info = "tapped"

    def set_filters(self, filters: list[dict[str, object]]) -> None:
        self._bus.set_filters(filters)

    def send(self, message: can.Message) -> None:
        self._keep(message, is_rx=False)
        self._bus.send(message)

    def recv(self, timeout: float | None) -> can.Message | None:
        message = self._bus.recv(timeout)
        if message is not None:
            self._keep(message, is_rx=True)
        return message

    def _keep(self, message: can.Message, *, is_rx: bool) -> None:
        self.frames.append(
            can.Message(
                timestamp=self._clock.now(), arbitration_id=message.arbitration_id, is_extended_id=False,
                data=bytes(message.data), is_rx=is_rx, channel=0,
            )
        )  # fmt: skip


@contextmanager
def tapped_ecu(clock: HandClock, *, reads_ram: bool = True) -> Iterator[Tapped]:
    channel = f"test-{uuid.uuid4().hex}"
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(WARM), clock, reads_ram=reads_ram)
    bus = open_bus("virtual", channel, 0)
    ecu.start()
    try:
        yield Tapped(bus, clock)
    finally:
        bus.shutdown()
        ecu.stop()


def drive(kind: Callable[..., SsmCan | ObdCan], samples: int, *, reads_ram: bool = True):
    """What the live driver read, and every frame of it."""
    clock = HandClock()
    opened_s = clock.now()
    with tapped_ecu(clock, reads_ram=reads_ram) as bus:
        source = kind({"interface": "virtual", "channel": "unused"}, WallClock())
        source._clock = clock
        reading = source.find(CanLink(BusPort(bus, clock), 0x7E0, 0x7E8, timeout_s=5.0))
        searched = len(bus.frames)
        rows = []
        for _ in range(samples):
            clock.now_s += STEP_S
            at_s, values = reading.sample()
            rows.append((opened_s + at_s, values))
        frames = bus.frames
    origin_s = rows[0][0]
    live = batch_of([at_s - origin_s for at_s, _ in rows], reading.channels, [values for _, values in rows])
    return live, frames, searched


def record(path: pathlib.Path, frames: list[can.Message]) -> pathlib.Path:
    writer = WRITERS[path.name](path)
    for frame in frames:
        writer.on_message_received(frame)
    writer.stop()
    return path


def read(path: pathlib.Path, **options: bool) -> SampleBatch:
    return SampleBatch.concatenate(open_log(path, **options).batches())


def same(found: SampleBatch, live: SampleBatch) -> None:
    assert found.t_s.tobytes() == live.t_s.tobytes()
    assert found.channels.keys() == live.channels.keys()
    for name, values in live.channels.items():
        assert found[name].tobytes() == values.tobytes(), name


@pytest.fixture(scope="module")
def ssm_drive():
    return drive(SsmCan, 400)


@pytest.mark.parametrize("name", WRITERS)
def test_a_recorded_drive_is_the_live_drive_bit_for_bit(name: str, ssm_drive, tmp_path: pathlib.Path) -> None:
    live, frames, _ = ssm_drive
    path = record(tmp_path / name, frames)
    before = hashlib.sha256(path.read_bytes()).digest()
    log = open_log(path)
    found = SampleBatch.concatenate(log.batches())
    same(found, live)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    summary = log.summary
    assert (summary.rows, summary.gaps) == (400, 0)
    assert summary.sample_rate_hz == pytest.approx(1.0 / STEP_S)
    assert summary.encoding.startswith("SSM, ECU ")
    tables = []
    for batch in (found, live):
        pipeline = Pipeline(default_axis())
        pipeline.begin(1)
        pipeline.feed(batch)
        pipeline.finish()
        tables.append(pipeline.snapshot())
    assert tables[0].hits.sum() > 0
    assert tables[0].correction_pct.tobytes() == tables[1].correction_pct.tobytes()


def test_a_loop_state_from_obd_belongs_to_the_sample_before_it(tmp_path: pathlib.Path) -> None:
    live, frames, searched = drive(SsmCan, 60, reads_ram=False)
    found = read(record(tmp_path / "drive.blf", frames[searched:]))
    same(found, live)
    assert np.isfinite(found["fuel_loop"]).all()


def test_obd_answers_become_the_samples_of_the_obd_driver(tmp_path: pathlib.Path) -> None:
    live, frames, searched = drive(ObdCan, 200)
    found = read(record(tmp_path / "drive.log", frames[searched:]))
    same(found, live)
    assert {"maf_gs", "stft_pct", "ltft_pct", "fuel_loop"} <= found.delivered
    assert "maf_v" not in found.delivered


def test_a_seldom_asked_pid_is_held_not_waited_for(tmp_path: pathlib.Path) -> None:
    frames: list[can.Message] = []

    def ask(at_s: float, request: bytes, reply: bytes) -> None:
        for identifier, payload in ((0x7E0, request), (0x7E8, reply)):
            data = (bytes((len(payload),)) + payload).ljust(8, b"\0")
            frames.append(
                can.Message(timestamp=at_s, arbitration_id=identifier, data=data, is_extended_id=False)
            )

    for i in range(80):
        ask(0.25 * i, b"\x01\x10", b"\x41\x10\x02\x00")
        ask(0.25 * i, b"\x01\x06\x07", b"\x41\x06\x85\x07\x80")
        ask(0.25 * i, b"\x01\x0c", b"\x41\x0c\x20\x00")
        if i % 8 == 0:
            ask(0.25 * i, b"\x01\x03", b"\x41\x03\x02\x00")
    found = read(record(tmp_path / "drive.asc", frames))
    assert len(found) == 80
    assert found["maf_gs"].tolist() == [5.12] * 80
    assert set(found["fuel_loop"][1:]) == {2.0}


def test_frames_of_others_errors_and_broken_transfers_cost_nothing_else(
    ssm_drive, tmp_path: pathlib.Path
) -> None:
    live, frames, _ = ssm_drive
    noisy: list[can.Message] = []
    for number, frame in enumerate(frames):
        stamp = {"timestamp": frame.timestamp, "channel": 0}
        noisy.append(can.Message(arbitration_id=0x140, data=bytes(8), is_extended_id=False, **stamp))
        if number % 50 == 0:
            noisy.append(can.Message(is_error_frame=True, **stamp))
            noisy.append(can.Message(arbitration_id=0x18DAF110, data=b"\x02\x41\x0c", **stamp))
        noisy.append(frame)
    same(read(record(tmp_path / "drive.blf", noisy)), live)
    lost = [frame for number, frame in enumerate(frames) if number % 97 or number < 40]
    found = read(record(tmp_path / "drive.log", lost))
    assert 300 < len(found) < 400
    assert set(found.t_s.tolist()) <= set(live.t_s.tolist())


def refusal(path: pathlib.Path, **options: bool) -> str:
    with pytest.raises(LogUnreadableError) as error:
        read(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_recordings_that_give_no_table_say_why(tmp_path: pathlib.Path) -> None:
    others = [
        can.Message(timestamp=0.1 * i, arbitration_id=0x140 + i % 3, data=bytes(8), is_extended_id=False)
        for i in range(9)
    ]
    assert "only broadcast frames (9 of 3 identifiers)" in refusal(record(tmp_path / "drive.log", others))
    assert "the recording holds no frames" in refusal(record(tmp_path / "drive.blf", []))
    _, silent, after = drive(SsmCan, 5, reads_ram=False)
    no_state = [frame for frame in silent[after:] if frame.data[1:3] not in (b"\x01\x03", b"\x41\x03")]
    path = record(tmp_path / "drive.asc", no_state)
    assert "--require-flag" in refusal(path, require_flag=True)
    mf4 = tmp_path / "drive.mf4"
    mf4.write_bytes(b"MDF     4.10    " + bytes(100))
    assert "asammdf" in refusal(mf4)


@pytest.mark.shared_logs
def test_a_recorded_idle_of_a_real_car_holds_only_broadcast_frames(shared_logs: pathlib.Path) -> None:
    words = refusal(shared_logs / "can" / "wrx2016_idle.candump.log")
    assert "only broadcast frames (24334 of 31 identifiers)" in words


@pytest.mark.parametrize("name", WRITERS)
def test_a_format_is_known_by_how_it_begins(name: str, ssm_drive, tmp_path: pathlib.Path) -> None:
    path = record(tmp_path / name, ssm_drive[1][:20])
    start, source = peeked(path)
    assert source == path
    kind = can_format(start)
    assert kind is not None
    assert can_format(peeked(path.rename(tmp_path / "anything.txt"))[0]) is kind
    assert can_format(peeked(tmp_path / "absent")[0]) is None
    text = tmp_path / "text.csv"
    text.write_text("Time,MAF\n1,2\n")
    assert can_format(peeked(text)[0]) is None
    assert len(CanFormat) == 6


class Pipe(io.BytesIO):
    """Bytes that come once, as from a pipe."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("name", WRITERS)
def test_packed_or_from_a_pipe_it_is_the_same_recording(name: str, ssm_drive, tmp_path: pathlib.Path) -> None:
    live, frames, _ = ssm_drive
    plain = record(tmp_path / name, frames)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    zipped = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, name)
    left = set(pathlib.Path(tempfile.gettempdir()).glob("lowmaf-*.can"))
    for source in (
        packed,
        zipped,
        Pipe(plain.read_bytes()),
        Pipe(packed.read_bytes()),
        io.BytesIO(zipped.read_bytes()),
    ):
        same(SampleBatch.concatenate(open_log(source, "it").batches()), live)
    assert set(pathlib.Path(tempfile.gettempdir()).glob("lowmaf-*.can")) <= left


def test_a_recording_that_is_a_named_pipe(ssm_drive, tmp_path: pathlib.Path) -> None:
    live, frames, _ = ssm_drive
    content = record(tmp_path / "drive.log", frames).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    same(SampleBatch.concatenate(open_log(pipe).batches()), live)
    writer.join()


def test_a_packed_recording_that_ends_early_gives_what_came_before(ssm_drive, tmp_path: pathlib.Path) -> None:
    live, frames, _ = ssm_drive
    packed = tmp_path / "drive.log.gz"
    whole = gzip.compress(record(tmp_path / "drive.log", frames).read_bytes())
    packed.write_bytes(whole[: len(whole) * 3 // 4])
    log = open_log(packed)
    found = SampleBatch.concatenate(log.batches())
    assert 0 < len(found) < len(live)
    assert "the compressed data end early: what came before was read" in log.summary.warnings


def test_a_recording_that_unpacks_to_too_much_is_refused(ssm_drive, tmp_path: pathlib.Path) -> None:
    packed = tmp_path / "drive.log.gz"
    packed.write_bytes(gzip.compress(record(tmp_path / "drive.log", ssm_drive[1]).read_bytes()))
    log = open_log(packed, limits=LogLimits(unpacked_bytes=10_000))
    with pytest.raises(LogUnreadableError, match=r"it unpacks to more than 0\.01 MB"):
        list(log.batches())


def test_mf4_is_read_where_its_package_is_installed(ssm_drive, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("asammdf", reason="asammdf is heavy and not needed otherwise: pip install asammdf")
    live, frames, _ = ssm_drive
    path = tmp_path / "drive.mf4"
    writer = can.MF4Writer(path)
    for frame in frames:
        writer.on_message_received(frame)
    writer.stop()
    found = SampleBatch.concatenate(open_log(path).batches())
    np.testing.assert_allclose(found.t_s, live.t_s, atol=1e-6)
    for name, values in live.channels.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_recordings_give_samples_or_one_line_of_reason(
    name: str, ssm_drive, tmp_path: pathlib.Path
) -> None:
    whole = record(tmp_path / name, ssm_drive[1][:600]).read_bytes()
    chance = random.Random(name)
    for case in range(60):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(8, len(content))
            content[at : at + 1] = chance.randbytes(chance.randint(0, 3))
        if chance.random() < 0.5:
            del content[chance.randrange(8, len(content)) :]
        path = tmp_path / f"{case}-{name}"
        path.write_bytes(content)
        try:
            outcome = f"{sum(len(batch) for batch in open_log(path).batches())} samples"
        except LogUnreadableError as error:
            outcome = str(error)
        assert outcome != "0 samples"
        assert "\n" not in outcome
