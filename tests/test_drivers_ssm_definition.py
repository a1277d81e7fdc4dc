"""Logger definitions: what one ECU has by its id, the rest left alone, hostile XML refused."""

from __future__ import annotations

import contextlib
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_drivers_ssm_can import INIT_A, VALUES, fake_ecu, new_channel, values_of
from test_drivers_ssm_can import driver as can_driver
from test_drivers_ssm_can import take as take_can
from test_drivers_ssm_kline import driver as kline_driver
from test_drivers_ssm_kline import simulated_ecu as kline_ecu
from test_drivers_ssm_kline import take as take_kline

from drivers.base import DeviceUnavailableError, DriverOptionError
from drivers.ssm_definition import DefinitionError, EcuParameters, check_file, read_definition
from drivers.ssm_ecu_parameters import ecu_parameters, fitting
from drivers.ssm_frames import MAX_ADDRESSES, PARAMETERS, Parameter
from drivers.ssm_reader import ReadingPlan

PROLOGUE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE logger SYSTEM "logger.dtd">
<logger version="1"><protocols><protocol id="SSM" baud="4800">
<parameters><parameter id="P8" name="Engine Speed"><address length="2">0x00000E</address></parameter>
</parameters>
<ecuparams>
"""
EPILOGUE = "</ecuparams></protocol></protocols></logger>\n"
BOMB = """<!DOCTYPE logger [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><logger>&c;</logger>"""
OUTSIDE = """<!DOCTYPE logger [<!ENTITY x SYSTEM "file:///etc/passwd">]><logger>&x;</logger>"""
ATTRIBUTES = """<!DOCTYPE logger [<!ATTLIST a b CDATA "bbbbbbbbbb">]><logger><a/></logger>"""


def ecuparam(identifier: str, addresses: dict[str, str], *conversions: str, length: int = 1) -> str:
    """One parameter: ECU ids to addresses, and the attributes of its conversions."""
    ecus = "".join(
        f'<ecu id="{ids}"><address length="{length}">{address}</address></ecu>\n'
        for ids, address in addresses.items()
    )
    words = "".join(f"<conversion {attributes}/>\n" for attributes in conversions)
    return (
        f'<ecuparam id="{identifier}" name="name of {identifier}">\n{ecus}<conversions>\n{words}'
        "</conversions></ecuparam>\n"
    )


STATUS = 'units="status" expr="x + 6" format="0"'
FLOAT = 'storagetype="float"'
DEFINITION = (
    PROLOGUE
    + ecuparam("E3", {"1B14400405, 1B14400505": "0x21054"}, STATUS)
    + ecuparam("E33", {"3152584006": "0xFFBC39", "4d12044006": "0xFF9921"}, STATUS)
    + ecuparam("E33", {"BBBBBBBBBB": "0xFF0001"}, STATUS, length=4)
    + ecuparam("E33", {"CCCCCCCCCC": "0xFF0002"}, 'units="status" expr="x"')
    + ecuparam("E2", {"1B14400505": "0x20AAA"}, 'units="g/rev" expr="x*6.1035e-5"', length=2)
    + ecuparam("E30", {"1B14400505": "0x209EA"}, 'units="%" expr="x*0.01220703125-100"', length=2)
    + ecuparam("E17", {"1B14400505": "0x020A16"}, 'units="%" expr="x*.048828125-50"', length=2)
    + ecuparam("E81", {"3152584006": "0xFFAB54"}, f'units="%" expr="x*100-100" {FLOAT}', length=4)
    + ecuparam("E48", {"3152584006": "0xFFAC9C"}, f'units="%" expr="x*100" {FLOAT}', length=4)
    + ecuparam(
        "E91", {"3152584006": "0xFFA7DC"},
        f'units="AFR Gasoline" expr="x*14.7" {FLOAT}', f'units="Lambda" expr="x" {FLOAT}', length=4,
    )
    + ecuparam("E123", {"3152584006": "0xFFAAA8"}, f'units="estimated AFR" expr="14.7/x" {FLOAT}', length=4)
    + ecuparam("E32", {"3152584006": "0xFFA000"}, f'units="g/cyl" expr="x/2" {FLOAT}', length=4)
    + ecuparam("E99", {"3152584006": "rubbish"}, 'units="%" expr="x*"')
    + EPILOGUE
)  # fmt: skip


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    path = tmp_path / "logger.xml"
    path.write_text(DEFINITION, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("ecu_id", "address"),
    [
        ("1B14400505", 0x021054),
        ("1B14400405", 0x021054),
        ("3152584006", 0xFFBC39),
        ("4D12044006", 0xFF9921),
        ("BBBBBBBBBB", None),
        ("CCCCCCCCCC", None),
        ("0000000000", None),
    ],
)
def test_the_loop_state_is_found_by_ecu_id(definition: Path, ecu_id: str, address: int | None) -> None:
    found = read_definition(definition, ecu_id)
    assert found.loop_address == address
    assert any("not one byte with the formula x+6" in words for words in found.left_out) == (
        ecu_id in {"BBBBBBBBBB", "CCCCCCCCCC"}
    )


def raw_float(value: float) -> int:
    return int.from_bytes(struct.pack(">f", value), "big")


@pytest.mark.parametrize(
    ("ecu_id", "channel", "address", "raw", "value"),
    [
        ("1B14400505", "stft_pct", 0x0209EA, 8448, 3.125),
        ("1B14400505", "ltft_pct", 0x020A16, 960, -3.125),
        ("1B14400505", "load_g_rev", 0x020AAA, 5243, 0.32),
        ("3152584006", "stft_pct", 0xFFAB54, raw_float(1.0125), 1.25),
        ("3152584006", "ltft_pct", 0xFFAC9C, raw_float(-0.0475), -4.75),
        ("3152584006", "lambda_", 0xFFA7DC, raw_float(0.97), 0.97),
        ("3152584006", "lambda_target", 0xFFAAA8, raw_float(1.25), 0.8),
        ("3152584006", "lambda_target", 0xFFAAA8, raw_float(0.0), math.nan),
        ("3152584006", "lambda_", 0xFFA7DC, 0x7FC00000, math.nan),
    ],
)
def test_values_of_one_ecu_are_decoded_in_our_units(
    definition: Path, ecu_id: str, channel: str, address: int, raw: int, value: float
) -> None:
    (found,) = [p for p in read_definition(definition, ecu_id).parameters if p.channel == channel]
    assert found.address == address
    assert found.decode(raw) == pytest.approx(value, rel=1e-4, nan_ok=True)


def test_a_unit_that_is_none_of_the_channels_leaves_the_parameter_out(definition: Path) -> None:
    found = read_definition(definition, "3152584006")
    assert found.left_out == ("E32 (name of E32): no unit of load among g/cyl",)
    assert "load_g_rev" not in {p.channel for p in found.parameters}


@pytest.mark.parametrize(
    ("order", "storage", "raw", "value"),
    [
        ("big", "int16", 0xFFFE, -2.0),
        ("little", "int16", 0xFEFF, -2.0),
        ("little", "uint16", 0x0100, 1.0),
        ("big", "uint16", 0x0100, 256.0),
    ],
)
def test_types_and_byte_orders(tmp_path: Path, order: str, storage: str, raw: int, value: float) -> None:
    path = tmp_path / "orders.xml"
    conversion = f'units="%" expr="x" storagetype="{storage}" endian="{order}"'
    path.write_text(PROLOGUE + ecuparam("E30", {"AA": "0x1"}, conversion, length=2) + EPILOGUE)
    (found,) = read_definition(path, "AA").parameters
    assert found.decode(raw) == value


GOOD = 'units="%" expr="x"'


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            ecuparam("E30", {"AA": "junk"}, GOOD),
            "line 8, parameter E30 (name of E30): address 'junk' is not 0x",
        ),
        (ecuparam("E30", {"AA": ""}, GOOD), "line 8, parameter E30 (name of E30): address ' ' is not 0x"),
        (ecuparam("E30", {"AA": "0x1234567"}, GOOD), "address '0x1234567' is not 0x and up to 6 digits"),
        (ecuparam("E30", {"AA": "0xFFFFFF"}, GOOD, length=2), "with 2 bytes is beyond 24 bits"),
        (ecuparam("E30", {"AA": "0x1"}, GOOD, length=3), "length '3' is not 1, 2 or 4"),
        (
            ecuparam("E81", {"AA": "0x1"}, 'units="%" expr="x*"'),
            "line 10, parameter E81 (name of E81): 'x*': a",
        ),
        (ecuparam("E81", {"AA": "0x1"}, 'units="%" expr="y"'), "no name 'y'; known: x, if(…), BitWise(…)"),
        (ecuparam("E81", {"AA": "0x1"}, 'units="%"'), "a number, x or ( is expected"),
        (
            ecuparam("E81", {"AA": "0x1"}, GOOD + ' storagetype="float"'),
            "storagetype 'float' does not fit 1 b",
        ),
        (ecuparam("E81", {"AA": "0x1"}, GOOD + ' storagetype="text"'), "storagetype 'text' does not fit"),
        (ecuparam("E81", {"AA": "0x1"}, GOOD + ' endian="pdp"'), "endian 'pdp' is not big or little"),
        (
            ecuparam("E3", {"AA": "0x1"}, 'units="status" expr="(x"'),
            "parameter E3 (name of E3): '(x': ')' is",
        ),
    ],
)
def test_what_is_malformed_is_named_with_file_line_and_parameter(
    tmp_path: Path, entry: str, words: str
) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(PROLOGUE + entry + EPILOGUE, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        read_definition(path, "AA")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"definition {path}, line ")
    assert read_definition(path, "BB") == EcuParameters()


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, ATTRIBUTES])
def test_declarations_are_refused_before_anything_is_expanded(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"bomb.xml: it declares entities or elements .*no definition"):
        read_definition(path, "1B14400505")


def test_nesting_and_size_have_their_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep.xml"
    path.write_text("<a>" * 1000, encoding="utf-8")
    with pytest.raises(DefinitionError, match="nested more than 32 deep"):
        read_definition(path, "AA")
    monkeypatch.setattr("drivers.ssm_definition.MAX_BYTES", 100)
    with pytest.raises(DefinitionError, match="more than 100 bytes are no definition"):
        read_definition(path, "AA")


@pytest.mark.parametrize(
    "text",
    ["", "<logger>", "no XML", "<logger>\0</logger>", '<?xml version="1.0" encoding="utf-7"?><a/>',
     '<?xml version="1.0" encoding="shift_jis"?><a/>', '<?xml version="1.0" encoding="nosuch"?><a/>'],
)  # fmt: skip
def test_what_is_no_definition(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"definition .*broken.xml: "):
        check_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"nosuch.xml: No such file"):
        check_file(tmp_path / "nosuch.xml")


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_give_an_answer_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = bytearray(DEFINITION.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=10))
    path = tmp_path_factory.getbasetemp() / "any.xml"
    path.write_bytes(bytes(text))
    with contextlib.suppress(DefinitionError):
        for parameter in read_definition(path, "3152584006").parameters:
            parameter.decode(0x41)


@pytest.mark.parametrize("make", [can_driver, kline_driver])
def test_a_file_that_is_not_there_is_told_before_anything_is_opened(make, tmp_path: Path) -> None:
    with pytest.raises(DriverOptionError, match=r"option definition: /no/such\.xml: no such file"):
        make("x", definition="/no/such.xml")
    with pytest.raises(DriverOptionError, match="no such file"):
        make("x", definition=str(tmp_path))


def test_what_the_definition_says_goes_before_what_we_know(definition: Path) -> None:
    ours = ecu_parameters("3152584006", None)
    assert ours.loop_address == 0xFFBC39
    assert {p.channel: p.address for p in ours.parameters} == {
        "stft_pct": 0xFFAB54, "ltft_pct": 0xFFAC9C, "lambda_": 0xFFA7DC, "lambda_target": 0xFFAAA8,
    }  # fmt: skip
    both = ecu_parameters("1B14400505", definition)
    assert {p.channel for p in both.parameters} == {
        "stft_pct", "ltft_pct", "lambda_", "lambda_target", "load_g_rev",
    }  # fmt: skip
    assert ecu_parameters("0000000000", None) == EcuParameters()


def test_our_own_few_decode_as_a_definition_does(definition: Path) -> None:
    """Two descriptions of the same memory: published formulas, and the same in a generated file."""
    for ecu_id in ("1B14400505", "3152584006"):
        theirs = {p.channel: p for p in read_definition(definition, ecu_id).parameters}
        for parameter in ecu_parameters(ecu_id, None).parameters:
            other = theirs.get(parameter.channel)
            if other is None:
                continue
            assert (other.address, other.length) == (parameter.address, parameter.length)
            for raw in (8448, 960, 1, raw_float(1.02)):
                if raw < 1 << 8 * parameter.length:
                    assert other.decode(raw) == pytest.approx(parameter.decode(raw), nan_ok=True)


def test_own_parameters_never_make_a_request_too_long() -> None:
    many = [Parameter(f"c{n}", 0x20000 + 8 * n, 4, float) for n in range(9)]
    taken = fitting(PARAMETERS, many)
    plan = ReadingPlan("X", PARAMETERS, 0xFF0000, asks_obd=False, own=taken)
    assert len(plan.request.addresses) <= MAX_ADDRESSES
    assert taken == tuple(many[: len(taken)])
    assert len(taken) == 4


STANDARD = tuple(p for p in PARAMETERS if p.channel in {"maf_v", "stft_pct", "ltft_pct"})


@given(st.integers(0, 255), st.floats(-60.0, 60.0))
def test_an_own_trim_counts_only_within_a_step_of_the_standard_one(byte: int, direct_pct: float) -> None:
    own = Parameter("stft_pct", 0xFFAB54, 4, lambda raw: raw / 1e6 - 100.0)
    plan = ReadingPlan("X", STANDARD, None, asks_obd=False, own=(own,))
    raw = bytes((80, byte, 128)) + round((direct_pct + 100.0) * 1e6).to_bytes(4, "big")
    values = dict(zip(plan.channels, plan.values(raw), strict=True))
    standard = (byte - 128) * 100.0 / 128.0
    expected = direct_pct if abs(direct_pct - standard) < 0.79 else standard
    assert values["stft_pct"] == pytest.approx(expected, abs=1e-5)
    assert abs(values["stft_pct"] - standard) < 0.79


def memory_of(values: dict[int, int]):
    """An ECU that only the definition knows, with bytes at its own addresses."""
    unknown = INIT_A.replace(bytes.fromhex("1B14400505"), bytes.fromhex("1B14400405"))

    def ecu(request: bytes) -> list[bytes]:
        if request[0] == 0x01:
            return [b"\x7f\x01\x11"]
        return [unknown if request == b"\xaa" else values_of(request, dict(VALUES) | values)]

    return ecu


async def test_an_ecu_that_only_the_definition_knows_gives_its_loop_state(definition: Path) -> None:
    channel = new_channel()
    with fake_ecu(channel, memory_of({})):
        source = can_driver(channel, definition=str(definition))
        batch = await take_can(source, 2)
        assert batch["fuel_loop"][0] == 2.0
        assert source.describe().endswith("ECU 1B14400405, loop state from RAM 021054")
        without = can_driver(channel)
        assert "fuel_loop" not in (await take_can(without, 2)).delivered


async def test_fine_trims_and_the_commanded_mixture_come_from_memory(tmp_path: Path) -> None:
    path = tmp_path / "fine.xml"
    known = {"1B14400405": "0x209EA"}
    path.write_text(
        PROLOGUE
        + ecuparam("E30", known, 'units="%" expr="x*0.01220703125-100"', length=2)
        + ecuparam("E75", {"1B14400405": "0x20ADE"}, 'units="Lambda" expr="2048/x"', length=2)
        + EPILOGUE
    )
    raw = round(103.4 / 0.01220703125)
    memory = {0x0209EA: raw >> 8, 0x0209EB: raw & 0xFF, 0x020ADE: 2048 >> 8, 0x020ADF: 0}
    channel = new_channel()
    with fake_ecu(channel, memory_of(memory)):
        source = can_driver(channel, definition=str(path))
        batch = await take_can(source, 2)
    assert batch["stft_pct"][0] == pytest.approx(3.4, abs=0.01)
    assert batch["ltft_pct"][0] == -3.125
    assert batch["lambda_target"][0] == 1.0
    assert source.describe().endswith("stft_pct, lambda_target from RAM")


async def test_a_definition_that_is_broken_says_so_instead_of_reading_on(tmp_path: Path) -> None:
    path = tmp_path / "broken.xml"
    path.write_text(PROLOGUE + ecuparam("E30", {"1B14400405": "0x1"}, 'units="%" expr="x*("') + EPILOGUE)
    channel = new_channel()
    with (
        fake_ecu(channel, memory_of({})),
        pytest.raises(DeviceUnavailableError, match=r"line 10, parameter E30"),
    ):
        await take_can(can_driver(channel, definition=str(path)), 1)


async def test_on_the_k_line_too(definition: Path) -> None:
    with kline_ecu() as port:
        source = kline_driver(port, definition=str(definition))
        batch = await take_kline(source, 2)
    assert batch["fuel_loop"][0] == 2.0
    assert "loop state from RAM FF9921" in source.describe()
