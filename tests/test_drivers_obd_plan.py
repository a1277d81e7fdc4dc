"""OBD channels: real replies and what they stand for, the choice of PIDs, and how long a value holds."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from drivers.base import DeviceUnavailableError
from drivers.obd_frames import CurrentDataReply, supported_pids
from drivers.obd_plan import PIDS, ObdPlan, ObdValues, plan_for
from lowmaf.samples import FuelLoop

DECODE = {pid.pid: pid for pid in PIDS}
SIGNALS = {
    "MAF": 0x10, "SHRTFT1": 0x06, "LONGFT1": 0x07, "RPM": 0x0C, "LAMBDA11_CURRENT": 0x34,
    "LAMBDA11_VOLT": 0x24, "EQ_RAT": 0x44, "TP": 0x11, "VSS": 0x0D, "MAP": 0x0B, "ECT": 0x05, "IAT": 0x0F,
}  # fmt: skip
ONE_BIT = {0x10: 0.01, 0x06: 0.78125, 0x07: 0.78125, 0x0C: 0.25, 0x34: 2**-15, 0x24: 2**-15, 0x44: 2**-15,
           0x11: 100 / 255, 0x0D: 1.0, 0x0B: 1.0, 0x05: 1.0, 0x0F: 1.0}  # fmt: skip


def decoded(reply: str) -> dict[str, float]:
    data = CurrentDataReply.from_bytes(bytes.fromhex(reply)).data
    return {DECODE[pid].channel: DECODE[pid].decode(raw) for pid, raw in data.items()}


@pytest.mark.parametrize(
    ("reply", "channel", "value"),
    [
        ("41030200", "fuel_loop", 2.0),
        ("41057D", "ect_c", 85.0),
        ("410684", "stft_pct", 3.125),
        ("41077C", "ltft_pct", -3.125),
        ("410C145F", "rpm", 1303.75),
        ("4110181F", "maf_gs", 61.75),
        ("41660103200000", "maf_gs", 25.0),
        ("41660200000320", "maf_gs", 25.0),
        ("41660303200640", "maf_gs", 75.0),
        ("41447E71", "lambda_target", 0.98782),
        ("41348000" + "8000", "lambda_", 1.0),
        ("41247333" + "0000", "lambda_", 0.9),
    ],
)
def test_published_replies(reply: str, channel: str, value: float) -> None:
    assert decoded(reply)[channel] == pytest.approx(value, abs=1e-5)


def test_a_flow_that_no_sensor_measures_is_none() -> None:
    assert math.isnan(decoded("41660003200320")["maf_gs"])


def last_payload(frames: str, pid: int) -> bytes:
    """The last one about ``pid`` of frames with identifier and length; an adapter's words may follow."""
    found = b""
    while frames.startswith("7E"):
        end = 5 + 2 * int(frames[3:5], 16)
        payload, frames = bytes.fromhex(frames[5:end]), frames[end:]
        if payload[1] == pid:
            found = payload
    return found


@pytest.mark.shared_logs
def test_replies_of_real_subaru_ecus_decode_to_what_they_stand_for(shared_logs: Path) -> None:
    counted = 0
    with (shared_logs / "obd" / "subaru_replies.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            payload = last_payload(row["reply_hex"].replace(" ", ""), int(row["command"][-2:], 16))
            if row["signal"] == "FUELSYS1":
                (raw,) = CurrentDataReply.from_bytes(payload).data.values()
                assert (DECODE[0x03].decode(raw) == FuelLoop.CLOSED) == (row["expected"] == "CL"), row
            elif row["signal"] in SIGNALS:
                pid = SIGNALS[row["signal"]]
                value = DECODE[pid].decode(CurrentDataReply.from_bytes(payload).data[pid])
                assert value == pytest.approx(float(row["expected"]), abs=1.001 * ONE_BIT[pid]), row
            else:
                continue
            counted += 1
    assert counted > 1000


def test_supported_pids_of_a_real_answer() -> None:
    """0100 -> BE 3F A8 13 of a simulated car of somebody else's."""
    found = supported_pids(0x00, bytes.fromhex("BE3FA813"))
    assert {0x01, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0C, 0x0D, 0x0F, 0x10, 0x11, 0x20} <= found
    assert not {0x02, 0x08, 0x09, 0x0A, 0x12} & found
    assert supported_pids(0x60, b"\0\0\0\x01") == {0x80}


def test_the_first_of_two_pids_with_one_channel_is_chosen() -> None:
    plan = plan_for(frozenset({0x06, 0x10, 0x66, 0x24, 0x34, 0x05}), "ECU")
    assert [pid.pid for pid in plan.pids] == [0x10, 0x06, 0x34, 0x05]
    assert plan.fast == ((0x10, 0x06, 0x34),)
    assert plan.slow == ((0x05,),)
    assert plan_for(frozenset({0x06, 0x66}), "ECU").pids[0].pid == 0x66


def test_no_request_holds_more_than_six_pids() -> None:
    plan = plan_for(frozenset(DECODE), "ECU")
    assert all(len(pids) <= 6 for pids in plan.fast + plan.slow)
    assert plan.fast[0][0] == 0x10
    assert {pid for pids in plan.fast + plan.slow for pid in pids} == {pid.pid for pid in plan.pids}
    assert all(len(pids) == 1 for pids in ObdPlan(plan.pids, group=1).fast)


@pytest.mark.parametrize("pids", [{0x06}, {0x10}, {0x0B, 0x0C}, set()])
def test_too_little_for_a_sample(pids: set[int]) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"ECU 7E8 offers .*; stft_pct \(PID 06\) and maf_gs"):
        plan_for(frozenset(pids), "ECU 7E8")


def test_a_value_holds_for_its_time_and_no_longer() -> None:
    plan = plan_for(frozenset({0x06, 0x10, 0x0C, 0x05, 0x0D}), "ECU")
    values = ObdValues(plan)

    def row(now_s: float) -> dict[str, float]:
        return dict(zip(plan.channels, values.row(now_s), strict=True))

    values.take({0x05: b"\x7d", 0x0D: b"\x20"}, 100.0)
    values.begin()
    values.take({0x10: b"\x01\x90", 0x06: b"\x84", 0x0C: b"\x0b\xb8"}, 100.1)
    assert row(100.1) == {
        "maf_gs": 4.0, "stft_pct": 3.125, "rpm": 750.0, "speed_kmh": 32.0, "ect_c": 85.0, "load_g_rev": 0.32
    }  # fmt: skip
    values.begin()
    values.take({0x10: b"\x01\x90", 0x42: b"\0\0"}, 105.0)
    late = row(105.0)
    assert late["maf_gs"] == 4.0
    assert late["ect_c"] == 85.0
    for channel in ("stft_pct", "rpm", "speed_kmh", "load_g_rev"):
        assert math.isnan(late[channel]), channel
    assert math.isnan(row(110.1)["ect_c"])


def test_what_is_impossible_is_not_measured() -> None:
    plan = plan_for(frozenset({0x06, 0x10, 0x34}), "ECU")
    values = ObdValues(plan)
    values.take({0x34: b"\0\0\x80\0", 0x10: b"\x01\x90", 0x06: b"\x80"}, 0.0)
    assert math.isnan(dict(zip(plan.channels, values.row(0.0), strict=True))["lambda_"])
