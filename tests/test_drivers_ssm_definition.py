"""Logger definitions: published addresses found by ECU id, the rest left alone, hostile XML refused."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_drivers_ssm_can import INIT_A, fake_ecu, new_channel, values_of
from test_drivers_ssm_can import driver as can_driver
from test_drivers_ssm_can import take as take_can
from test_drivers_ssm_kline import driver as kline_driver
from test_drivers_ssm_kline import simulated_ecu as kline_ecu
from test_drivers_ssm_kline import take as take_kline

from drivers.base import DeviceUnavailableError, DriverOptionError
from drivers.ssm_definition import loop_address

DEFINITION = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE logger SYSTEM "logger.dtd">
<logger version="1"><protocols><protocol id="SSM" baud="4800">
<parameters><parameter id="P8" name="Engine Speed"><address length="2">0x00000E</address></parameter>
</parameters>
<ecuparams>
  <ecuparam id="E2" name="Load"><ecu id="1B14400505"><address length="2">0x20AAA</address></ecu>
    <conversions><conversion units="g/rev" expr="x*6.1035e-5"/></conversions></ecuparam>
  <ecuparam id="E3" name="CL/OL Fueling*">
    <ecu id="1B14400405, 1B14400505"><address>0x21054</address></ecu>
    <ecu id="AAAAAAAAAA"><address>junk</address></ecu>
    <conversions><conversion units="status" expr="x + 6" format="0"/></conversions></ecuparam>
  <ecuparam id="E33" name="CL/OL Fueling*">
    <ecu id="3152584006"><address>0xFFBC39</address></ecu>
    <ecu id="4d12044006"><address length="1">0xFF9921</address></ecu>
    <ecu id="BBBBBBBBBB"><address length="4">0xFF0001</address></ecu>
    <conversions><conversion units="status" expr="x+6"/></conversions></ecuparam>
  <ecuparam id="E33" name="another scaling"><ecu id="CCCCCCCCCC"><address>0xFF0002</address></ecu>
    <conversions><conversion units="status" expr="x"/></conversions></ecuparam>
</ecuparams></protocol></protocols></logger>
"""
BOMB = """<!DOCTYPE logger [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><logger>&c;</logger>"""
OUTSIDE = """<!DOCTYPE logger [<!ENTITY x SYSTEM "file:///etc/passwd">]><logger>&x;</logger>"""


@pytest.fixture
def definition(tmp_path: Path) -> str:
    path = tmp_path / "logger.xml"
    path.write_text(DEFINITION, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("ecu_id", "address"),
    [
        ("1B14400505", 0x021054),
        ("1B14400405", 0x021054),
        ("3152584006", 0xFFBC39),
        ("4D12044006", 0xFF9921),
        ("AAAAAAAAAA", None),
        ("BBBBBBBBBB", None),
        ("CCCCCCCCCC", None),
        ("0000000000", None),
    ],
)
def test_the_loop_state_is_found_by_ecu_id(definition: str, ecu_id: str, address: int | None) -> None:
    assert loop_address(definition, ecu_id) == address


@pytest.mark.parametrize("text", [BOMB, OUTSIDE])
def test_entities_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text(text, encoding="utf-8")
    started_s = time.monotonic()
    with pytest.raises(
        DeviceUnavailableError, match=r"bomb.xml: it declares an entity .*no definition needs"
    ):
        loop_address(str(path), "1B14400505")
    assert time.monotonic() - started_s < 1.0


@pytest.mark.parametrize("text", ["", "<logger>", "no XML", "<logger>\0</logger>"])
def test_what_is_no_definition(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceUnavailableError, match=r"definition .*broken.xml: "):
        loop_address(str(path), "1B14400505")


@given(st.binary(max_size=200))
def test_any_bytes_give_an_answer_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.xml"
    path.write_bytes(data)
    with contextlib.suppress(DeviceUnavailableError):
        assert loop_address(str(path), "1B14400505") is None


@pytest.mark.parametrize("make", [can_driver, kline_driver])
def test_a_file_that_is_not_there_is_told_before_anything_is_opened(make, tmp_path: Path) -> None:
    with pytest.raises(DriverOptionError, match=r"option definition: /no/such\.xml: No such file"):
        make("x", definition="/no/such.xml")
    with pytest.raises(DriverOptionError, match="not a file of at most"):
        make("x", definition=str(tmp_path))


async def test_an_ecu_that_only_the_definition_knows_gives_its_loop_state(definition: str) -> None:
    unknown = INIT_A.replace(bytes.fromhex("1B14400505"), bytes.fromhex("1B14400405"))

    def ecu(request: bytes) -> list[bytes]:
        if request[0] == 0x01:
            return [b"\x7f\x01\x11"]
        return [unknown if request == b"\xaa" else values_of(request)]

    channel = new_channel()
    with fake_ecu(channel, ecu):
        source = can_driver(channel, definition=definition)
        batch = await take_can(source, 2)
        assert batch["fuel_loop"][0] == 2.0
        assert source.describe().endswith("ECU 1B14400405, loop state from RAM 021054")
        without = can_driver(channel)
        assert "fuel_loop" not in (await take_can(without, 2)).delivered


async def test_on_the_k_line_too(definition: str) -> None:
    with kline_ecu() as port:
        source = kline_driver(port, definition=definition)
        batch = await take_kline(source, 2)
    assert batch["fuel_loop"][0] == 2.0
    assert "loop state from RAM FF9921" in source.describe()
