"""The ssm-kline driver on a pty: against the simulated ECU, and against whatever can go wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
from driver_peers import on_port, take
from link_benches import ECT_C, idling_car, standing

from drivers.base import DeviceUnavailableError, DriverOptionError, LinkInUseError
from drivers.byte_link import open_serial
from drivers.clock import WallClock
from drivers.kline_frames import ECU, INIT, INIT_REPLY, TESTER, KlineFrame, KlineScanner
from drivers.kline_link import KlineLink, check_allowed
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.link_faults import LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.ssm_frames import ReadReply, ReadRequest
from drivers.ssm_kline import SsmKline

FAST = 115_200


@contextmanager
def simulated_ecu(**options: object) -> Iterator[str]:
    port = PtyPort()
    ecu = KlineEcu(port, EcuAnswers(idling_car(), standing()), **{"baudrate": FAST, **options})
    ecu.start()
    try:
        yield port.path
    finally:
        ecu.stop()


@contextmanager
def fake_ecu(answer: Callable[[bytes], list[bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """Answers each payload that comes with the bytes given; yields the port and what came."""
    scanner = KlineScanner()
    seen: list[bytes] = []

    def answers(data: bytes) -> Iterator[bytes]:
        for found in scanner.feed(data):
            seen.append(found.frame.payload)
            yield from answer(found.frame.payload)

    with on_port(answers) as path:
        yield path, seen


def driver(port: str, **options: object) -> SsmKline:
    return SsmKline(
        {"port": port, "baudrate": FAST, "timeout_s": 0.05, "silent_s": 0.5, **options}, WallClock()
    )


def frame(payload: bytes) -> bytes:
    return KlineFrame(TESTER, ECU, payload).to_bytes()


INIT_A = bytes.fromhex(
    "A2100F1B1440050573FAEB802BC102AA00100060CE54F8B0600000E00000000000DC0000551000000200000000"
    "0000000000000000000000"
)
VALUES = {0x1D: 0x50, 0x13: 0x01, 0x14: 0x90, 0x09: 0x84, 0x0A: 0x7C, 0x0E: 0x0B, 0x0F: 0xB8, 0x15: 0x20,
          0x10: 0x00, 0x12: 0x3C, 0x08: 0x7D, 0x0D: 0x46, 0x46: 0x80, 0x021054: 0x02}  # fmt: skip


def real_ecu(request: bytes) -> list[bytes]:
    if request == bytes((INIT,)):
        return [frame(bytes((INIT_REPLY,)) + INIT_A)]
    addresses = ReadRequest.from_bytes(request).addresses
    return [frame(ReadReply(bytes(VALUES[address] for address in addresses)).to_bytes())]


@pytest.mark.parametrize("mode", ["continuous", "polled"])
@pytest.mark.parametrize("echo", [True, False])
async def test_samples_are_those_of_the_car(mode: str, echo: bool) -> None:
    with simulated_ecu(echo=echo) as port:
        source = driver(port, mode=mode, timeout_s=2.0, silent_s=5.0)
        batch = await take(source, 20)
    assert batch.delivered == {
        "maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "throttle_pct", "speed_kmh", "iat_c", "ect_c",
        "fuel_loop", "load_g_rev",
    }  # fmt: skip
    assert np.all(np.diff(batch.t_s) > 0.0)
    assert np.all(batch["ect_c"] == ECT_C)
    assert np.all(batch["fuel_loop"] == 2.0)
    assert source.describe() == (f"SSM on K-line {port}, ECU 4D12044006, {mode}, loop state from RAM FF9921")
    assert source.counts.bad_frames == source.counts.unanswered == 0


@pytest.mark.parametrize("mode", ["continuous", "polled"])
async def test_published_bytes_give_the_published_values(mode: str) -> None:
    with fake_ecu(real_ecu) as (port, _):
        batch = await take(driver(port, mode=mode), 1)
    expected = {
        "maf_v": 1.6, "maf_gs": 4.0, "stft_pct": 3.125, "ltft_pct": -3.125, "rpm": 750.0, "iat_c": 20.0,
        "ect_c": 85.0, "lambda_": 1.0, "speed_kmh": 0.0, "fuel_loop": 2.0, "load_g_rev": 0.32,
    }  # fmt: skip
    for name, value in expected.items():
        assert batch[name][0] == pytest.approx(value), name


async def test_fewer_channels_are_read_when_fewer_are_asked_for() -> None:
    with fake_ecu(real_ecu) as (port, seen):
        batch = await take(driver(port, channels="stft_pct, maf_v"), 1)
    assert batch.delivered == {"maf_v", "stft_pct", "fuel_loop"}
    assert ReadRequest((0x1D, 0x09, 0x021054), continuous=True).to_bytes() in seen


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ("maf_v,stft", "no channel 'stft', did you mean 'stft_pct'?; known: all, maf_v"),
        ("maf_v", "stft_pct and maf_v or maf_gs are needed"),
        ("stft_pct, rpm", "stft_pct and maf_v or maf_gs are needed"),
    ],
)
def test_channels_that_cannot_be_read(channels: str, words: str) -> None:
    with pytest.raises(DriverOptionError) as caught:
        driver("x", channels=channels)
    assert words in str(caught.value)


async def test_an_ecu_without_continuous_mode_is_polled() -> None:
    with simulated_ecu(knows_continuous=False) as port:
        source = driver(port)
        assert len(await take(source, 5)) == 5
    assert "polled" in source.describe()
    assert source.counts.unanswered >= 3


async def test_leaving_ends_continuous_answers() -> None:
    """Whoever opens the port next finds a silent line."""
    with simulated_ecu() as path:
        await take(driver(path), 3)
        with closing(open_serial(path, FAST, WallClock())) as port:
            assert await port.read(1, 0.15) == b""


async def test_an_ecu_left_in_continuous_mode_by_a_crash_is_found() -> None:
    with simulated_ecu() as path:
        with closing(open_serial(path, FAST, WallClock())) as port:
            KlineLink(port, WallClock(), FAST).send(ReadRequest((0x08,), continuous=True).to_bytes())
            assert await port.read(40, 1.0)
        assert len(await take(driver(path), 3)) == 3


@pytest.mark.parametrize("mode", ["continuous", "polled"])
async def test_a_damaged_answer_costs_its_sample_and_nothing_is_repeated(mode: str) -> None:
    """Flow counts up, so a repeated or invented sample would show."""
    count = 0
    streaming = threading.Event()

    def lossy(request: bytes) -> list[bytes]:
        nonlocal count
        if request == bytes((INIT,)):
            return real_ecu(request)
        addresses = ReadRequest.from_bytes(request).addresses
        answers = []
        for _ in range(40 if request[1] else 1):
            count += 1
            values = dict(VALUES) | {0x13: count >> 8, 0x14: count & 0xFF}
            data = frame(ReadReply(bytes(values[address] for address in addresses)).to_bytes())
            if count % 5 == 0:
                data = data[:6] + bytes((data[6] ^ 0x10,)) + data[7:]
            elif count % 7 == 0:
                data = data[:4]
            answers.append(data)
        streaming.set()
        return answers

    with fake_ecu(lossy) as (port, _):
        source = driver(port, mode=mode)
        batch = await take(source, 20)
    counted = np.round(batch["maf_gs"] * 100.0)
    assert np.all(np.diff(counted) >= 1.0)
    assert not np.any(counted % 5 == 0)
    assert not np.any(counted % 7 == 0)
    assert np.all(batch["maf_v"] == 1.6)
    assert source.counts.bad_frames >= 3


async def test_times_are_those_of_the_wire_even_for_frames_that_came_together() -> None:
    reply = frame(ReadReply(bytes(VALUES[a] for a in (0x1D, 0x09, 0x021054))).to_bytes())

    def at_once(request: bytes) -> list[bytes]:
        return real_ecu(request) if request == bytes((INIT,)) else [reply * 10]

    with fake_ecu(at_once) as (port, _):
        batch = await take(driver(port, channels="maf_v, stft_pct"), 10)
    np.testing.assert_allclose(np.diff(batch.t_s), len(reply) * 10 / FAST, rtol=1e-6)


async def test_nobody_answers() -> None:
    with (
        fake_ecu(lambda _: []) as (port, seen),
        pytest.raises(DeviceUnavailableError, match=r"no Subaru ECU answers on K-line .*Is the ignition on"),
    ):
        await take(driver(port), 1)
    assert set(seen) == {bytes((INIT,))}


async def test_only_an_echo_is_no_ecu() -> None:
    with (
        fake_ecu(lambda request: [KlineFrame(ECU, TESTER, request).to_bytes()]) as (port, _),
        pytest.raises(DeviceUnavailableError, match="no Subaru ECU answers"),
    ):
        await take(driver(port), 1)


async def test_an_ecu_that_falls_silent_is_lost_and_found_again() -> None:
    with simulated_ecu(faults=LinkFaults(mute=0.4)) as port:
        source = driver(port)
        with pytest.raises(DeviceUnavailableError, match=r"ECU 4D12044006 .* gave no sample for 0.5 s"):
            await take(source, 100_000)
    with simulated_ecu() as port:
        assert len(await take(driver(port), 3)) == 3


async def test_another_tester_on_the_line_is_left_alone() -> None:
    foreign = KlineFrame(ECU, 0xF1, b"\xa8\x00\x00\x00\x0e").to_bytes()

    def with_company(request: bytes) -> list[bytes]:
        return [foreign, *real_ecu(request)] if request[:1] == b"\xa8" else real_ecu(request)

    with (
        fake_ecu(with_company) as (port, _),
        pytest.raises(
            LinkInUseError, match=r"another tester is on the K-line .* F1 sent A8 00 00 00 0E to 10"
        ),
    ):
        await take(driver(port), 1)


async def test_a_late_echo_of_what_the_session_before_sent_last_is_no_other_tester() -> None:
    late = KlineFrame(ECU, TESTER, ReadRequest((0x08,)).to_bytes()).to_bytes()
    with fake_ecu(lambda request: [late, *real_ecu(request)]) as (port, _):
        batch = await take(driver(port), 2)
    assert np.all(batch["maf_v"] == 1.6)


async def test_a_port_that_another_program_has_is_said_to_be_in_use() -> None:
    with (
        simulated_ecu() as path,
        closing(open_serial(path, FAST, WallClock())),
        pytest.raises(DeviceUnavailableError, match="another program has it open"),
    ):
        await take(driver(path), 1)


@pytest.mark.parametrize(
    "payload", ["", "B80000000801", "B000000008FF", "A0000000080F", "A802000008", "A8", "BF00", "3E00"]
)
async def test_only_requests_that_read_leave(payload: str) -> None:
    with pytest.raises(ValueError, match="is not one that reads; it was not sent"):
        check_allowed(bytes.fromhex(payload))
    with fake_ecu(lambda _: []) as (path, seen), closing(open_serial(path, FAST, WallClock())) as port:
        with pytest.raises(ValueError, match="was not sent"):
            KlineLink(port, WallClock(), FAST).send(bytes.fromhex(payload))
        await asyncio.sleep(0.05)
        assert seen == []


async def test_nothing_but_reads_is_sent_over_a_whole_session() -> None:
    with fake_ecu(real_ecu) as (port, seen):
        await take(driver(port), 3)
    assert seen
    for payload in seen:
        check_allowed(payload)
