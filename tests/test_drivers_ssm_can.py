"""The ssm-can driver on an in-process bus: against the simulated ECU, and against whatever can go wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing

import can
import numpy as np
import pytest
from driver_peers import fake_ecu, new_channel, simulated_ecu, take

from drivers.base import DeviceUnavailableError, LinkInUseError
from drivers.can_link import CanLink, NoAnswerError, check_allowed, open_bus
from drivers.can_port import BusPort
from drivers.clock import ScaledClock, WallClock
from drivers.ssm_can import SsmCan
from drivers.ssm_frames import NegativeReply, ReadRequest
from lowmaf.samples import FuelLoop, SampleBatch

QUICK = {"rate_hz": 100.0, "timeout_s": 0.1, "silent_s": 0.3}
THREADS = ("ssm-can", "simulated ECU", "fake ECU")


def driver(channel: str, **options: object) -> SsmCan:
    return SsmCan({"interface": "virtual", "channel": channel, **QUICK, **options}, WallClock())


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in THREADS]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert our_threads() == []


async def test_samples_are_those_of_the_car() -> None:
    channel = new_channel()
    with simulated_ecu(channel):
        source = driver(channel, timeout_s=2.0, silent_s=5.0)
        batch = await take(source, 20)
    assert batch.delivered == {
        "maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "throttle_pct", "speed_kmh", "iat_c", "ect_c",
        "fuel_loop", "load_g_rev",
    }  # fmt: skip
    assert np.all(np.diff(batch.t_s) > 0.0)
    assert 0.0 <= batch.t_s[0] < 1.0
    assert np.all(batch["ect_c"] == 85.0)
    assert set(batch["fuel_loop"]) <= {FuelLoop.CLOSED, FuelLoop.OPEN_LOAD}
    assert np.all((batch["rpm"] > 600.0) & (batch["rpm"] < 1000.0))
    np.testing.assert_allclose(batch["load_g_rev"], 60.0 * batch["maf_gs"] / batch["rpm"])
    assert "ECU 4D12044006, loop state from RAM FF9921" in source.describe()
    assert source.counts.samples >= 20
    assert source.counts.bad_frames == source.counts.unanswered == 0


async def test_the_loop_state_comes_from_obd_where_memory_is_refused() -> None:
    channel = new_channel()
    with simulated_ecu(channel, reads_ram=False):
        source = driver(channel)
        batch = await take(source, 5)
    assert np.all(batch["fuel_loop"] == FuelLoop.CLOSED)
    assert source.describe().endswith("loop state from OBD PID 03")


INIT_A = bytes.fromhex(
    "EAA2100F1B1440050573FAEB802BC102AA00100060CE54F8B0600000E00000000000DC000055100000020000"
)
"""Identification of a real ECU, id 1B14400505."""

VALUES = {0x1D: 0x50, 0x13: 0x01, 0x14: 0x90, 0x09: 0x84, 0x0A: 0x7C, 0x0E: 0x0B, 0x0F: 0xB8, 0x15: 0x20,
          0x10: 0x00, 0x12: 0x3C, 0x08: 0x7D, 0x0D: 0x46, 0x46: 0x80, 0x021054: 0x02}  # fmt: skip


def values_of(request: bytes, values: Mapping[int, int] = VALUES) -> bytes:
    """The bytes asked for; a request for any other address is refused."""
    addresses = ReadRequest.from_bytes(request).addresses
    if not values.keys() >= set(addresses):
        return NegativeReply(0xA8, 0x22).to_bytes()
    return b"\xe8" + bytes(values[address] for address in addresses)


def real_ecu(request: bytes) -> list[bytes]:
    return [INIT_A if request == b"\xaa" else values_of(request)]


async def test_published_bytes_give_the_published_values() -> None:
    channel = new_channel()
    with fake_ecu(channel, real_ecu):
        batch = await take(driver(channel), 1)
    expected = {
        "maf_v": 1.6, "maf_gs": 4.0, "stft_pct": 3.125, "ltft_pct": -3.125, "rpm": 750.0, "iat_c": 20.0,
        "ect_c": 85.0, "lambda_": 1.0, "speed_kmh": 0.0, "fuel_loop": 2.0, "load_g_rev": 0.32,
    }  # fmt: skip
    for name, value in expected.items():
        assert batch[name][0] == pytest.approx(value), name


async def test_a_refused_address_costs_its_channel_only() -> None:
    def refuse_coolant(request: bytes) -> list[bytes]:
        if request[0] == 0xA8 and 0x08 in ReadRequest.from_bytes(request).addresses:
            return [NegativeReply(0xA8, 0x22).to_bytes()]
        return real_ecu(request)

    channel = new_channel()
    with fake_ecu(channel, refuse_coolant):
        batch = await take(driver(channel), 1)
    assert "ect_c" not in batch.delivered
    assert batch["maf_v"][0] == 1.6


async def test_an_ecu_that_offers_too_little_is_refused_in_words() -> None:
    channel = new_channel()
    words = "ECU 1B14400505 offers nothing; stft_pct and maf_v or maf_gs are needed"
    with (
        fake_ecu(channel, lambda request: [b"\xea" + bytes.fromhex("A2100F1B14400505") + bytes(30)]),
        pytest.raises(DeviceUnavailableError, match=words),
    ):
        await take(driver(channel), 1)


async def test_an_ecu_without_any_loop_state_says_so() -> None:
    def no_state(request: bytes) -> list[bytes]:
        if request[0] == 0x01:
            return [NegativeReply(0x01, 0x12).to_bytes()]
        if request[0] == 0xA8 and 0x021054 in ReadRequest.from_bytes(request).addresses:
            return [NegativeReply(0xA8, 0x22).to_bytes()]
        return real_ecu(request)

    channel = new_channel()
    with fake_ecu(channel, no_state):
        source = driver(channel)
        batch = await take(source, 1)
    assert "fuel_loop" not in batch.delivered
    assert source.describe().endswith(
        "no loop state, so no sample can count: name a logger definition that knows this ECU as "
        "[vehicle] ecu_definition"
    )


async def test_impossible_values_are_not_measured() -> None:
    def railed(request: bytes) -> list[bytes]:
        if request == b"\xaa":
            return [INIT_A]
        values = dict(VALUES) | {0x0E: 0xFF, 0x0F: 0xFF, 0x46: 0x00, 0x021054: 0x03}
        return [values_of(request, values)]

    channel = new_channel()
    with fake_ecu(channel, railed):
        batch = await take(driver(channel), 1)
    for name in ("rpm", "lambda_", "fuel_loop", "load_g_rev"):
        assert np.isnan(batch[name][0]), name
    assert batch["maf_v"][0] == 1.6


async def test_a_pending_answer_is_waited_for() -> None:
    channel = new_channel()
    with fake_ecu(channel, lambda request: [NegativeReply(request[0], 0x78).to_bytes(), *real_ecu(request)]):
        assert len(await take(driver(channel), 3)) >= 3


async def test_bad_frames_cost_their_sample_and_nothing_is_repeated() -> None:
    """Every third answer is broken in another way; flow counts up, so a repeated sample would show."""
    count = 0
    broken = [
        b"\xff\x40\x00\x00\x00\x00\x00\x00\x00",  # not an ISO-TP frame
        b"\xe8\x01",  # too short an answer
        b"\xff\x07\xe9\x7d",  # a length beyond its frame
        b"\xff\x10\x40\x40\x00\x00\x00\x00\x00\x00",  # a first frame, and then nothing
        b"",
    ]

    def lossy(request: bytes) -> list[bytes]:
        nonlocal count
        if request == b"\xaa" or ReadRequest.from_bytes(request).addresses[0] != 0x1D:
            return real_ecu(request)
        count += 1
        values = dict(VALUES) | {0x13: count >> 8, 0x14: count & 0xFF}
        if count > 1 and count % 3 == 0:
            bad = broken[count // 3 % len(broken)]
            return [bad] if bad else []
        return [values_of(request, values)]

    channel = new_channel()
    with fake_ecu(channel, lossy):
        source = driver(channel, silent_s=2.0)
        batch = await take(source, 25)
    counted = np.round(batch["maf_gs"] * 100.0)
    assert np.all(np.diff(counted) >= 1.0)
    assert not np.any(counted % 3 == 0)
    assert np.all(batch["maf_v"] == 1.6)
    assert source.counts.bad_frames >= 6
    assert source.counts.unanswered >= 1


async def test_a_late_answer_does_not_pass_for_the_next_one() -> None:
    count = 0
    channel = new_channel()
    late = threading.Event()

    def slow_once(request: bytes) -> list[bytes]:
        nonlocal count
        if request[0] != 0xA8 or 0x1D not in ReadRequest.from_bytes(request).addresses:
            return real_ecu(request)
        count += 1
        if count == 5:
            late.wait(0.15)  # beyond the driver's 0.1 s: nobody sets it
        values = dict(VALUES) | {0x13: 0, 0x14: count}
        return [values_of(request, values)]

    with fake_ecu(channel, slow_once):
        source = driver(channel, silent_s=2.0)
        batch = await take(source, 10)
    assert 5 not in np.round(batch["maf_gs"] * 100.0)
    assert np.all(np.diff(batch["maf_gs"]) > 0.0)
    assert source.counts.unanswered >= 1


async def test_frames_of_others_on_the_bus_are_not_ours() -> None:
    channel = new_channel()
    other = open_bus("virtual", channel, 0)

    def noisy(request: bytes) -> list[bytes]:
        for message in (
            can.Message(arbitration_id=0x140, data=b"\x02\xe8\x00", is_extended_id=False),
            can.Message(arbitration_id=0x7E9, data=b"\x02\xe8\x00", is_extended_id=False),
            can.Message(arbitration_id=0x7E8, data=b"\x02\xe8\x00", is_extended_id=True),
            can.Message(arbitration_id=0x7E8, is_remote_frame=True, is_extended_id=False),
            can.Message(arbitration_id=0x7E8, is_error_frame=True, is_extended_id=False),
        ):
            other.send(message)
        return real_ecu(request)

    try:
        with fake_ecu(channel, noisy):
            source = driver(channel)
            batch = await take(source, 5)
    finally:
        other.shutdown()
    assert np.all(batch["maf_v"] == 1.6)
    assert source.counts.bad_frames == 0


@pytest.mark.parametrize("identifier", [0x7E0, 0x7DF])
async def test_another_tester_on_the_bus_is_left_alone(identifier: int) -> None:
    channel = new_channel()
    other = open_bus("virtual", channel, 0)
    source = driver(channel)
    try:
        with fake_ecu(channel, lambda request: [] if request[0] == 0x3E else real_ecu(request)):
            async with aclosing(source.batches()) as batches:
                await asyncio.wait_for(anext(batches), 5.0)
                other.send(can.Message(arbitration_id=identifier, data=b"\x02\x3e\0", is_extended_id=False))
                with pytest.raises(
                    LinkInUseError, match=rf"another tester .* sent 02 3E 00 to {identifier:03X}"
                ):
                    await asyncio.wait_for(collect(batches), 5.0)
    finally:
        other.shutdown()


async def test_a_bus_that_echoes_our_frames_is_no_other_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = new_channel()
    monkeypatch.setattr(
        "drivers.links.open_bus",
        lambda *_: can.Bus("echoing-" + channel, "virtual", ignore_config=True, receive_own_messages=True),
    )
    with fake_ecu("echoing-" + channel, real_ecu):
        batch = await take(driver(channel), 10)
    assert np.all(batch["maf_v"] == 1.6)


async def test_a_flood_of_garbage_ends_as_no_ecu() -> None:
    channel = new_channel()
    with (
        fake_ecu(channel, lambda request: [b"\xff\x99" + bytes(7)]),
        pytest.raises(DeviceUnavailableError, match=r"no Subaru ECU answers on CAN .* first digit must be"),
    ):
        await take(driver(channel), 1)


async def test_nobody_answers() -> None:
    with pytest.raises(DeviceUnavailableError, match=r"no Subaru ECU answers .* Is the ignition on"):
        await take(driver(new_channel()), 1)


async def test_an_ecu_that_falls_silent_is_lost_and_found_again() -> None:
    channel = new_channel()
    source = driver(channel)
    with simulated_ecu(channel):
        async with aclosing(source.batches()) as batches:
            assert len(await asyncio.wait_for(anext(batches), 5.0))
    async with aclosing(source.batches()) as batches:
        with simulated_ecu(channel):
            assert len(await asyncio.wait_for(anext(batches), 5.0))
        with pytest.raises(
            DeviceUnavailableError, match=r"ECU 4D12044006 .* gave no sample for 0.3 s: ignition off"
        ):
            await asyncio.wait_for(collect(batches), 5.0)
    with pytest.raises(DeviceUnavailableError, match="no Subaru ECU answers"):
        await take(source, 1)
    with simulated_ecu(channel):
        assert len(await take(source, 3)) >= 3


async def test_a_short_silence_is_outlived() -> None:
    count = 0

    def silent_twice(request: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return [] if count in {12, 13} else real_ecu(request)

    channel = new_channel()
    with fake_ecu(channel, silent_twice):
        source = driver(channel, silent_s=5.0)
        batch = await take(source, 12)
    assert source.counts.unanswered >= 2
    assert np.diff(batch.t_s).max() > 0.3


async def test_a_session_that_the_ecu_ends_is_lost_in_words() -> None:
    count = 0

    def refuse_later(request: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return real_ecu(request) if count < 12 else [NegativeReply(request[0], 0x22).to_bytes()]

    channel = new_channel()
    with fake_ecu(channel, refuse_later):
        source = driver(channel)
        with pytest.raises(DeviceUnavailableError, match=r"ECU 1B14400505 .* gave no sample"):
            await take(source, 1000)
    assert source.counts.refused > 3


async def collect(batches: AsyncIterator[SampleBatch]) -> list[SampleBatch]:
    return [batch async for batch in batches]


class UnpluggedBus(can.BusABC):
    """A bus whose adapter is pulled out after so many frames."""

    def __init__(self, bus: can.BusABC, frames: int, error: Exception) -> None:
        super().__init__(channel="usb")
        self.channel_info = "usb"
        self._bus, self._frames, self._error = bus, frames, error

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self._bus.send(msg, timeout)

    def recv(self, timeout: float | None = None) -> can.Message | None:
        self._frames -= 1
        if self._frames < 0:
            raise self._error
        return self._bus.recv(timeout)

    def shutdown(self) -> None:
        super().shutdown()
        self._bus.shutdown()


@pytest.mark.parametrize("error", [OSError(19, "No such device"), can.CanOperationError("adapter gone")])
async def test_an_adapter_that_is_unplugged(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    channel = new_channel()
    monkeypatch.setattr("drivers.links.open_bus", lambda *where: UnpluggedBus(open_bus(*where), 200, error))
    with simulated_ecu(channel):
        source = driver(channel)
        with pytest.raises(DeviceUnavailableError, match="CAN bus usb is gone"):
            await take(source, 10_000)
    assert source.counts.samples > 0


async def test_a_backend_that_cannot_parse_costs_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """python-can's serial parser raises ValueError or IndexError on garbage and then goes on."""

    class Garbled(UnpluggedBus):
        def recv(self, timeout: float | None = None) -> can.Message | None:
            self._frames += 1
            if self._frames % 50 == 49:
                raise IndexError("string index out of range")
            return self._bus.recv(timeout)

    channel = new_channel()
    monkeypatch.setattr("drivers.links.open_bus", lambda *where: Garbled(open_bus(*where), 0, OSError()))
    with simulated_ecu(channel):
        source = driver(channel)
        assert len(await take(source, 20)) >= 20
    assert source.counts.bad_frames >= 1


