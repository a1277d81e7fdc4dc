"""SSM payloads: published exchanges with real ECUs, and whatever else may come over a bus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import FrameError
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    PARAMETERS,
    InitReply,
    InitRequest,
    NegativeReply,
    ReadReply,
    ReadRequest,
)
from lowmaf.samples import CHANNELS

INIT_A = bytes.fromhex(
    "A2100F1B1440050573FAEB802BC102AA00100060CE54F8B0600000E00000000000DC0000551000000200000000000000"
    "0000000000000000"
)
INIT_B = bytes.fromhex(
    "A21011315258400673FACB842B83FEA800000060CED4FDB060000F200000000000DC0000551E30C0F222000040FB00E1"
    "0000000000000000"
)
INIT_C = bytes.fromhex(
    "A210024D12044006F3FAC98E220402AC00000060CE54F8B984006C200000000000DC0000451F3080F0201F0243FB00F1"
    "C1840000000000F180000080"
) + bytes(44)
DECODE = {parameter.channel: parameter for parameter in PARAMETERS}


@pytest.mark.parametrize(
    ("data", "ecu_id"), [(INIT_A, "1B14400505"), (INIT_B, "3152584006"), (INIT_C, "4D12044006")]
)
def test_identification_of_three_real_ecus(data: bytes, ecu_id: str) -> None:
    reply = InitReply.from_bytes(b"\xea" + data)
    assert reply.ecu_id == ecu_id
    assert reply.to_bytes() == b"\xea" + data
    assert ecu_id in FUEL_LOOP_ADDRESSES
    supported = {p.channel for p in PARAMETERS if reply.supports(p.index, p.bit)}
    assert supported == {parameter.channel for parameter in PARAMETERS}


def test_capabilities_of_real_ecus_differ() -> None:
    load_bit = (8, 7)
    assert not InitReply(INIT_A).supports(*load_bit)
    assert not InitReply(INIT_B).supports(*load_bit)
    advance_multiplier_bit = (55, 0)
    assert len(INIT_A) <= 56
    assert not InitReply(INIT_A[:55]).supports(*advance_multiplier_bit)


def test_the_published_request_of_nine_addresses() -> None:
    addresses = (0x08, 0x09, 0x0A, 0x0E, 0x0F, 0x13, 0x14, 0x1D, 0xFF6F91)
    payload = bytes.fromhex("A80000000800000900000A00000E00000F00001300001400001DFF6F91")
    assert ReadRequest(addresses).to_bytes() == payload
    assert ReadRequest.from_bytes(payload) == ReadRequest(addresses)


def test_the_published_answer_decodes_to_the_published_values() -> None:
    values = ReadReply.from_bytes(bytes.fromhex("E87D847C0BB801905002"), 9).values
    assert DECODE["ect_c"].decode(values[0]) == 85.0
    assert DECODE["stft_pct"].decode(values[1]) == 3.125
    assert DECODE["ltft_pct"].decode(values[2]) == -3.125
    assert DECODE["rpm"].decode(int.from_bytes(values[3:5], "big")) == 750.0
    assert DECODE["maf_gs"].decode(int.from_bytes(values[5:7], "big")) == 4.0
    assert DECODE["maf_v"].decode(values[7]) == 1.6
    assert values[8] == 2


@pytest.mark.parametrize(
    ("channel", "raw", "value"),
    [
        ("ect_c", 0x47, 31.0),  # a 2006 WRX
        ("ect_c", 0x00, -40.0),
        ("iat_c", 0xFF, 215.0),
        ("stft_pct", 0x00, -100.0),
        ("ltft_pct", 0xFF, 99.21875),
        ("throttle_pct", 0xFF, 100.0),
        ("speed_kmh", 0x64, 100.0),
        ("map_kpa", 0xFF, 255.106),
        ("lambda_", 0x80, 1.0),
        ("maf_v", 0xFF, 5.1),
        ("rpm", 0xFFFF, 16383.75),
    ],
)
def test_formulas(channel: str, raw: int, value: float) -> None:
    assert DECODE[channel].decode(raw) == pytest.approx(value, abs=1e-3)


def test_small_messages() -> None:
    assert InitRequest().to_bytes() == b"\xaa"
    assert InitRequest.from_bytes(b"\xaa") == InitRequest()
    assert NegativeReply(0xA8, 0x22).to_bytes() == bytes.fromhex("7FA822")
    assert NegativeReply.from_bytes(bytes.fromhex("7FA813")) == NegativeReply(0xA8, 0x13)


@pytest.mark.parametrize(
    ("parse", "payload", "words"),
    [
        (InitRequest.from_bytes, "AA00", "expected AA"),
        (InitReply.from_bytes, "EAA2", "expected EA and at least 8 bytes"),
        (ReadRequest.from_bytes, "A80000", "1 to 33 addresses"),
        (ReadRequest.from_bytes, "A800", "1 to 33 addresses"),
        (ReadRequest.from_bytes, "A802000008", "expected mode 00 or 01, met 02"),
        (ReadRequest.from_bytes, "", "1 to 33 addresses"),
        (lambda payload: ReadReply.from_bytes(payload, 2), "E87D", "expected E8 and 2 values"),
        (lambda payload: ReadReply.from_bytes(payload, 2), "E97DB1", "expected E8 and 2 values"),
        (lambda payload: ReadReply.from_bytes(payload, 1), "E87DB1", "expected E8 and 1 values"),
        (NegativeReply.from_bytes, "7FA8", "expected 7F, service and code"),
    ],
)
def test_wrong_payloads_are_quoted(parse, payload: str, words: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(FrameError, match=words) as caught:
        parse(data)
    assert (data.hex(" ").upper() or "(no bytes)") in str(caught.value)


def test_requests_that_cannot_be_made() -> None:
    for addresses in ((), tuple(range(34))):
        with pytest.raises(ValueError, match="1 to 33 addresses"):
            ReadRequest(addresses)
    with pytest.raises(ValueError, match="24 bits"):
        ReadRequest((0x1000000,))


@given(st.lists(st.integers(0, 0xFFFFFF), min_size=1, max_size=33))
def test_read_requests_survive_the_bus(addresses: list[int]) -> None:
    request = ReadRequest(tuple(addresses))
    assert ReadRequest.from_bytes(request.to_bytes()) == request


@given(st.binary(max_size=120), st.integers(1, 33))
def test_any_bytes_are_a_message_or_a_frame_error(payload: bytes, expected: int) -> None:
    parsers = (
        InitRequest.from_bytes,
        InitReply.from_bytes,
        ReadRequest.from_bytes,
        NegativeReply.from_bytes,
        lambda data: ReadReply.from_bytes(data, expected),
    )
    for parse in parsers:
        try:
            message = parse(payload)
        except FrameError:
            continue
        assert message.to_bytes() == payload


@given(st.integers(0, 0xFFFF))
def test_decoded_values_are_finite_and_near_the_physical_range(raw: int) -> None:
    for parameter in PARAMETERS:
        value = parameter.decode(raw & (1 << 8 * parameter.length) - 1)
        channel = CHANNELS[parameter.channel]
        # an all-ones word is beyond what an engine can do; the reader makes it NaN
        assert channel.low <= value <= channel.high or parameter.channel in {"rpm", "lambda_", "map_kpa"}
