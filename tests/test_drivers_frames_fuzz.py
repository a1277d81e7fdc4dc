"""Every frame codec under random and damaged bytes: no crash, no hang, nothing impossible accepted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest

from drivers import aem_frames, innovate_frames, naw_frames
from drivers.base import FrameError
from drivers.elm_frames import (
    can_payloads,
    error_in,
    iso_checksum,
    j1850_crc,
    legacy_payloads,
    response_lines,
)
from drivers.isotp import MAX_PAYLOAD, IsoTp
from drivers.kline_frames import LONGEST, KlineFrame, KlineScanner
from drivers.lambda_reading import LambdaReading
from drivers.obd_frames import PID_BYTES, CurrentDataReply, CurrentDataRequest
from drivers.obd_plan import PIDS, ObdPlan, ObdValues
from drivers.recording import Kind, bytes_line, event_of, frame_line, note_line
from drivers.slcan_frames import SlcanFrame, SlcanScanner
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    PARAMETERS,
    InitReply,
    NegativeReply,
    ReadReply,
    ReadRequest,
)
from drivers.ssm_reader import ReadingPlan
from lowmaf.samples import CHANNELS

CASES, ALL_CASES = 4_000, 1_000_000
AT_ONCE = 20_000
LONGEST_S = 1.0
Target = Callable[[bytes], object]


def mutants(seeds: Sequence[bytes], count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """A quarter random bytes, the rest seeds with up to four bytes changed, cut, lengthened or joined."""
    width = 2 * max(map(len, seeds)) + 4
    joined = [first + second for first in seeds for second in [b"", *seeds[:4]]]
    table = np.zeros((len(joined), width), dtype=np.uint8)
    sizes = np.array([len(seed) for seed in joined])
    for row, seed in zip(table, joined, strict=True):
        row[: len(seed)] = np.frombuffer(seed, dtype=np.uint8)
    for start in range(0, count, AT_ONCE):
        n = min(AT_ONCE, count - start)
        chosen = rng.integers(len(joined), size=n)
        data, length = table[chosen], sizes[chosen]
        rows = np.arange(n)
        for _ in range(4):
            at = rng.integers(np.maximum(length, 1))
            changed = np.where(rng.random(n) < 0.5, rng.integers(256, size=n), data[rows, at] ^ (1 << at % 8))
            hit = rng.random(n) < 0.4
            data[rows[hit], at[hit]] = changed[hit]
        torn = rng.random(n) < 0.3
        length = np.where(torn, rng.integers(width + 1, size=n), length)
        random = rng.random(n) < 0.25
        data[random] = rng.integers(256, size=(int(random.sum()), width), dtype=np.uint8)
        length = np.where(random, rng.integers(width + 1, size=n), length)
        blob = data.tobytes()
        for row, size in enumerate(length.tolist()):
            yield blob[row * width : row * width + size]


def in_range(values: Iterable[tuple[str, float]]) -> None:
    for name, value in values:
        assert math.isnan(value) or CHANNELS[name].low <= value <= CHANNELS[name].high, (name, value)


def readings(found: Iterable[LambdaReading]) -> None:
    in_range(("lambda_", reading.lambda_) for reading in found)


def kline_frame(data: bytes) -> None:
    assert KlineFrame.from_bytes(data).to_bytes() == data


def kline_stream() -> Target:
    scanner = KlineScanner()

    def feed(data: bytes) -> None:
        for found in scanner.feed(data):
            assert 0x10 in (found.frame.destination, found.frame.source)
            assert 1 <= len(found.frame.payload) <= LONGEST
        assert 1 <= scanner.missing(1) <= LONGEST + 5

    return feed


def iso_tp() -> Target:
    end = IsoTp()
    now_s = 0.0

    def feed(data: bytes) -> None:
        nonlocal now_s
        now_s += 0.01
        if now_s >= end.wake_s:
            end.poll(now_s)
        payload, frames = end.receive(data[:8], now_s)
        assert payload is None or 1 <= len(payload) <= MAX_PAYLOAD
        assert all(len(frame) == 8 for frame in frames)

    return feed


def ssm_values() -> Target:
    plans = [
        ReadingPlan("4D12044006", PARAMETERS, FUEL_LOOP_ADDRESSES["4D12044006"], False),
        ReadingPlan("1B14400505", PARAMETERS, None, False),
    ]

    def decode(data: bytes) -> None:
        plan = plans[len(data) % 2]
        count = len(plan.request.addresses)
        raw = ReadReply.from_bytes((b"\xe8" + data[1:] + bytes(count))[: count + 1], count).values
        in_range(zip(plan.channels, plan.values(raw), strict=True))

    return decode


def obd_values() -> Target:
    plan = ObdPlan(tuple({pid.channel: pid for pid in PIDS}.values()))
    values = ObdValues(plan)

    def decode(data: bytes) -> None:
        values.take(CurrentDataReply.from_bytes(data).data, 1.0)
        in_range(zip(plan.channels, values.row(1.0), strict=True))

    return decode


def elm_response(data: bytes) -> None:
    lines = response_lines(data, "0100")
    error_in(lines)
    for payloads in (
        can_payloads(lines),
        can_payloads(lines, long_headers=True),
        legacy_payloads(lines, iso_checksum),
        legacy_payloads(lines, j1850_crc),
    ):
        assert all(1 <= len(payload) <= MAX_PAYLOAD for payload in payloads.values())


def slcan_frame(data: bytes) -> None:
    frame = SlcanFrame.from_bytes(data)
    assert len(frame.data) <= 8
    assert 0 <= frame.identifier <= (0x1FFFFFFF if frame.is_extended else 0x7FF)
    assert SlcanFrame.from_bytes(frame.to_bytes()[:-1]) == frame


def slcan_stream() -> Target:
    scanner = SlcanScanner()

    def feed(data: bytes) -> None:
        assert all(len(frame.data) <= 8 for frame in scanner.feed(data))
        assert len(scanner._rest) <= 64

    return feed


def stream(scanner: aem_frames.AemScanner | innovate_frames.InnovateScanner, rest: int) -> Target:
    def feed(data: bytes) -> None:
        readings(scanner.feed(data))
        assert len(scanner._rest) <= rest

    return feed


def reading_by(decode: Callable[[bytes], LambdaReading]) -> Target:
    return lambda data: readings([decode(data)])


def recording_line(data: bytes) -> None:
    event = event_of(data.decode("ascii", "replace"))
    if event is not None and event.kind is not Kind.NOTE:
        assert event.at_s >= 0.0
        assert event.identifier is None or len(event.data) <= 8


HEX = bytes.fromhex
INIT = HEX("EAA2100F1B1440050573FAEB802BC102AA00100060CE54F8B0600000E00000000000DC000055100000020000")
KLINE = [KlineFrame(0xF0, 0x10, HEX(p)).to_bytes() for p in ("E8508401907C0BB802", "FFA2100F1B14400505")]
ELM = [b"7E8100E411001900684\r7E821077C0302000C0B\r7E822B8\r\r", b"SEARCHING...\r7E8064100BE3FA813\r\r",
       b"NO DATA\r\r", b"48 6B 10 41 00 BE 3F A8 13 17\r", b"18DAF1100641000000000000\r"]  # fmt: skip
CODECS: dict[str, tuple[list[bytes], Callable[[], Target]]] = {
    "K-line frame": (KLINE, lambda: kline_frame),
    "K-line stream": (KLINE, kline_stream),
    "ISO-TP": (
        [HEX(f) for f in ("1018EAA210115B12", "215A4007F3FAC98E", "2200000000", "3000000000", "023E00")],
        iso_tp,
    ),
    "SSM init": ([INIT], lambda: InitReply.from_bytes),
    "SSM request": ([HEX("A80000000800001D"), HEX("A801FF9921")], lambda: ReadRequest.from_bytes),
    "SSM refusal": ([HEX("7FA822")], lambda: NegativeReply.from_bytes),
    "SSM values": ([HEX("E8508401907C0BB802203C7D4680")], ssm_values),
    "OBD request": ([HEX("01030506070C10")], lambda: CurrentDataRequest.from_bytes),
    "OBD values": (
        [HEX("41030200057D0684077C0C0BB8100190"), HEX("416601032000003480008000448000"),
         *(bytes((0x41, pid)) + b"\x80" * size for pid, size in PID_BYTES.items())],
        obd_values,
    ),
    "ELM327 response": (ELM, lambda: elm_response),
    "slcan line": ([b"t7E881018EAA210115B12", b"T18DAF11030641001234", b"t7E80"], lambda: slcan_frame),
    "slcan stream": ([b"t7E881018EAA210115B12\r", b"T18DAF1103064100\r\a", b"z\r\r"], slcan_stream),
    "AEM stream": (
        [b"14.7\r\n", b"1.000\tReady\tNo-errors\r", b"0.85\tWarming\t\r"],
        lambda: stream(aem_frames.AemScanner(14.7), 64),
    ),
    "AEM frame": ([HEX("1F4000008A008200")], lambda: reading_by(aem_frames.reading_of_frame)),
    "Innovate stream": (
        [HEX("B2874313036B00000000000000000000"), HEX("8113037C1E66")],
        lambda: stream(innovate_frames.InnovateScanner(), 600),
    ),
    "NAW_7S reply": (
        [HEX("430000004300000010")], lambda: reading_by(naw_frames.reading_of_reply),
    ),
    "recording line": (
        [bytes_line(1.5, "tty", b"\x80\x10", Kind.SENT).encode(), note_line(0.0, "car", "my car").encode(),
         frame_line(2.5, "can0", 0x7E8, b"\x02\xe8", Kind.CAME).encode()],
        lambda: recording_line,
    ),
}  # fmt: skip


def fuzz(name: str, cases: int) -> None:
    seeds, made = CODECS[name]
    target = made()
    rng = np.random.default_rng([cases, *name.encode()])
    accepted = 0
    for data in mutants(seeds, cases, rng):
        started_s = time.thread_time()
        try:
            target(data)
        except FrameError:
            pass
        else:
            accepted += 1
        assert time.thread_time() - started_s < LONGEST_S, data
    print(f"{name}: {cases} inputs, {accepted} accepted, none crashed or hung")
    assert accepted > 0


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_bears_any_bytes(name: str) -> None:
    for seed in CODECS[name][0]:
        CODECS[name][1]()(seed)
    fuzz(name, CASES)


@pytest.mark.long
@pytest.mark.parametrize("name", CODECS)
def test_a_codec_bears_a_million(name: str) -> None:
    fuzz(name, ALL_CASES)
