"""What an ECU broadcasts: decoded by a DBC file, held and aged by a stated rule, and never answered."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import can
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passive_links import (
    DBC,
    ENGINE,
    SIGNALS,
    SLOW,
    TRIMS,
    Frame,
    broadcasting,
    engine_frame,
    slow_frame,
    trims_frame,
)

from drivers.base import DeviceUnavailableError, DriverOptionError, LinkCounts, OptionMissingError
from drivers.broadcast_samples import BroadcastSamples, HoldRules
from drivers.can_broadcast import CanBroadcast
from drivers.can_link import open_bus
from drivers.can_listening import CanListener
from drivers.clock import WallClock
from drivers.dbc_signals import DbcError, parse_pairs, signal_map
from drivers.links import LIVE, CanPlace
from drivers.listening_port import open_listening
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.slcan_adapter import SlcanAdapterBus
from drivers.slcan_frames import SlcanFrame
from lowmaf.samples import CHANNELS, FuelLoop, SampleBatch

NEEDED = "stft_pct=ShortTrim, ltft_pct=0, fuel_loop=LoopState:closed"


def samples_of(signals: str = SIGNALS, **rules: float) -> BroadcastSamples:
    return BroadcastSamples(signal_map(DBC, parse_pairs(signals)), HoldRules(**rules))


def feed(samples: BroadcastSamples, frame: Frame, at_s: float) -> dict[str, float] | None:
    identifier, extended, data = frame
    row = samples.take((identifier, extended), data, at_s)
    return None if row is None else dict(zip(samples.channels, row, strict=True))


def driver(channel: str, **options: object) -> CanBroadcast:
    given = {"interface": "virtual", "channel": channel, "dbc": str(DBC), "signals": SIGNALS}
    return CanBroadcast({**given, **options}, WallClock())


async def take(source: CanBroadcast, samples: int) -> SampleBatch:
    taken: list[SampleBatch] = []
    async with asyncio.timeout(10.0), aclosing(source.batches()) as batches:
        async for batch in batches:
            taken.append(batch)
            if sum(map(len, taken)) >= samples:
                break
    return SampleBatch.concatenate(taken)


# ---- decoding


def test_signals_become_channels_in_our_units() -> None:
    samples = samples_of()
    assert feed(samples, trims_frame(-3.2, 2.5, 0.98, 1.0), 1.0) is None
    assert feed(samples, slow_frame(0, 130.0), 1.0) is None
    assert feed(samples, slow_frame(1, 293.2), 1.0) is None
    assert feed(samples, slow_frame(2, 62.1), 1.0) is None
    row = feed(samples, engine_frame(3000.0, 2.5, 40.0, 1), 1.01)
    assert row is not None
    expected = {
        "maf_v": 2.5, "maf_gs": 40.0, "rpm": 3000.0, "stft_pct": -3.2, "ltft_pct": 2.5, "lambda_": 0.98,
        "lambda_target": 1.0, "ect_c": 90.0, "iat_c": 20.05, "speed_kmh": 99.94, "fuel_loop": 2.0,
        "load_g_rev": 0.8,
    }  # fmt: skip
    assert row.keys() == expected.keys()
    for channel, value in expected.items():
        assert row[channel] == pytest.approx(value, rel=1e-3), channel


def test_an_identifier_of_29_bits_is_another_than_one_of_11() -> None:
    samples = samples_of()
    assert set(samples.identifiers) == {ENGINE, TRIMS, SLOW}
    number, _, data = trims_frame(5.0, 0.0, 1.0, 1.0)
    feed(samples, (number, False, data), 1.0)
    row = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 1.0)
    assert row is not None
    assert math.isnan(row["stft_pct"])


def test_a_multiplexed_frame_gives_the_part_that_it_holds() -> None:
    samples = samples_of()
    feed(samples, slow_frame(0, 130.0), 1.0)
    feed(samples, slow_frame(1, 303.15), 1.0)
    row = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 1.0)
    assert row is not None
    assert (row["ect_c"], math.isnan(row["speed_kmh"])) == (pytest.approx(90.0), True)
    assert samples.bad_frames == 0
    feed(samples, slow_frame(3, 1.0), 1.0)  # a part that the file does not know
    assert samples.bad_frames == 1


@pytest.mark.parametrize(
    ("how", "raw", "code"),
    [
        (":closed", 1, FuelLoop.CLOSED),
        (":Closed", 0, FuelLoop.OPEN_LOAD),
        (":1|fault", 2, FuelLoop.CLOSED),
        (":3", 1, FuelLoop.OPEN_LOAD),
        ("", 2, FuelLoop.CLOSED),
        (":obd", 8, FuelLoop.OPEN_FAULT),
        ("", 3, math.nan),
        (":subaru", 8, FuelLoop.CLOSED),
        (":subaru", 10, FuelLoop.OPEN_LOAD),
        (":subaru", 2, math.nan),
    ],
)
def test_the_state_of_the_loop(how: str, raw: int, code: float) -> None:
    row = feed(samples_of(SIGNALS.replace(":closed", how)), engine_frame(800.0, 1.2, 4.0, raw), 1.0)
    assert row is not None
    assert row["fuel_loop"] == pytest.approx(float(code), nan_ok=True)


def test_a_value_stands_for_its_time_and_no_longer() -> None:
    samples = samples_of(max_age_s=0.3)
    feed(samples, trims_frame(1.0, 2.0, 1.0, 1.0), 10.0)
    feed(samples, slow_frame(0, 130.0), 10.0)
    fresh = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 10.29)
    aged = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 10.32)
    cold = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 20.1)
    assert fresh is not None
    assert aged is not None
    assert cold is not None
    assert (fresh["stft_pct"], math.isnan(aged["stft_pct"])) == (1.0, True)
    assert aged["ect_c"] == pytest.approx(90.0)
    assert math.isnan(cold["ect_c"])
    assert cold["maf_v"] == 1.2


def test_every_frame_with_the_air_flow_makes_a_sample_at_most_so_many() -> None:
    samples = samples_of(rate_hz=50.0)
    rows = [feed(samples, engine_frame(800.0, 1.2, 4.0, 1), n / 100.0) for n in range(100)]
    assert sum(row is not None for row in rows) == 50
    samples = samples_of(rate_hz=50.0)
    steady = [feed(samples, engine_frame(800.0, 1.2, 4.0, 1), n / 50.0 + 0.001 * (n % 2)) for n in range(50)]
    assert None not in steady


def test_an_impossible_value_is_not_measured() -> None:
    samples = samples_of()
    feed(samples, trims_frame(150.0, 0.0, 30.0, 1.0), 1.0)
    row = feed(samples, engine_frame(800.0, 9.0, 4.0, 1), 1.0)
    assert row is not None
    assert all(math.isnan(row[channel]) for channel in ("stft_pct", "lambda_", "maf_v"))


def test_a_number_stands_for_what_an_ecu_does_not_have() -> None:
    samples = samples_of(f"maf_gs=MafFlow, {NEEDED}")
    feed(samples, trims_frame(1.0, 9.0, 1.0, 1.0), 1.0)
    row = feed(samples, engine_frame(800.0, 1.2, 4.0, 1), 1.0)
    assert row == {"maf_gs": 4.0, "stft_pct": 1.0, "ltft_pct": 0.0, "fuel_loop": 2.0}


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from([ENGINE, TRIMS, SLOW]), st.binary(max_size=8), st.floats(0.0, 0.2)),
        max_size=30,
    )
)
def test_any_frames_give_values_in_range_or_none(frames: list[tuple[tuple[int, bool], bytes, float]]) -> None:
    samples = samples_of(rate_hz=200.0)
    at_s = 0.0
    for identifier, data, step_s in frames:
        at_s += step_s
        row = samples.take(identifier, data, at_s)
        for channel, value in zip(samples.channels, row or [], strict=False):
            limits = CHANNELS[channel]
            assert math.isnan(value) or channel == "load_g_rev" or limits.low <= value <= limits.high


# ---- what cannot be used


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        ("maf_v", "'maf_v' is not CHANNEL=SIGNAL; channels are maf_v,"),
        ("maf_v=A, maf_v=B", "maf_v is given twice: A and B"),
        (f"maf_x=MafVoltage, {NEEDED}", "no channel 'maf_x', did you mean 'maf_v'?; known: maf_v"),
        (
            f"maf_v=MafVoltag, {NEEDED}",
            "maf_v=MafVoltag: no signal 'MafVoltag' in broadcast.dbc, did you mean ",
        ),
        (f"maf_v=zzz, {NEEDED}", "no signal 'zzz' in broadcast.dbc; it has Boost, Coolant, EngineSpeed,"),
        (f"maf_v=MafVoltage, rpm=EngineSpeed, {NEEDED}", "say which: Engine.EngineSpeed, Other.EngineSpeed"),
        (f"maf_v=Trims.MafVoltage, {NEEDED}", "MafVoltage is in Engine of broadcast.dbc"),
        (f"maf_v=MafVoltage, map_kpa=Boost, {NEEDED}", "map_kpa=Boost: its unit is 'furlong', and manifold"),
        (
            f"maf_v=MafFlow, {NEEDED}",
            "its unit is 'g/s', and MAF sensor voltage needs one of voltage, such as V",
        ),
        ("stft_pct=ShortTrim", "no signal for maf_v or maf_gs, ltft_pct, fuel_loop: without, no sample can"),
        (
            "maf_v=MafVoltage, stft_pct=ShortTrim, ltft_pct=0",
            "no signal for fuel_loop: without, no sample can",
        ),
        (
            "maf_v=MafVoltage, stft_pct=ShortTrim, ltft_pct=900, fuel_loop=LoopState",
            "allowed are -100 to 100 %",
        ),
        ("maf_v=1.2, stft_pct=ShortTrim, ltft_pct=0, fuel_loop=LoopState", "maf_v=1.2: no signal '2'"),
    ],
)
def test_a_channel_map_that_is_wrong_is_named(signals: str, words: str) -> None:
    with pytest.raises(DriverOptionError) as caught:
        driver("x", signals=signals)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loop_state_that_the_signal_does_not_have() -> None:
    with pytest.raises(
        DriverOptionError, match=r"closed loop 'shut': obd, subaru, or .* knows Open, Closed, F"
    ):
        driver("x", signals=SIGNALS.replace(":closed", ":shut"))


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"BO_ what", b'VERSION "', b"\xff\xfe"])
def test_what_is_no_dbc_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.dbc"
    path.write_bytes(content)
    with pytest.raises(DriverOptionError, match=r"driver can-broadcast: "):
        driver("x", dbc=str(path))


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DriverOptionError, match=r"nosuch.dbc: No such file"):
        driver("x", dbc=str(tmp_path / "nosuch.dbc"))
    monkeypatch.setattr("drivers.dbc_signals.MAX_BYTES", 10)
    path = tmp_path / "large.dbc"
    path.write_bytes(DBC.read_bytes())
    with pytest.raises(DriverOptionError, match="more than 10 bytes are no DBC file"):
        driver("x", dbc=str(path))


def test_without_its_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.dbc"
    path.write_bytes(DBC.read_bytes())
    monkeypatch.setitem(__import__("sys").modules, "cantools.database", None)
    with pytest.raises(
        DriverOptionError, match=r"needs the Python package cantools: pip install 'lowmaf\[dbc\]'"
    ):
        driver("x", dbc=str(path))


def test_what_is_missing_is_told_as_missing() -> None:
    with pytest.raises(OptionMissingError, match=r"needs the options dbc .* and signals"):
        CanBroadcast({"channel": "can1"}, WallClock())


@settings(max_examples=100)
@given(st.data())
def test_any_file_gives_a_map_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = bytearray(DBC.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=10))
    path = tmp_path_factory.mktemp("dbc") / "any.dbc"
    path.write_bytes(bytes(text))
    try:
        signals = signal_map(path, parse_pairs(SIGNALS))
    except DbcError:
        return
    samples = BroadcastSamples(signals, HoldRules())
    for identifier in samples.identifiers:
        samples.take(identifier, b"\x01" * 8, 1.0)


# ---- the link


async def test_what_is_broadcast_is_heard() -> None:
    frames = (trims_frame(1.5, 2.5, 1.0, 1.0), engine_frame(800.0, 1.2, 4.0, 1))
    with broadcasting(lambda: frames) as (channel, broadcaster):
        source = driver(channel)
        batch = await take(source, 20)
        assert source.describe() == f"listening on CAN {channel} (virtual), DBC broadcast.dbc, 11 signals"
    assert np.all(np.diff(batch.t_s) > 0.0)
    assert np.all(batch["maf_v"] == 1.2)
    assert np.all(batch["stft_pct"][5:] == 1.5)
    assert source.counts.samples >= 20
    assert broadcaster.heard == []  # not one frame of ours


async def test_a_bus_on_which_the_air_flow_is_missing_is_lost_in_words() -> None:
    with (
        broadcasting(lambda: (trims_frame(1.5, 2.5, 1.0, 1.0),)) as (channel, _),
        pytest.raises(DeviceUnavailableError, match=r"frames came, but none with air flow for 0.3 s"),
    ):
        await take(driver(channel, silent_s=0.3), 1)


async def test_a_bus_that_says_nothing_wanted_is_lost_in_words() -> None:
    other: Sequence[Frame] = ((0x100, False, b"\0" * 8),)
    with (
        broadcasting(lambda: other) as (channel, _),
        pytest.raises(DeviceUnavailableError, match=r"nothing that is wanted came on CAN .* for 0.3 s"),
    ):
        await take(driver(channel, silent_s=0.3), 1)


async def test_a_driver_without_options_says_what_it_needs() -> None:
    with pytest.raises(DeviceUnavailableError, match="no options: dbc and signals are needed"):
        await take(CanBroadcast({}, WallClock()), 1)


def test_a_listening_bus_refuses_to_send() -> None:
    bus = open_listening("virtual", "refusing", 0)
    other = open_bus("virtual", "refusing", 0)
    message = can.Message(arbitration_id=1, data=b"\1")
    try:
        with pytest.raises(RuntimeError, match="a passive source does not send"):
            bus.send(message)
        with pytest.raises(RuntimeError, match="a passive source does not send"):
            bus.send_periodic(message, 0.01)
        assert other.recv(0.05) is None
    finally:
        bus.shutdown()
        other.shutdown()


async def test_a_serial_adapter_is_opened_to_listen_and_sent_nothing_else() -> None:
    """Every byte that leaves is looked at: close, the bitrate, listen; and close at the end."""
    port = PtyPort()
    sent = bytearray()
    stop = threading.Event()
    frames = b"".join(
        SlcanFrame(identifier, data, extended).to_bytes()
        for identifier, extended, data in (trims_frame(1.5, 2.5, 1.0, 1.0), engine_frame(800.0, 1.2, 4.0, 1))
    )

    def adapter() -> None:
        while not stop.is_set():
            sent.extend(port.read(0.01))
            if b"L\r" in sent:
                port.write(frames)

    thread = threading.Thread(target=adapter)
    thread.start()
    try:
        batch = await take(driver(port.path, interface="slcan", bitrate=500_000), 5)
    finally:
        stop.set()
        thread.join()
        sent.extend(port.read(0.05))
        port.close()
    assert np.all(batch["maf_v"] == 1.2)
    assert bytes(sent) == b"\r\r\rC\rS6\rL\rC\r"


async def test_an_adapter_that_listens_gives_what_one_that_takes_part_does() -> None:
    port = PtyPort()
    bus = SlcanAdapterBus(port)
    place = CanPlace("slcan", port.path, 500_000)
    listener = CanListener(place, {ENGINE}, WallClock(), LinkCounts(), silent_s=2.0, links=LIVE)
    stop = threading.Event()

    def serve() -> None:
        identifier, extended, data = engine_frame(800.0, 1.2, 4.0, 1)
        while not stop.is_set():
            bus.recv(0.01)
            bus.send(can.Message(arbitration_id=identifier, is_extended_id=extended, data=data))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        async with asyncio.timeout(20.0), aclosing(listener.frames()) as heard:
            frames = await anext(heard)
    finally:
        stop.set()
        thread.join()
        bus.shutdown()
    assert frames[0].identifier == ENGINE[0]


def test_no_module_that_listens_can_send(project: Path) -> None:
    """The only sends in them are those that are taken away."""
    for module in ("can_listening", "listening_port", "can_broadcast", "broadcast_samples", "dbc_signals"):
        source = (project / "drivers" / f"{module}.py").read_text(encoding="utf-8")
        assert source.count(".send") == (2 if module == "listening_port" else 0), module
