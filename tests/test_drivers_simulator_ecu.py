"""The simulated ECU's answers, byte for byte, and the simulator as a whole."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from contextlib import aclosing

import can
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import DriverOptionError
from drivers.can_link import open_bus
from drivers.clock import WallClock
from drivers.registry import create
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.ecu_answers import ECU_ID
from drivers.simulator.settings import CarSettings
from drivers.simulator.source import Simulator
from drivers.ssm_frames import FUEL_LOOP_ADDRESSES, PARAMETERS, InitReply, ReadReply, ReadRequest
from lowmaf.samples import SampleBatch

WARM = CarSettings(seed=2, ect_start_c=85.0)
SERVED = {"maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "throttle_pct", "speed_kmh", "iat_c", "ect_c"}


class Hand:
    """A clock moved by hand, which does not start at 0."""

    def __init__(self) -> None:
        self.time_s = 5000.0

    def now(self) -> float:
        return self.time_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s


@pytest.fixture
def ecu() -> Iterator[SimulatedEcu]:
    bus = open_bus("virtual", "simulated-ecu-test", 0)
    clock = Hand()
    after_half_a_minute = SimulatedEcu(bus, Car(WARM), clock)
    clock.time_s += 30.0
    yield after_half_a_minute
    bus.shutdown()


def test_it_identifies_itself_and_says_what_it_can(ecu: SimulatedEcu) -> None:
    reply = InitReply.from_bytes(ecu.answer(b"\xaa"))
    assert reply.ecu_id == ECU_ID
    assert {p.channel for p in PARAMETERS if reply.supports(p.index, p.bit)} == SERVED
    assert len(reply.to_bytes()) == 49


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.channel in SERVED], ids=lambda p: p.channel)
def test_a_parameter_reads_as_what_the_car_does(ecu: SimulatedEcu, parameter) -> None:
    car = Car(WARM)
    car.advance_to(30.0)
    reply = ReadReply.from_bytes(ecu.answer(ReadRequest(parameter.addresses).to_bytes()), parameter.length)
    step = abs(parameter.decode(1) - parameter.decode(0))
    assert parameter.decode(int.from_bytes(reply.values, "big")) == pytest.approx(
        getattr(car, parameter.channel), abs=0.51 * step
    )


def test_obd_and_ssm_agree(ecu: SimulatedEcu) -> None:
    answer = ecu.answer(bytes.fromhex("01030506070C10"))
    loop = ecu.answer(ReadRequest((FUEL_LOOP_ADDRESSES[ECU_ID],)).to_bytes())[1]
    trims = ecu.answer(ReadRequest((0x08, 0x09, 0x0A, 0x0E, 0x0F, 0x13, 0x14)).to_bytes())[1:]
    assert answer == (
        bytes((0x41, 0x03, loop, 0, 0x05, trims[0], 0x06, trims[1], 0x07, trims[2], 0x0C))
        + trims[3:5]
        + b"\x10"
        + trims[5:]
    )
    assert ecu.answer(b"\x01\x0b\x0d\x0f\x11")[:2] == b"\x41\x0b"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("A800FFBC39", "7FA822"),  # memory of another ECU
        ("A801000008", "7FA813"),
        ("A80000", "7FA813"),
        ("AA00", "7FAA13"),
        ("0199", "7F0112"),
        ("B80000000801", "7FB811"),
        ("2EF190", "7F2E11"),
        ("A800000001", "E800"),  # a standard address it does not have
    ],
)
def test_what_it_cannot_do_it_refuses(ecu: SimulatedEcu, request_: str, answer: str) -> None:
    assert ecu.answer(bytes.fromhex(request_)) == bytes.fromhex(answer)


def test_after_a_long_pause_the_car_catches_up_in_parts() -> None:
    bus = open_bus("virtual", "late-ecu-test", 0)
    car, clock = Car(WARM), Hand()
    ecu = SimulatedEcu(bus, car, clock)
    clock.time_s += 75.0
    times = []
    for _ in range(4):
        ecu.answer(b"\xaa")
        times.append(car.t_s)
    bus.shutdown()
    assert times == [30.0, 60.0, 75.0, 75.0]


def test_a_stock_rom_refuses_memory() -> None:
    bus = open_bus("virtual", "stock-rom-test", 0)
    stock = SimulatedEcu(bus, Car(WARM), Hand(), reads_ram=False)
    assert stock.answer(ReadRequest((FUEL_LOOP_ADDRESSES[ECU_ID],)).to_bytes()) == bytes.fromhex("7FA822")
    bus.shutdown()


@settings(deadline=None, max_examples=50)
@given(st.binary(min_size=1, max_size=40))
def test_any_request_is_answered(request_: bytes) -> None:
    bus = can.Bus(interface="virtual", channel="fuzzed-ecu", ignore_config=True)
    try:
        answer = SimulatedEcu(bus, Car(WARM), Hand()).answer(request_)
    finally:
        bus.shutdown()
    assert answer[0] in {0x41, 0xE8, 0xEA, 0x7F}
    if answer[0] == 0x7F:
        assert answer[1] == request_[0]
        assert len(answer) == 3


async def drive(simulator: Simulator, samples: int) -> SampleBatch:
    taken: list[SampleBatch] = []
    async with asyncio.timeout(20.0), aclosing(simulator.batches()) as batches:
        async for batch in batches:
            taken.append(batch)
            if sum(map(len, taken)) >= samples:
                break
    return SampleBatch.concatenate(taken)


async def test_the_simulator_drives_at_twenty_times_real_time_through_the_real_driver() -> None:
    simulator = create("simulator", {"speed": 20.0, "seed": 5, "ect_start_c": 85.0}, WallClock())
    assert isinstance(simulator, Simulator)
    before = threading.active_count()
    batch = await drive(simulator, 150)
    assert threading.active_count() == before
    gaps_s = np.diff(batch.t_s)
    assert np.all(gaps_s > 0.0)
    assert 1.0 / np.median(gaps_s) > 4.5  # samples per second of simulated time
    assert batch.t_s[-1] - batch.t_s[0] > 24.0  # 150 samples, six a second
    assert batch.delivered == SERVED | {"fuel_loop", "load_g_rev"}
    truth = simulator.truth
    assert truth.correction_pct.shape == (simulator.maf_table.cells,)
    assert 5.0 < truth.closed_loop_s.sum() <= batch.t_s[-1] + 2.0
    assert simulator.describe() == (
        "simulated car, mixed drive, 20 × real time; SSM on CAN, ECU 4D12044006, loop state from RAM FF9921"
    )


async def test_the_samples_are_those_of_the_car_at_their_time() -> None:
    """At real time the ECU is asked within milliseconds, so voltage and flow fit the simulator's table."""
    simulator = Simulator({"ect_start_c": 85.0}, WallClock())
    batch = await drive(simulator, 10)
    table = simulator.maf_table
    expected = table.voltage_at(batch["maf_gs"])
    np.testing.assert_allclose(batch["maf_v"], expected, atol=0.011)


