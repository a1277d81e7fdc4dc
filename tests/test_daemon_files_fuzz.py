"""Files a person hands over, damaged by the thousand: an answer or a sentence, at once, in bounded memory.

Together with the fuzzing of logs (100 000 inputs), frame codecs and streams (1 000 000 for each) the long
tests make well over a million inputs.
"""

from __future__ import annotations

import io
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from log_mutations import mutated

from daemon.config.config import ConfigError, load_config
from daemon.ingest.fields import RecordLayouts
from daemon.ingest.records import RecordReader
from drivers.dbc_signals import DbcError, signal_map
from drivers.logs.errors import LogUnreadableError
from drivers.logs.reader import LogReader
from drivers.recording import Kind, Recording, RecordingError, bytes_line, frame_line, note_line
from drivers.ssm_definition import DefinitionError, check_file, read_definition
from lowmaf.maf_table import MafTableError, default_axis
from lowmaf.samples import SampleBatch
from lowmaf.table_text import format_csv, format_romraider, parse_table
from web.ingest_desk import SamplesUnusableError

LONGEST_S = 1.0
MOST_GROWTH_KB = 100_000
Target = Callable[[bytes], str | None]
"""Gives the sentence of the refusal, None where the file was read."""

VOLTS = default_axis().maf_v
FLOW = 1.13 * (VOLTS / 0.94) ** 3.4
TABLES = [
    format_romraider(VOLTS, FLOW).encode(),
    format_romraider(VOLTS, FLOW, decimal_comma=True).encode(),
    format_csv(VOLTS, FLOW).encode(),
    b"V;kg/h\n1,0;4,2\n1,5;9,9\n4,5;900\n",
    b'{"maf_v": [1.0, 2.0, 3.0], "flow_gs": [2.0, 20.0, 80.0]}',
]
DEFINITION = b"""<?xml version="1.0"?><!DOCTYPE logger SYSTEM "logger.dtd"><logger version="1">
<protocols><protocol id="SSM"><ecuparams>
<ecuparam id="E33" name="CL/OL Fueling" desc="x" target="1">
<ecu id="4D12044006,4D12044007"><address>0x020E17</address></ecu>
<conversions><conversion units="" expr="x" format="0" storagetype="uint8"/></conversions></ecuparam>
<ecuparam id="E31" name="Fuel" desc="y" target="1"><ecu id="4D12044006">
<address length="4">0x020A00</address></ecu>
<conversions><conversion units="AFR" expr="14.7/(1+x*0.0005)" storagetype="float" endian="big"/></conversions>
</ecuparam></ecuparams></protocol></protocols></logger>"""