@pytest.mark.parametrize(
    ("interface", "channel"),
    [("socketcan", "nosuchcan7"), ("slcan", "/dev/no-such-port"), ("pcan", "PCAN_X")],
)
async def test_a_bus_that_is_not_there_is_named(interface: str, channel: str) -> None:
    source = SsmCan({"interface": interface, "channel": channel}, WallClock())
    with pytest.raises(
        DeviceUnavailableError, match=rf"CAN bus {channel} \({interface}\) cannot be opened: ."
    ):
        await take(source, 1)


async def test_only_requests_that_read_leave() -> None:
    channel = new_channel()
    with fake_ecu(channel, real_ecu) as seen:
        await take(driver(channel), 5)
    assert seen
    assert {request[0] for request in seen} <= {0xAA, 0xA8, 0x01}


def test_a_request_that_could_change_something_is_never_sent() -> None:
    for service in set(range(256)) - {0x01, 0x09, 0xA8, 0xAA}:
        with pytest.raises(ValueError, match="not one that reads; it was not sent"):
            check_allowed(bytes((service, 0, 0, 0, 8)))


def test_the_allow_list_is_kept_where_bytes_leave() -> None:
    channel = new_channel()
    bus, witness = open_bus("virtual", channel, 0), open_bus("virtual", channel, 0)
    try:
        link = CanLink(BusPort(bus, WallClock()), 0x7E0, 0x7E8, timeout_s=0.05)
        for payload in (b"", b"\xb8\x00\x00\x08\x01", b"\x04", b"\x2e\xf1\x90\x00", b"\xa8\x01\x00\x00\x08"):
            with pytest.raises(ValueError, match="request"):
                link.request(payload)
        assert witness.recv(0.05) is None
        with pytest.raises(NoAnswerError, match=r"no answer to AA within 0\.05 s"):
            link.request(b"\xaa")
        sent = witness.recv(0.05)
        assert sent is not None
        assert bytes(sent.data) == bytes.fromhex("01AA000000000000")
    finally:
        bus.shutdown()
        witness.shutdown()


async def test_time_stamps_are_those_of_the_clock_given() -> None:
    channel = new_channel()
    fast = ScaledClock(50.0, WallClock())
    with fake_ecu(channel, real_ecu):
        source = SsmCan({"interface": "virtual", "channel": channel, "rate_hz": 5.0}, fast)
        started_s = time.monotonic()
        batch = await take(source, 50)
        wall_s = time.monotonic() - started_s
    span_s = batch.t_s[-1] - batch.t_s[0]
    assert 50.0 / 5.0 * 0.7 < span_s <= 50.0 * wall_s
    assert np.all(np.diff(batch.t_s) > 0.0)
