"""The obd-can driver on an in-process bus: against the simulated ECU, and ECUs of other habits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import numpy as np
import pytest
from driver_peers import fake_ecu, new_channel, simulated_ecu, take

from drivers.base import DeviceUnavailableError
from drivers.clock import WallClock
from drivers.obd_can import ObdCan
from drivers.obd_frames import PID_BYTES, CurrentDataRequest

DATA = {0x03: "0200", 0x05: "7D", 0x06: "84", 0x07: "7C", 0x0C: "0BB8", 0x0D: "20", 0x10: "0190", 0x0F: "3C"}


def driver(channel: str, **options: object) -> ObdCan:
    given = {"interface": "virtual", "channel": channel, "rate_hz": 100.0, "timeout_s": 0.1, "silent_s": 0.3}
    return ObdCan({**given, **options}, WallClock())


def ecu_with(
    data: dict[int, str], order: Callable[[list[int]], list[int]] = list, together: int = 6
) -> Callable[[bytes], list[bytes]]:
    """An ECU with these PIDs that answers in the order it likes, at most ``together`` at once."""

    def answer(request: bytes) -> list[bytes]:
        if request[0] != 0x01:
            return [bytes((0x7F, request[0], 0x11))]
        pids = CurrentDataRequest.from_bytes(request).pids
        if len(pids) > together:
            return [bytes((0x7F, 0x01, 0x12))]
        parts = [bytes((pid,)) + reply(data, pid) for pid in order(list(pids)) if reply(data, pid)]
        return [b"\x41" + b"".join(parts)] if parts else [b"\x7f\x01\x12"]

    return answer


def reply(data: dict[int, str], pid: int) -> bytes:
    if pid % 0x20 == 0:
        flags = sum(1 << 32 - (other - pid) for other in data if pid < other <= pid + 32)
        return (flags | any(other > pid + 32 for other in data)).to_bytes(4, "big")
    return bytes.fromhex(data.get(pid, ""))


async def test_samples_are_those_of_the_car() -> None:
    channel = new_channel()
    with simulated_ecu(channel):
        source = driver(channel, timeout_s=2.0, silent_s=5.0)
        batch = await take(source, 20)
    assert batch.delivered == {
        "maf_gs", "stft_pct", "ltft_pct", "fuel_loop", "rpm", "lambda_", "lambda_target", "throttle_pct",
        "speed_kmh", "map_kpa", "ect_c", "iat_c", "load_g_rev",
    }  # fmt: skip
    for name in batch.delivered:
        assert np.all(np.isfinite(batch[name])), name
    assert np.all(np.diff(batch.t_s) > 0.0)
    np.testing.assert_allclose(batch["load_g_rev"], 60.0 * batch["maf_gs"] / batch["rpm"])
    assert source.describe() == f"OBD on CAN {channel} (virtual), ECU 7E8, 12 PIDs"


@pytest.mark.parametrize("order", [list, sorted, lambda pids: pids[::-1]])
async def test_the_ecu_chooses_the_order(order: Callable[[list[int]], list[int]]) -> None:
    channel = new_channel()
    with fake_ecu(channel, ecu_with(DATA, order)):
        batch = await take(driver(channel), 3)
    expected = {"maf_gs": 4.0, "stft_pct": 3.125, "ltft_pct": -3.125, "rpm": 750.0, "fuel_loop": 2.0,
                "speed_kmh": 32.0, "ect_c": 85.0, "iat_c": 20.0, "load_g_rev": 0.32}  # fmt: skip
    assert batch.delivered == set(expected)
    for name, value in expected.items():
        assert np.all(batch[name] == pytest.approx(value)), name


async def test_no_request_holds_more_than_six_pids_and_all_of_them_read() -> None:
    channel = new_channel()
    with fake_ecu(
        channel, ecu_with({pid: "00" * size for pid, size in PID_BYTES.items() if pid % 32})
    ) as seen:
        await take(driver(channel), 3)
    assert max(map(len, seen)) == 7
    assert {request[0] for request in seen} == {0x01}


async def test_an_ecu_that_answers_one_pid_at_a_time_is_asked_so() -> None:
    channel = new_channel()
    with fake_ecu(channel, ecu_with(DATA, together=1)) as seen:
        source = driver(channel)
        batch = await take(source, 3)
    assert np.all(batch["maf_gs"] == 4.0)
    assert source.describe().endswith("8 PIDs, one at a time")
    assert all(len(request) == 2 for request in seen[-6:])


async def test_a_channel_that_is_no_longer_answered_is_not_repeated() -> None:
    """Coolant stops coming; everything else goes on, and it is NaN once it is too old."""
    data = dict(DATA)
    channel = new_channel()
    with fake_ecu(channel, lambda request: ecu_with(data)(request)):
        source = driver(channel)
        async with asyncio.timeout(10.0), aclosing(source.batches()) as batches:
            await anext(batches)
            del data[0x06]
            async for batch in batches:
                if np.isnan(batch["stft_pct"][-1]):
                    break
    assert batch["maf_gs"][-1] == 4.0
    assert batch["ect_c"][-1] == 85.0


async def test_an_ecu_without_air_flow_is_refused_in_words() -> None:
    channel = new_channel()
    with (
        fake_ecu(channel, ecu_with({0x06: "80", 0x0B: "40"})),
        pytest.raises(DeviceUnavailableError, match=r"ECU 7E8 offers stft_pct, map_kpa; .*PID 10 or 66"),
    ):
        await take(driver(channel), 1)


async def test_nobody_answers() -> None:
    with pytest.raises(DeviceUnavailableError, match=r"no OBD-II ECU answers .* Is the ignition on"):
        await take(driver(new_channel()), 1)