RECORDING = "".join([
    note_line(0.0, "lowmaf-recording", "1"),
    note_line(0.0, "driver", "ssm-kline"),
    *(bytes_line(0.1 * n, "tty", b"\x80\x10\xf0\x01" + bytes([n]), Kind.SENT) for n in range(20)),
    *(frame_line(2.0 + 0.1 * n, "can0", 0x7E8, bytes([2, n]), Kind.CAME) for n in range(20)),
]).encode()  # fmt: skip
RECORDS = [
    b"".join(
        b'{"t_s": %.1f, "maf_v": %.2f, "stft_pct": -1.5, "ltft_pct": 0.5, "fuel_loop": 1, "x": [1, {}]}\n'
        % (0.1 * n, 1.5 + 0.01 * n)
        for n in range(60)
    ),
    b"".join(
        b'{"Time (s)":"00:00:%02d.%d","MAF Voltage (V)":1.8,"STFT (%%)":null,"LTFT (%%)":1,"rpm":"900"}\r\n'
        % (n // 10, n % 10)
        for n in range(60)
    ),
]
CSV = b"Time (sec),MAF Voltage (V),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL (status)\n" + b"".join(
    b"%.1f,1.8,1.5,0.5,8\n" % (0.1 * n) for n in range(60)
)


def maf_table(folder: Path) -> Target:
    def read(content: bytes) -> str | None:
        try:
            table = parse_table(content.decode("utf-8", "replace"), "pasted")
        except MafTableError as error:
            return str(error)
        assert table.cells >= 2
        return None

    return read


def config(folder: Path) -> Target:
    path = folder / "lowmaf.toml"

    def read(content: bytes) -> str | None:
        path.write_bytes(content)
        try:
            load_config(path, {})
        except ConfigError as error:
            return str(error).replace("\n", " ")  # one line for each of several errors
        return None

    return read


def definition(folder: Path) -> Target:
    path = folder / "logger.xml"

    def read(content: bytes) -> str | None:
        path.write_bytes(content)
        try:
            check_file(path)
            found = read_definition(path, "4D12044006")
        except DefinitionError as error:
            return str(error)
        assert found is not None
        return None

    return read


def dbc(folder: Path) -> Target:
    path = folder / "bus.dbc"
    wanted = {
        "maf_v": "MafVoltage",
        "stft_pct": "ShortTrim",
        "ltft_pct": "LongTrim",
        "fuel_loop": "LoopState",
    }

    def read(content: bytes) -> str | None:
        path.write_bytes(content)
        try:
            found = signal_map(path, wanted)
        except DbcError as error:
            return str(error)
        assert found.names.keys() >= wanted.keys()
        return None

    return read


def recording(folder: Path) -> Target:
    path = folder / "drive.rec"

    def read(content: bytes) -> str | None:
        path.write_bytes(content)
        try:
            found = Recording(path)
        except RecordingError as error:
            return str(error)
        while (event := found.take()) is not None:
            assert event.at_s >= 0.0
        found.close()
        return None

    return read


def as_samples(batches: list[SampleBatch]) -> None:
    for batch in batches:
        assert all(values.shape == batch.t_s.shape for values in batch.channels.values())


def pushed_records(_folder: Path) -> Target:
    layouts = RecordLayouts()  # kept from one body to the next, as the daemon does

    def read(content: bytes) -> str | None:
        reader = RecordReader(layouts)
        at_once = 1 + len(content) // 3
        try:
            found = [reader.feed(content[at : at + at_once]) for at in range(0, len(content), at_once)]
            as_samples([batch for batch in (*found, *reader.finish()) if batch is not None])
        except SamplesUnusableError as error:
            return str(error)
        assert reader.valid + reader.invalid > 0
        return None

    return read


class Stream(io.BytesIO):
    """A body: there is no way back in it."""

    def seekable(self) -> bool:
        return False


def pushed_csv(_folder: Path) -> Target:
    def read(content: bytes) -> str | None:
        try:
            as_samples(list(LogReader(Stream(content), "the body", read_bytes=1000).batches()))
        except LogUnreadableError as error:
            return str(error)
        return None

    return read


def seeds(name: str, project: Path) -> list[bytes]:
    if name == "config":
        return [
            (project / "config.example.toml").read_bytes(),
            b'[source]\ndriver = "ssm-kline"\nport = "/dev/x"\n[filters]\nmin_ect_c = "off"\n',
            b'[web]\nhost_names = ["pi"]\nport = 8000\n[[second_source]]\ndriver = "wideband"\n',
        ]
    return {
        "maf_table": TABLES,
        "definition": [DEFINITION],
        "dbc": [(project / "tests" / "recordings" / "broadcast.dbc").read_bytes()],
        "recording": [RECORDING],
        "pushed_records": RECORDS,
        "pushed_csv": [CSV],
    }[name]


TARGETS = {
    "maf_table": maf_table,
    "config": config,
    "definition": definition,
    "dbc": dbc,
    "recording": recording,
    "pushed_records": pushed_records,
    "pushed_csv": pushed_csv,
}
COUNTS = {
    "maf_table": (1_500, 200_000),
    "config": (60, 10_000),
    "definition": (400, 100_000),
    "dbc": (40, 4_000),
    "recording": (400, 50_000),
    "pushed_records": (300, 50_000),
    "pushed_csv": (200, 50_000),
}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param(name, count, id=f"{name}-{count}", marks=[pytest.mark.long] if long else [])
        for name, counts in COUNTS.items()
        for long, count in enumerate(counts)
    ],
)
def test_damaged_files_give_an_answer_or_a_sentence(
    name: str, count: int, project: Path, tmp_path: Path
) -> None:
    chance = random.Random(f"{name} {count}")
    read, contents = TARGETS[name](tmp_path), seeds(name, project)
    assert [read(content) for content in contents] == [None] * len(contents), "the undamaged ones are read"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answered = 0
    for number in range(count):
        content = mutated(contents, chance)
        begun_s = time.process_time()
        refusal = read(content)
        spent_s = time.process_time() - begun_s
        answered += refusal is None
        assert refusal is None or (refusal and "\n" not in refusal), content[:200]
        assert spent_s < LONGEST_S, f"input {number} took {spent_s:.1f} s: {content[:200]!r}"
    print(f"{name}: {count} inputs, {answered} of them read, none crashed or hung")
    assert 0 < answered < count, "neither all nor nothing is refused"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < MOST_GROWTH_KB
