"""Wideband controllers: published bytes, states that are no measurement, and real serial ports and buses."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import struct
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passive_links import SerialController, broadcasting, controller

from drivers.aem_frames import AemScanner, reading_of_frame
from drivers.base import DeviceUnavailableError, DriverOptionError, FrameError
from drivers.clock import WallClock
from drivers.innovate_frames import InnovateScanner
from drivers.lambda_reading import LambdaReading, SensorState
from drivers.naw_frames import REQUEST, reading_of_reply
from drivers.registry import create_second
from drivers.wideband import TimedReading, Wideband

ISP2 = bytes.fromhex("B2874313036B") + bytes(10)
"""A header of seven words: lambda 0.991 at 14.7, and five auxiliary inputs."""
LM1 = bytes.fromhex("8113037C1E66")


def lambda_words(lambda_: float, function: int = 0) -> bytes:
    raw = round((lambda_ - 0.5) * 1000)
    return bytes((0x43 | function << 2, 0x13, raw >> 7, raw & 0x7F))


def packet(*channels: bytes) -> bytes:
    words = b"".join(channels)
    count = len(words) // 2
    return bytes((0xB2 | count >> 7, 0x80 | count & 0x7F)) + words


AUX = bytes((0x03, 0x7F))


# ---- Innovate


@pytest.mark.parametrize(("data", "value"), [(ISP2, 0.991), (LM1, 1.008), (packet(lambda_words(0.5)), 0.5)])
def test_published_packets_of_innovate(data: bytes, value: float) -> None:
    (reading,) = InnovateScanner().feed(data)
    assert reading == LambdaReading(pytest.approx(value), SensorState.MEASURING)


@pytest.mark.parametrize(
    ("function", "state"),
    [
        (1, SensorState.FREE_AIR),
        (2, SensorState.CALIBRATING),
        (3, SensorState.UNCALIBRATED),
        (4, SensorState.WARMING),
        (5, SensorState.CALIBRATING),
        (6, SensorState.FAULT),
        (7, SensorState.FAULT),
    ],
)
def test_what_innovate_says_instead_of_lambda_is_no_lambda(function: int, state: SensorState) -> None:
    (reading,) = InnovateScanner().feed(packet(lambda_words(1.0, function)))
    assert reading.state is state
    assert math.isnan(reading.lambda_)


def test_every_sensor_of_a_chain_is_found_by_its_place() -> None:
    chain = packet(lambda_words(0.9), AUX, AUX, lambda_words(1.1), AUX)
    old = packet(LM1, lambda_words(1.2))
    for sensor, expected, expected_old in ((1, 0.9, 1.008), (2, 1.1, 1.2)):
        (reading,) = InnovateScanner(sensor).feed(chain)
        assert reading.lambda_ == pytest.approx(expected)
        (reading,) = InnovateScanner(sensor).feed(old)
        assert reading.lambda_ == pytest.approx(expected_old)
    assert InnovateScanner(3).feed(chain) == []
    assert InnovateScanner(2).feed(LM1) == []


LAMBDAS = st.floats(0.5, 1.5).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(LAMBDAS, st.integers(0, 4)), max_size=8), st.data())
def test_packets_are_the_same_in_any_pieces(sent: list[tuple[float, int]], data: st.DataObject) -> None:
    stream = b"".join(packet(lambda_words(value), AUX * aux) for value, aux in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    scanner = InnovateScanner()
    readings = [
        reading
        for start, end in itertools.pairwise((0, *cuts, len(stream)))
        for reading in scanner.feed(stream[start:end])
    ]
    assert [reading.lambda_ for reading in readings] == pytest.approx([value for value, _ in sent])
    assert scanner.bad_frames == 0


@settings(max_examples=300)
@given(st.integers(0, 15), st.integers(0, 15))
def test_a_lost_byte_costs_packets_and_never_gives_a_wrong_value(where: int, change: int) -> None:
    """All packets say 0.991; whatever is lost, another value never appears."""
    stream = bytearray(ISP2 * 4)
    del stream[16 + where]
    del stream[32 + change]
    scanner = InnovateScanner()
    readings = scanner.feed(bytes(stream))
    assert len(readings) >= 1
    assert {round(reading.lambda_, 3) for reading in readings} == {0.991}


# ---- AEM


@pytest.mark.parametrize(
    ("data", "reading"),
    [
        ("1F4000008A008200", LambdaReading(pytest.approx(0.8), SensorState.MEASURING)),
        ("1F4000008A000200", SensorState.WARMING),
        ("1F4000008A008240", SensorState.FAULT),
        ("000000008A008200", SensorState.IMPOSSIBLE),
    ],
)
def test_published_frames_of_aem(data: str, reading: LambdaReading | SensorState) -> None:
    found = reading_of_frame(bytes.fromhex(data))
    assert (found if isinstance(reading, LambdaReading) else found.state) == reading
    with pytest.raises(FrameError, match="expected 8 bytes"):
        reading_of_frame(bytes.fromhex(data)[:7])


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        (b"14.7\r\n", LambdaReading(pytest.approx(1.0), SensorState.MEASURING)),
        (b" 12.5 \r\n", LambdaReading(pytest.approx(12.5 / 14.7), SensorState.MEASURING)),
        (b"0.98\r\n", LambdaReading(0.98, SensorState.MEASURING)),
        (b"1.000\tReady\tNo-errors\r", LambdaReading(1.0, SensorState.MEASURING)),
        (b"1.000\tWarming\tNo-errors\r", SensorState.WARMING),
        (b"1.000\tReady\tHeater-open\r", SensorState.FAULT),
        (b"0.00\r\n", SensorState.IMPOSSIBLE),
    ],
)
def test_lines_of_aem(line: bytes, reading: LambdaReading | SensorState) -> None:
    (found,) = AemScanner(14.7).feed(line)
    assert (found if isinstance(reading, LambdaReading) else found.state) == reading


@pytest.mark.parametrize(
    "line", [b"---\r", b"14.7x\r", b"\xff14.7\r", b"-1.0\r", b"nan\r", b"9" * 100 + b"\r"]
)
def test_lines_that_are_none_are_counted(line: bytes) -> None:
    scanner = AemScanner(14.7)
    assert scanner.feed(line) == []
    assert scanner.bad_frames >= 1
    assert scanner.feed(b"\r1.00\r")[0].lambda_ == 1.0


# ---- 14Point7


def naw(current: float, temperature: int = 15) -> bytes:
    return struct.pack(">ffB", 0.0, current, temperature)


@pytest.mark.parametrize(
    ("data", "value", "state"),
    [
        (naw(128.0), 0.999, SensorState.MEASURING),
        (naw(100.0), 0.8231, SensorState.MEASURING),
        (naw(140.0), 1.2139, SensorState.MEASURING),
        (naw(128.0, 20), math.nan, SensorState.WARMING),
        (naw(128.0, 10), math.nan, SensorState.FAULT),
        (naw(300.0), math.nan, SensorState.FREE_AIR),
        (naw(190.0), math.nan, SensorState.IMPOSSIBLE),
        (naw(-5.0), math.nan, SensorState.IMPOSSIBLE),
        (naw(math.nan), math.nan, SensorState.FAULT),
        (naw(math.inf), math.nan, SensorState.FAULT),
    ],
)
def test_answers_of_the_naw_7s(data: bytes, value: float, state: SensorState) -> None:
    found = reading_of_reply(data)
    assert found.state is state
    assert found.lambda_ == pytest.approx(value, abs=2e-3, nan_ok=True)
    with pytest.raises(FrameError, match="expected 9 bytes"):
        reading_of_reply(data[:8])


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_plausible_value_or_none(data: bytes) -> None:
    readings = [*InnovateScanner().feed(data), *InnovateScanner(2).feed(data), *AemScanner(14.7).feed(data)]
    readings += [reading_of_frame(data[:8])] if len(data) >= 8 else []
    readings += [reading_of_reply(data[:9])] if len(data) >= 9 else []
    for reading in readings:
        assert math.isnan(reading.lambda_) == (reading.state is not SensorState.MEASURING)
        assert math.isnan(reading.lambda_) or 0.2 <= reading.lambda_ <= 20.0


@pytest.mark.parametrize("count", [2_000, pytest.param(400_000, marks=pytest.mark.long)])
def test_mutated_streams_never_give_a_value_that_no_packet_held(count: int) -> None:
    """A byte that is changed may change the value in its packet; it must not make one out of range."""
    draw = random.Random(count)
    packets = (
        ISP2,
        LM1,
        packet(lambda_words(0.9), AUX, lambda_words(1.1)),
        b"14.7\r\n",
        b"1.0\tReady\tNo-errors\r",
    )
    innovate, second, aem = InnovateScanner(), InnovateScanner(2), AemScanner(14.7)
    for _ in range(count):
        data = bytearray(draw.choice(packets))
        for _ in range(draw.randrange(3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.3:
            del data[draw.randrange(len(data))]
        for scanner in (innovate, second, aem):
            for reading in scanner.feed(bytes(data)):
                assert math.isnan(reading.lambda_) or 0.2 <= reading.lambda_ <= 20.0
            assert len(scanner._rest) < 600


# ---- links


async def take(source: Wideband, count: int) -> list[TimedReading]:
    taken: list[TimedReading] = []
    async with asyncio.timeout(10.0), aclosing(source.readings()) as readings:
        async for timed in readings:
            taken.append(timed)
            if len(taken) >= count:
                break
    return taken


def wideband(**options: object) -> Wideband:
    return create_second("wideband", {"silent_s": 0.5, **options}, WallClock())


def values(readings: list[TimedReading]) -> set[float]:
    return {round(reading.lambda_, 3) for _, reading in readings}


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [("innovate", ISP2, 0.991), ("innovate", LM1, 1.008), ("aem", b"14.7\r\n", 1.0)],
)
async def test_a_controller_on_a_serial_port(kind: str, sent: bytes, value: float) -> None:
    with controller(lambda: sent) as device:
        source = wideband(controller=kind, port=device.port.path)
        started_s = time.monotonic()
        readings = await take(source, 5)
    times = [at_s for at_s, _ in readings]
    assert values(readings) == {value}
    assert times == sorted(times)
    assert started_s <= times[0] <= times[-1] <= time.monotonic()
    assert device.heard == b""
    assert source.describe() == f"wideband {kind} on {device.port.path}"


async def test_a_controller_that_is_asked() -> None:
    with controller(lambda: naw(140.0), asked=True) as device:
        readings = await take(wideband(controller="naw-7s", port=device.port.path), 3)
    assert values(readings) == {1.214}
    assert device.heard == REQUEST * len(device.heard)


async def test_answers_that_are_cut_are_asked_for_again() -> None:
    turn = itertools.count()
    with controller(lambda: naw(140.0)[: 5 if next(turn) % 2 else 9], asked=True) as device:
        source = wideband(controller="naw-7s", port=device.port.path, silent_s=2.0)
        readings = await take(source, 3)
    assert values(readings) == {1.214}
    assert source.counts.bad_frames >= 2


@pytest.mark.parametrize("extended", [False, True])
async def test_a_controller_on_can_with_either_kind_of_identifier(extended: bool) -> None:
    frame = (0x181, extended, bytes.fromhex("1F4000008A008200"))
    other = (0x180, extended, bytes.fromhex("271000008A008200"))
    with broadcasting(lambda: (other, frame)) as (channel, broadcaster):
        source = wideband(controller="aem-can", interface="virtual", channel=channel, sensor=2)
        readings = await take(source, 5)
        assert broadcaster.heard == []
    assert values(readings) == {0.8}
    assert source.describe() == f"wideband aem-can on CAN {channel} (virtual), sensor 2"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "is it switched on, is it this port?"),
        (b"\xb2\x82\xff\xff", "packets could not be read: is the c"),
    ],
)
async def test_a_controller_that_says_nothing_readable(sent: bytes, words: str) -> None:
    with controller(lambda: sent) as device, pytest.raises(DeviceUnavailableError) as caught:
        await take(wideband(port=device.port.path, silent_s=0.3), 1)
    assert words in str(caught.value)
    assert "gave no reading for 0.3 s" in str(caught.value)


@pytest.mark.parametrize("kind", ["innovate", "aem", "naw-7s"])
async def test_what_a_wrong_baud_rate_makes_of_it_is_never_believed(kind: str) -> None:
    """Some of the garbage looks like packets; a controller that sends it is given up in words."""
    chance = random.Random(11)
    with controller(lambda: chance.randbytes(chance.randrange(1, 40)), asked=kind == "naw-7s") as device:
        source = wideband(controller=kind, port=device.port.path)
        readings: list[TimedReading] = []
        with pytest.raises(
            DeviceUnavailableError, match=r"packets could not be read: .* the baud rate another"
        ):
            await _all(source, readings)
    assert len(readings) <= 2, "before anything is known of the link"


async def _all(source: Wideband, readings: list[TimedReading]) -> None:
    async with asyncio.timeout(10.0), aclosing(source.readings()) as found:
        async for timed in found:
            readings.append(timed)  # noqa: PERF401 - what came before the end is kept


async def test_unplugged_it_ends_in_words_and_leaves_nothing() -> None:
    def held() -> tuple[int, int, int]:
        files = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return files, threading.active_count(), len(asyncio.all_tasks())

    before = held()
    device = SerialController(lambda: ISP2)
    async with aclosing(wideband(port=device.port.path).readings()) as readings:
        await anext(readings)
        device.stop()
        with pytest.raises(DeviceUnavailableError, match="is gone"):
            await drained(readings)
    assert held() == before


async def drained(readings: AsyncIterator[TimedReading]) -> None:
    async with asyncio.timeout(20.0):
        async for _ in readings:
            pass


async def test_a_port_that_is_not_there() -> None:
    with pytest.raises(DeviceUnavailableError, match="/dev/nosuchport7 cannot be opened"):
        await take(wideband(port="/dev/nosuchport7"), 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"controller": "inovate"}, "did you mean 'innovate'?"),
        ({"controller": "aem", "sensor": 2}, "option sensor: met 2, a serial port of aem carries one sensor"),
        ({"controller": "aem-can", "interface": "slcan", "bitrate": 3}, "slcan has no bitrate 3"),
        ({"stoich_afr": 1.0}, "option stoich_afr: met 1.0"),
    ],
)
def test_options_that_are_wrong(options: dict[str, object], words: str) -> None:
    with pytest.raises(DriverOptionError) as caught:
        wideband(**options)
    assert words in str(caught.value)
