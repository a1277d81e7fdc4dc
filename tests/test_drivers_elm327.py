"""The elm327 driver against simulated adapters of every habit, a fake one, a TCP one and a foreign one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from driver_peers import on_port, take
from link_benches import ECT_C, idling_car, standing

from drivers.base import DeviceUnavailableError, DriverOptionError
from drivers.clock import WallClock
from drivers.elm327 import Elm327
from drivers.elm_frames import check_allowed
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.elm_adapter import ElmAdapter, ElmHabits
from drivers.simulator.pty_port import PtyPort

QUICK = {"latency_s": 0.002, "settle_s": 0.002}


@contextmanager
def simulated_adapter(**habits: object) -> Iterator[str]:
    port = PtyPort()
    adapter = ElmAdapter(port, EcuAnswers(idling_car(), standing()), ElmHabits(**{**QUICK, **habits}))
    adapter.start()
    try:
        yield port.path
    finally:
        adapter.stop()


@contextmanager
def fake_adapter(answer: Callable[[str], bytes]) -> Iterator[tuple[str, list[str]]]:
    """Answers each command with the bytes given; yields the port and the commands."""
    seen: list[str] = []
    typed = b""

    def answers(data: bytes) -> Iterator[bytes]:
        nonlocal typed
        *lines, typed = (typed + data).split(b"\r")
        for line in lines:
            seen.append(line.decode())
            yield answer(seen[-1])

    with on_port(answers) as path:
        yield path, seen


def driver(port: str, **options: object) -> Elm327:
    return Elm327({"port": port, "timeout_s": 0.5, "silent_s": 1.0, **options}, WallClock())


HABITS = {
    "by the book": {},
    "knows no counts": {"knows_counts": False},
    "one PID at a time": {"knows_many_pids": False},
    "keeps its echo": {"keeps_echo": True},
    "double prompts": {"double_prompts": True},
    "NULs": {"nuls": True},
    "slow": {"latency_s": 0.15, "settle_s": 0.05},
    "all of it": {"knows_counts": False, "knows_many_pids": False, "keeps_echo": True, "double_prompts": True,
                  "nuls": True},
}  # fmt: skip


@pytest.mark.parametrize("habits", HABITS)
async def test_samples_are_those_of_the_car(habits: str) -> None:
    with simulated_adapter(**HABITS[habits]) as port:
        source = driver(port)
        batch = await take(source, 3)
    assert batch.delivered == {
        "maf_gs", "stft_pct", "ltft_pct", "fuel_loop", "rpm", "lambda_", "lambda_target", "throttle_pct",
        "speed_kmh", "map_kpa", "ect_c", "iat_c", "load_g_rev",
    }  # fmt: skip
    assert np.all(np.diff(batch.t_s) > 0.0)
    assert np.all(batch["fuel_loop"] == 2.0)
    for name in ("maf_gs", "stft_pct", "rpm", "lambda_"):
        assert np.all(np.isfinite(batch[name])), name
    assert batch["ect_c"][-1] == ECT_C or habits in {"one PID at a time", "all of it", "slow"}
    one_by_one = HABITS[habits].get("knows_many_pids") is False
    assert source.describe() == (
        f"OBD through ELM327 {port}, ELM327 V1.5, ECU 7E8, 12 PIDs{', one at a time' if one_by_one else ''}"
    )


async def test_telling_the_number_of_lines_saves_the_wait_for_more() -> None:
    rates = {}
    for knows in (True, False):
        with simulated_adapter(knows_counts=knows, latency_s=0.005, settle_s=0.1) as port:
            batch = await take(driver(port), 8)
        rates[knows] = 6.0 / (batch.t_s[-1] - batch.t_s[-7])
    assert rates[True] > 3.0 * rates[False]


OK = b"OK\r\r>"
REPLIES = {
    "ATZ": b"\r\rELM327 v2.1\r\r>",
    "ATDPN": b"A6\r\r>",
    "0100": b"SEARCHING...\r7E8064100061B8000\r\r>",
}
SAMPLE = b"7E8100E411001900684\r7E821077C0302000C0B\r7E822B8\r\r>"


def car(command: str) -> bytes:
    """MAF 4.00 g/s, trims +3.125 and -3.125, closed loop, 750 rpm; PIDs 06 07 0C 0D 0F 10 11."""
    if command.startswith("AT"):
        return REPLIES.get(command, OK)
    if command.startswith("01100607030C"):
        return SAMPLE
    return REPLIES.get(command, b"NO DATA\r\r>")


def supports(*pids: int) -> bytes:
    flags = sum(1 << 32 - pid for pid in pids)
    return b"7E8064100" + f"{flags:08X}".encode() + b"\r\r>"


REPLIES["0100"] = b"SEARCHING...\r" + supports(0x03, 0x06, 0x07, 0x0C, 0x10)


async def test_known_bytes_give_known_values() -> None:
    with fake_adapter(car) as (port, seen):
        batch = await take(driver(port), 2)
    expected = {"maf_gs": 4.0, "stft_pct": 3.125, "ltft_pct": -3.125, "fuel_loop": 2.0, "rpm": 750.0,
                "load_g_rev": 0.32}  # fmt: skip
    assert batch.delivered == set(expected)
    for name, value in expected.items():
        assert np.all(batch[name] == pytest.approx(value)), name
    assert "01100607030C3" in seen, "the number of lines, once it is known"
    for command in seen:
        check_allowed(command)


@pytest.mark.parametrize(
    ("trouble", "counted"),
    [
        (b"NO DATA\r\r>", "refused"),
        (b"CAN ERROR\r\r>", "refused"),
        (b"BUFFER FULL\r\r>", "refused"),
        (b"STOPPED\r\r>", "refused"),
        (b"7E8100E411001900684\r7E822B8\r\r>", "bad_frames"),
        (b"7E8100E411001900684\r7E821077C03<RX ERROR\r\r>", "refused"),
        (b"\xff\xff\x00\r\r>", "bad_frames"),
        (b"7E8037F0112\r\r>", "bad_frames"),
        (b"", "unanswered"),
    ],
)
async def test_trouble_costs_its_sample_and_nothing_is_repeated(trouble: bytes, counted: str) -> None:
    asked = 0

    def troubled(command: str) -> bytes:
        nonlocal asked
        if not command.startswith("0110"):
            return b"\r>" if command == "" else car(command)
        asked += 1
        return trouble if asked % 4 == 0 else SAMPLE.replace(b"0190", f"{asked:04X}".encode())

    with fake_adapter(troubled) as (port, _):
        source = driver(port, timeout_s=0.1)
        batch = await take(source, 8)
    flows = np.round(batch["maf_gs"] * 100.0)
    assert np.all(np.diff(flows) >= 1.0)
    assert not np.any(flows % 4 == 0)
    assert getattr(source.counts, counted) >= 1


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (b"\x8f\x1bV\xffX\x9c\r>", "is no text of an ELM327: is this its port, is its baud rate another?"),
        (b"SEARCHING...\rUNABLE TO CONNECT\r\r>", "the car does not: UNABLE TO CONNECT. Is the ignition on?"),
        (b"BUS INIT: ...ERROR\r\r>", "the adapter answers but the car does not: "),
        (supports(0x0B, 0x0C), "ECU 7E8 offers rpm, map_kpa; stft_pct (PID 06) and maf_gs"),
    ],
)
async def test_a_car_that_cannot_be_read_is_said_to_be_so(search: bytes, words: str) -> None:
    with (
        fake_adapter(lambda command: search if command == "0100" else car(command)) as (port, _),
        pytest.raises(DeviceUnavailableError) as caught,
    ):
        await take(driver(port), 1)
    assert words in str(caught.value)


async def test_no_adapter_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.elm_session._RESET_S", 0.3)
    with (
        fake_adapter(lambda _: b"") as (port, _),
        pytest.raises(DeviceUnavailableError, match="no ELM327 answers: the adapter shows no prompt"),
    ):
        await take(driver(port, timeout_s=0.1), 1)


@pytest.mark.parametrize("command", ["ATE0", "ATSP0", "ATDPN", "ATSH7E0"])
async def test_an_adapter_that_falls_silent_while_it_is_set_up(command: str) -> None:
    with (
        fake_adapter(lambda typed: b"" if typed in {command, ""} else car(typed)) as (port, _),
        pytest.raises(DeviceUnavailableError, match="no ELM327 answers"),
    ):
        await take(driver(port, timeout_s=0.1), 1)


async def test_an_adapter_that_starts_anew_is_set_up_anew() -> None:
    asked = 0

    def dips(command: str) -> bytes:
        nonlocal asked
        asked += command.startswith("0110")
        return REPLIES["ATZ"] if command.startswith("0110") and asked > 5 else car(command)

    with (
        fake_adapter(dips) as (port, _),
        pytest.raises(DeviceUnavailableError, match="the adapter has started anew"),
    ):
        await take(driver(port), 100)


async def test_of_two_ecus_the_one_with_trims_and_air_flow_is_asked_alone() -> None:
    both = b"7E9064100000A0000\r" + supports(0x03, 0x06, 0x07, 0x0C, 0x10)
    with fake_adapter(lambda command: both if command == "0100" else car(command)) as (port, seen):
        source = driver(port)
        await take(source, 1)
    assert "ECU 7E8" in source.describe()
    assert "ATSH7E0" in seen


async def test_an_old_bus_is_read_one_pid_at_a_time_with_checksums() -> None:
    def line(data: str) -> bytes:
        whole = bytes.fromhex("486B10" + data)
        return (whole + bytes((sum(whole) & 0xFF,))).hex(" ").upper().encode() + b" \r\r>"

    data = {"0100": "4100" + f"{sum(1 << 32 - pid for pid in (3, 6, 7, 12, 16)):08X}", "0110": "41100190",
            "0106": "410684", "0107": "41077C", "0103": "41030200", "010C": "410C0BB8"}  # fmt: skip

    def old_car(command: str) -> bytes:
        if command == "ATDPN":
            return b"A3\r\r>"
        return (
            line(data[command])
            if command in data
            else REPLIES.get(command, OK)
            if "AT" in command
            else b"?\r\r>"
        )

    with fake_adapter(old_car) as (port, _):
        source = driver(port)
        batch = await take(source, 2)
    assert np.all(batch["maf_gs"] == 4.0)
    assert np.all(batch["stft_pct"] == 3.125)
    assert source.describe().endswith("ECU 486B10, 5 PIDs, one at a time")


@contextlib.asynccontextmanager
async def over_tcp(path: str) -> AsyncIterator[str]:
    """A pty behind a TCP port, as a Wi-Fi adapter has it."""
    writers: list[asyncio.StreamWriter] = []
    far = await asyncio.to_thread(open, path, "r+b", buffering=0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        asyncio.get_running_loop().add_reader(far.fileno(), lambda: writer.write(far.read(4096)))
        while data := await reader.read(4096):
            far.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.get_running_loop().remove_reader(far.fileno())
        server.close()
        for writer in writers:
            writer.close()
        far.close()


async def test_an_adapter_in_the_network() -> None:
    with simulated_adapter() as path:
        async with over_tcp(path) as address:
            batch = await take(driver(address), 3)
    assert np.all(batch["fuel_loop"] == 2.0)
    with pytest.raises(DeviceUnavailableError, match=r"tcp://127.0.0.1:\d+ cannot be reached"):
        await take(driver(address), 1)


@pytest.mark.parametrize(
    "port", ["tcp://host", "tcp://:35000", "http://host:1", "tcp://host:x", "tcp://h:1/path"]
)
def test_addresses_that_cannot_be(port: str) -> None:
    with pytest.raises(DriverOptionError, match="allowed are a serial port and tcp://host:port"):
        driver(port)


@pytest.fixture
def foreign_adapter(tmp_path: Path) -> Iterator[str]:
    """ELM327-emulator, a program of somebody else's."""
    program = shutil.which("elm", path=os.environ.get("ELM327_EMULATOR_PATH", os.environ.get("PATH")))
    if program is None:
        pytest.skip(
            "no ELM327-emulator: it cannot share our environment; name its folder in ELM327_EMULATOR_PATH"
        )
    output = tmp_path / "elm.txt"
    with output.open("wb") as file:
        emulator = subprocess.Popen(
            [program, "-s", "car", "-b", str(tmp_path / "batch.txt")],
            cwd=tmp_path, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 20.0
        while time.monotonic() < deadline_s and emulator.poll() is None:
            written = output.read_text() + "".join(path.read_text() for path in tmp_path.glob("batch*"))
            found = [word.strip(".'\",") for word in written.split() if "/dev/pts/" in word]
            if found:
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"ELM327-emulator named no port: {output.read_text()[-300:]}")
        yield found[0]
    finally:
        emulator.terminate()
        emulator.wait(10.0)


async def test_an_emulator_of_somebody_elses_is_read(foreign_adapter: str) -> None:
    batch = await take(driver(foreign_adapter, timeout_s=3.0, silent_s=5.0), 5)
    assert {"maf_gs", "stft_pct", "rpm"} <= batch.delivered
    assert np.all(np.isfinite(batch["maf_gs"]))
    assert np.all(batch["maf_gs"] > 0.0)