async def test_every_drive_starts_anew_and_the_table_stays() -> None:
    simulator = Simulator({"speed": 20.0}, WallClock())
    table = simulator.maf_table
    for _ in range(2):
        batch = await drive(simulator, 5)
        assert batch.t_s[0] < 15.0
        assert batch["speed_kmh"][0] == 0.0
    np.testing.assert_array_equal(simulator.maf_table.flow_gs, table.flow_gs)


async def test_a_stock_rom_is_driven_as_well() -> None:
    simulator = Simulator({"speed": 10.0, "reads_ram": False, "ect_start_c": 85.0}, WallClock())
    batch = await drive(simulator, 5)
    assert not np.any(np.isnan(batch["fuel_loop"]))
    assert simulator.describe().endswith("loop state from OBD PID 03")


@pytest.mark.parametrize(
    ("speed", "rate_hz"), [(0.5, 20.0), (1.0, 20.0), (10.0, 10.0), (20.0, 6.0), (100.0, 6.0)]
)
def test_rate_of_polling_in_simulated_time(speed: float, rate_hz: float) -> None:
    assert math.isclose(Simulator({"speed": speed}, WallClock()).rate_hz, rate_hz)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 0.0}, "allowed are 0.1 to 100"),
        ({"drive": "cty"}, "did you mean 'city'"),
        ({"table_error": "slop"}, "did you mean 'slope'"),
        ({"seed": -1}, "allowed are 0"),
        ({"ect_start_c": 200.0}, "allowed are -30 to 90 °C"),
    ],
)
def test_options_out_of_range(given: dict[str, object], words: str) -> None:
    with pytest.raises(DriverOptionError, match=words):
        Simulator(given, WallClock())
