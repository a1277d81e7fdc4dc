"""Recorded logs: every shape gives what it must, in any chunking, and damage never crashes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib
import time
import zipfile

import log_expectations
import log_samples
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.logs.errors import LogUnreadableError
from drivers.logs.reader import LogReader
from lowmaf.samples import FuelLoop, SampleBatch

OWN = json.loads(log_expectations.OWN_NUMBERS.read_text("utf-8"))
SHARED = json.loads(log_expectations.SHARED_NUMBERS.read_text("utf-8"))


def read(content: bytes | str, **options) -> tuple[SampleBatch, LogReader]:
    data = content.encode() if isinstance(content, str) else content
    reader = LogReader(io.BytesIO(data), "made.csv", **options)
    return SampleBatch.concatenate(reader.batches()), reader


def refused(content: bytes | str, **options) -> str:
    with pytest.raises(LogUnreadableError) as error:
        read(content, **options)
    message = str(error.value)
    assert message.startswith("made.csv")
    assert "\n" not in message
    return message


READABLE = sorted(name for name, numbers in OWN.items() if "refused" not in numbers)
SMALL = "Time (sec),MAF Voltage (V),AF Correction 1 (%),AF Learning 1 (%),CL/OL,RPM (RPM)\n"


def small(*rows: str) -> str:
    return SMALL + "".join(f"{row}\n" for row in rows)


def test_the_recordings_are_those_that_the_samples_write() -> None:
    made = {name: make() for name, make in log_samples.SAMPLES.items()}
    assert {path.name: path.read_bytes() for path in log_expectations.own_logs()} == made


@pytest.mark.parametrize("path", log_expectations.own_logs(), ids=lambda path: path.name)
def test_each_recording_gives_its_expectation(path: pathlib.Path) -> None:
    assert log_expectations.expectation(path) == OWN[path.name]


@pytest.mark.shared_logs
@pytest.mark.skipif(not log_expectations.SHARED.is_dir(), reason="recorded logs are not part of the project")
@pytest.mark.parametrize("name", SHARED)
def test_each_real_log_gives_its_expectation_and_stays_as_it_is(name: str) -> None:
    path = log_expectations.SHARED / name
    before = hashlib.sha256(path.read_bytes()).digest()
    assert log_expectations.expectation(path) == SHARED[name]
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.shared_logs
@pytest.mark.skipif(not log_expectations.SHARED.is_dir(), reason="recorded logs are not part of the project")
def test_no_real_log_is_without_an_expectation() -> None:
    found = {f"{path.parent.name}/{path.name}" for path in log_expectations.shared_logs()}
    assert found == set(SHARED)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(READABLE), st.integers(1, 3000))
def test_samples_do_not_depend_on_how_much_is_read_at_once(name: str, read_bytes: int) -> None:
    content = log_samples.SAMPLES[name]()
    whole, whole_reader = read(content)
    parts, parts_reader = read(content, read_bytes=read_bytes)
    assert parts.t_s.tobytes() == whole.t_s.tobytes()
    assert parts.channels.keys() == whole.channels.keys()
    for channel, values in whole.channels.items():
        assert parts.channels[channel].tobytes() == values.tobytes(), channel
    assert parts_reader.summary == whole_reader.summary


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(log_samples.SAMPLES)),
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=0, max_size=3)), min_size=1, max_size=8),
    st.booleans(),
)
def test_damaged_bytes_give_samples_or_one_line_of_reason(name: str, hits: list, cut: bool) -> None:
    content = bytearray(log_samples.SAMPLES[name]())
    for at, noise in hits:
        at %= len(content)
        content[at : at + 1] = noise
    if cut:
        del content[hits[0][0] % len(content) :]
    reader = LogReader(io.BytesIO(bytes(content)), "damaged.csv")
    reason = ""
    try:
        for batch in reader.batches():
            assert np.isfinite(batch.t_s).all()
    except LogUnreadableError as error:
        reason = str(error)
    assert "\n" not in reason


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes_give_samples_or_a_reason(content: bytes) -> None:
    reader = LogReader(io.BytesIO(content), "any")
    try:
        outcome = f"{sum(len(batch) for batch in reader.batches())} samples"
    except LogUnreadableError as error:
        outcome = str(error)
    assert outcome != "0 samples"
    assert "\n" not in outcome


def packed_gzip(content: bytes) -> bytes:
    half = len(content) // 2
    return gzip.compress(content[:half]) + gzip.compress(content[half:])


def packed_zip(content: bytes) -> bytes:
    store = io.BytesIO()
    with zipfile.ZipFile(store, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._drive.csv", b"noise")
        archive.writestr("logs/drive.csv", content)
    return store.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, packed_gzip, packed_zip])
def test_packed_logs_give_the_same_samples(pack, tmp_path: pathlib.Path) -> None:
    content = log_samples.ecutek()
    path = tmp_path / "drive.csv.packed"
    path.write_bytes(pack(content))
    reader = LogReader(path)
    batch = SampleBatch.concatenate(reader.batches())
    plain, _ = read(content)
    assert batch.t_s.tobytes() == plain.t_s.tobytes()
    assert batch["maf_v"].tobytes() == plain["maf_v"].tobytes()
    assert reader.progress == (path.stat().st_size, path.stat().st_size)


def test_a_cut_gzip_gives_what_there_is_and_says_so() -> None:
    _, reader = read(gzip.compress(log_samples.tactrix())[:-900])
    assert 10 < reader.summary.rows < 140
    assert any("end early" in warning for warning in reader.summary.warnings)


def test_a_damaged_gzip_gives_what_came_before_or_a_reason() -> None:
    noise = np.random.default_rng(1).integers(0, 1000, 20_000)
    rows = "".join(f"{i / 10},1.{digits:03},1,1,8,900\n" for i, digits in enumerate(noise.tolist()))
    damaged = bytearray(gzip.compress((SMALL + rows).encode()))
    damaged[len(damaged) // 2] ^= 0xFF
    _, reader = read(bytes(damaged))
    assert 1000 < reader.summary.rows < 20_000
    assert any("damaged" in warning or "end early" in warning for warning in reader.summary.warnings)
    assert "damaged" in refused(gzip.compress(b"")[:4] + b"\xff" * 40)


def test_a_zip_must_hold_one_log() -> None:
    store = io.BytesIO()
    with zipfile.ZipFile(store, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "2")
    assert "this has 2: a.csv, b.csv" in refused(store.getvalue())
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    assert "the zip archive is empty" in refused(empty.getvalue())
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        for name in ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"):
            archive.writestr(name, "<x/>")
    assert refused(workbook.getvalue()) == "made.csv: this is an Excel workbook: save the sheet as CSV"
    assert "cannot be read" in refused(packed_zip(log_samples.ecutek())[:200])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n \n", "the file is empty"),
        (b"\x7fELF\x02\x01\0\0\0\0\0" * 40, "binary"),
        (b"MLVLG\0\0\2" + bytes(400), "binary MegaSquirt log (.mlg)"),
        (b"hello\nworld\n", "no line names columns: the file begins with 'hello"),
        (SMALL, "no row of data"),
        (SMALL + "1,2\n3,4\n", "rows have 2 fields but there are 6 column names"),
        (small("0,1.2,1,1,8,900", *["1,1.2,1,1,8"] * 4), "rows have 5 fields but there are 6 column names"),
        ("Time (sec),RPM\n1,800\n", "no column for mass air flow (volts or g/s), short-term fuel trim"),
        ("MAF Voltage (V),AF Correction 1 (%),AF Learning 1 (%)\n1,2,3\n", "no column for time"),
        (small("0,0,0,0,0,0", "1,0,0,0,0,0"), "every value is zero"),
        (small("0,1.2,0,0,8,0", "1,1.2,0,0,8,0"), "the engine never ran: RPM (RPM) stays at 0"),
        (small("0,1.2,1,,8,900", "1,1.2,1,,8,900"), "no value that can be read in AF Learning 1 (%)"),
        (small("0,,1,1,8,900", "1,,1,1,8,900"), "no value that can be read in MAF Voltage (V)"),
        (small("x,1.2,1,1,8,900", "y,1.2,1,1,8,900"), "no row of data that can be used; 2 rows: time"),
        (
            "SECONDS;PID;VALUE;UNITS\n1;Drehzahl;2;V\n",
            "Car Scanner writes names in the language of the phone",
        ),
        (log_samples.me7logger(), "ME7-Logger writes the lambda control as factors"),
        (log_samples.hp_tuners_hz(), "Mass Airflow Sensor is a frequency (Hz)"),
        ("a,b\n" + "1" * 1_200_000, "no line end within 1000000 bytes"),
    ],
)
def test_what_cannot_give_a_table_is_refused_with_its_reason(content: bytes | str, reason: str) -> None:
    assert reason in refused(content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(LogUnreadableError, match="cannot be opened"):
            list(LogReader(path).batches())


def test_the_nearest_guess_is_named() -> None:
    text = "Time (sec),MAF Voltge (V),AF Correction 1 (%),AF Learning 1 (%)\n0,1,2,3\n"
    assert "nearest: 'MAF Voltge (V)' for mass air flow" in refused(text)
    batch, _ = read(text + "1,1.5,2,3\n", columns={"maf_v": "MAF Voltge (V)"})
    assert batch["maf_v"].tolist() == [1.0, 1.5]


def test_a_column_that_is_another_channel_is_no_guess_and_a_car_without_a_maf_is_told() -> None:
    names = "Time (sec),A/F Sensor #1 (AFR),Short Term FT (%),Long Term FT (%),RPM"
    assert "nearest" not in refused(f"{names}\n0,14.7,1,1,900\n")
    assert refused(f"{names},MAP (kPa)\n0,14.7,1,1,900,40\n").startswith(
        "made.csv: no column for mass air flow (volts or g/s); it has MAP (kPa): an ECU that computes air "
        "from pressure and speed (speed density) has no MAF table to correct; columns found: Time (sec)"
    )


def test_thousands_of_names_and_very_long_ones_are_refused_at_once() -> None:
    many = ",".join(f"{i} MAF Voltge (V) and {i * i}" for i in range(1000)) + "\n"
    long = ",".join("a fuel trim " * 400 + str(i) for i in range(40)) + "\n"
    for text in (many, long):
        started_s = time.process_time()
        assert "no column for" in refused(text + "1,2,3\n")
        assert "no column" in refused(text + "1,2,3\n", columns={"maf_v": "MAF Voltage" * 50})
        assert time.process_time() - started_s < 3.0
    assert "it has 20000 columns, and at most 1000 are read" in refused("a," * 19_999 + "b\n1,2,3\n")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"maf_v": "MAF Volts"}, "no column 'MAF Volts' for maf_v; nearest is 'MAF Voltage (V)'"),
        ({"volts": "MAF Voltage (V)"}, "no column role 'volts'"),
    ],
)
def test_a_column_that_is_not_there_is_refused(columns: dict[str, str], reason: str) -> None:
    assert reason in refused(small("0,1.2,1,1,8,900"), columns=columns)


def test_a_chosen_column_wins_and_is_used_for_nothing_else() -> None:
    text = "Time (sec),MAF Voltage (V),other,AF Correction 1 (%),AF Learning 1 (%),CL/OL\n0,1.2,2.2,1,1,8\n"
    batch, reader = read(text + "1,1.3,2.3,1,1,8\n", columns={"maf_v": "OTHER"})
    assert batch["maf_v"].tolist() == [2.2, 2.3]
    assert reader.summary.columns["maf_v"] == "other"


def test_a_log_without_a_flag_is_inferred_said_and_refused_on_demand() -> None:
    batch, reader = read(log_samples.cobb_no_flag())
    assert set(np.unique(batch["fuel_loop"])) == {FuelLoop.CLOSED, FuelLoop.OPEN_LOAD}
    assert any("closed loop: where" in words for words in reader.summary.inferred)
    assert any("no closed-loop flag" in words for words in reader.summary.warnings)
    assert "--require-flag" in refused(log_samples.cobb_no_flag(), require_flag=True)
    read(log_samples.tactrix(), require_flag=True)


def test_a_switch_that_stays_on_while_the_mixture_is_rich_does_not_count() -> None:
    batch, _ = read(log_samples.cobb_switch())
    rich = batch["lambda_target"] < 0.9
    assert rich[:90].any()
    assert (batch["fuel_loop"][rich] == FuelLoop.OPEN_LOAD).all()
    assert (batch["fuel_loop"][91:] == FuelLoop.OPEN_LOAD).all()
    assert (batch["fuel_loop"][:90][~rich[:90]] == FuelLoop.CLOSED).all()


def test_a_switch_without_the_commanded_mixture_is_warned_of() -> None:
    text = SMALL.replace("CL/OL", "Closed Loop Sw (on/off)") + "0,1.2,1,1,on,900\n1,1.2,1,1,off,900\n"
    batch, reader = read(text)
    assert batch["fuel_loop"].tolist() == [FuelLoop.CLOSED, FuelLoop.OPEN_LOAD]
    assert any("switch alone" in warning for warning in reader.summary.warnings)


def test_fahrenheit_that_nothing_states_is_found_and_said() -> None:
    batch, reader = read(log_samples.tactrix())
    assert batch["iat_c"][0] == pytest.approx(17.0)
    assert any("IAT is read as °F" in warning for warning in reader.summary.warnings)
    assert any(words.startswith("IAT: no unit: °F because") for words in reader.summary.inferred)


def test_a_warming_wide_band_is_never_a_lambda() -> None:
    header = "time,AFC,AFL,MAF(V),CL/OL,wbo2,FFB\n"
    rows = [f"{i / 10},0.78,0,1.5,8,{10.17 if i < 20 else 14.55},14.7\n" for i in range(40)]
    batch, reader = read(header + "".join(rows))
    assert reader.summary.columns["lambda_"] == "wbo2"
    assert np.isnan(batch["lambda_"][:20]).all()
    assert batch["lambda_"][20:] == pytest.approx(14.55 / 14.7)
    both = header.replace("wbo2", "wbo2,AFR")
    batch, reader = read(both + "".join(row.replace(",14.7\n", ",14.6,14.7\n") for row in rows))
    assert reader.summary.columns["lambda_"] == "AFR"
    assert batch["lambda_"] == pytest.approx(14.6 / 14.7)


def test_a_lambda_without_its_target_is_not_delivered() -> None:
    text = "time,AFC,AFL,MAF(V),CL/OL,AFR\n0,0.78,0,1.5,8,14.7\n1,0.78,0,1.5,8,14.7\n"
    batch, reader = read(text)
    assert "lambda_" not in batch.delivered
    assert any("AFR is not used" in warning for warning in reader.summary.warnings)


def test_obd_load_is_never_taken_for_g_per_rev() -> None:
    text = small("0,1.2,1,1,8,900", "1,1.2,1,1,8,900").replace("RPM (RPM)", "Engine Load(%)")
    assert "load_g_rev" not in read(text)[0].delivered
    unlabelled = small("0,1.2,1,1,8,9", "1,1.2,1,1,8,8").replace("RPM (RPM)", "ENGINE_LOAD ()")
    assert "load_g_rev" not in read(unlabelled)[0].delivered


def test_units_change_where_the_names_are_repeated() -> None:
    batch, reader = read(log_samples.romraider_semicolon())
    assert batch["ect_c"] == pytest.approx(85.0)
    assert reader.summary.rows == 120
    assert reader.summary.unusable == {}
    assert reader.summary.converted == ("Time (msec): ms to s", "Coolant Temperature (F): °F to °C")


def test_another_loggers_lines_after_a_log_are_read_by_their_own_names() -> None:
    """As many fields in another order: read by the first names they would be silently wrong."""
    other = "timestamp,RPM (RPM),CL/OL,AF Learning 1 (%),AF Correction 1 (%),MAF Voltage (V)\n"
    batch, reader = read(small("0,1.2,1,1,8,900", "1,1.3,1,1,8,900") + other + "2,950,8,5,6,1.4\n")
    assert batch["maf_v"].tolist() == [1.2, 1.3, 1.4]
    assert batch["stft_pct"].tolist() == [1.0, 1.0, 6.0]
    assert batch["rpm"].tolist() == [900.0, 900.0, 950.0]
    assert reader.summary.unusable == {}


def test_a_column_that_goes_or_moves_at_repeated_names_is_followed() -> None:
    first = small("0,1.2,1,1,8,900", "1,1.3,1,1,8,900")
    moved = "Time (sec),AF Learning 1 (%),AF Correction 1 (%),CL/OL,MAF Voltage (V)\n2,5,6,8,1.4\n"
    batch, _ = read(first + moved)
    assert batch["maf_v"].tolist() == [1.2, 1.3, 1.4]
    assert batch["stft_pct"].tolist() == [1.0, 1.0, 6.0]
    assert np.isnan(batch["rpm"][2])


def test_a_row_that_only_begins_like_the_names_is_a_row() -> None:
    text = small("0,1.2,1,1,8,900", "1,1.2,1,1,8,900")
    text = (
        text.replace("Time (sec)", "note,Time (sec)")
        .replace("\n0,", "\nnote 1,0,")
        .replace("\n1,", "\nnote,1,")
    )
    batch, reader = read(text)
    assert batch.t_s.tolist() == [0.0, 1.0]
    assert reader.summary.rows == 2


def test_stitched_drives_follow_each_other_after_a_gap() -> None:
    batch, reader = read(log_samples.stitched())
    assert (np.diff(batch.t_s) > 0).all()
    assert reader.summary.gaps == 1
    assert any("time goes back at one place" in warning for warning in reader.summary.warnings)


def test_an_empty_or_infinite_cell_is_not_measured() -> None:
    batch, reader = read(log_samples.unit_row())
    assert np.flatnonzero(np.isnan(batch["maf_v"])).tolist() == [5, 6]
    assert batch["maf_v"][0] == pytest.approx(1.6)
    assert any("1 value of MAF sensor voltage cannot be read" in w for w in reader.summary.warnings)


def test_g_per_s_without_volts_is_delivered_as_such() -> None:
    batch, reader = read(log_samples.btssm())
    assert "maf_v" not in batch.delivered
    assert "maf_gs" in batch.delivered
    assert any("no MAF voltage" in warning for warning in reader.summary.warnings)
    assert reader.summary.unusable == {"fewer fields than column names": 1}


def test_one_value_per_row_becomes_a_row_per_reading_of_the_air_flow() -> None:
    batch, reader = read(log_samples.car_scanner())
    moments = log_samples.drive(120, 0.4)
    assert batch["maf_gs"].tolist() == [moment.flow for moment in moments]
    assert batch["stft_pct"].tolist() == [moment.short for moment in moments]
    assert (np.diff(batch.t_s) > 0).all()
    assert reader.summary.gaps == 0


def test_a_channel_that_is_no_longer_asked_for_is_not_measured() -> None:
    rows = ["0;Short term fuel trim;1.5;%", "0;Long term fuel trim;2;%", "0;Engine RPM;900;rpm"]
    rows += [f"{0.5 * i};MAF (g/s);{5 + i};g/s" for i in range(8)]
    batch, _ = read("SECONDS;PID;VALUE;UNITS\n" + "\n".join(rows) + "\n")
    assert np.isfinite(batch["stft_pct"]).tolist() == [True] * 5 + [False] * 3


def test_feedback_around_100_is_a_trim_and_the_trim_that_is_not_there_is_zero() -> None:
    batch, reader = read(log_samples.megasquirt())
    assert batch["stft_pct"].tolist() == pytest.approx([m.short for m in log_samples.drive(110, 0.07)])
    assert set(batch["ltft_pct"]) == {0.0}
    assert any("no closed-loop flag" in words for words in reader.summary.warnings)
    assert any("this kind of ECU has none" in words for words in reader.summary.inferred)
    assert "--require-flag" in refused(log_samples.megasquirt(), require_flag=True)


def test_wanted_channels_are_read_as_if_all_were() -> None:
    content = log_samples.ecutek()
    everything, _ = read(content)
    wanted, _ = read(content, channels=("maf_v", "stft_pct", "ltft_pct", "fuel_loop"))
    assert wanted.delivered == {"maf_v", "stft_pct", "ltft_pct", "fuel_loop"}
    assert wanted.t_s.tobytes() == everything.t_s.tobytes()
    for name, values in wanted.channels.items():
        assert values.tobytes() == everything[name].tobytes()
    inferred, _ = read(log_samples.cobb_no_flag(), channels=("maf_v",))
    assert inferred["fuel_loop"].tobytes() == read(log_samples.cobb_no_flag())[0]["fuel_loop"].tobytes()


def test_negative_zero_and_trailing_commas_are_plain_values() -> None:
    batch, reader = read(small("0,1.2,-0.0,1,8,900,", "1,1.2,-.5,1,8,900,,"))
    assert batch["stft_pct"].tolist() == [0.0, -0.5]
    assert reader.summary.unusable == {}


def test_a_value_beyond_all_numbers_in_our_unit_is_no_crash() -> None:
    text = small("0,1.2,1,1,8,900", "1,1.2,1,1,8,1.7e308").replace("RPM (RPM)", "Vehicle Speed (mph)")
    assert read(text)[0]["speed_kmh"].tolist() == pytest.approx([900 * 1.609344, np.inf])


def test_rows_that_are_too_long_or_too_short_are_counted() -> None:
    rows = ["0,1.2,1,1,8,900", "1,1.2,1,1,8,900,7", "2,1.2,1", "3,1.2,1,1,8,900"]
    batch, reader = read(small(*rows))
    assert len(batch) == 2
    assert reader.summary.rows == 4
    assert sum(reader.summary.unusable.values()) == 2


def test_a_code_that_its_coding_does_not_know_is_not_measured_and_counted() -> None:
    batch, reader = read(small("0,1.2,1,1,8,900", "1,1.2,1,1,3,900"))
    assert batch["fuel_loop"][0] == FuelLoop.CLOSED
    assert np.isnan(batch["fuel_loop"][1])
    assert any("1 row with a fuel-loop code" in warning for warning in reader.summary.warnings)


def test_of_two_columns_of_one_name_the_first_is_taken_and_it_is_said() -> None:
    text = small("0,1.2,1,1,8,900").replace("RPM (RPM)", "MAF Voltage (V)")
    batch, reader = read(text + "1,1.2,1,1,8,900\n")
    assert batch["maf_v"].tolist() == [1.2, 1.2]
    assert any("2 columns are called MAF Voltage (V)" in warning for warning in reader.summary.warnings)


def test_decimal_comma_can_be_forced() -> None:
    text = "Time (sec);MAF Voltage (V);AF Correction 1 (%);AF Learning 1 (%);CL/OL\n0;1;2;3;8\n1;1,5;2;3;8\n"
    assert read(text, decimal_comma=True)[0]["maf_v"].tolist() == [1.0, 1.5]
    assert read(text)[0]["maf_v"].tolist() == [1.0, 1.5]


def test_a_cold_engine_log_longer_than_what_waits_is_still_refused_at_its_end() -> None:
    rows = "".join(f"{i / 10},1.2,0,0,8,0\n" for i in range(1000))
    assert "the engine never ran" in refused(SMALL + rows, read_bytes=300)


def test_nothing_is_known_before_anything_was_read() -> None:
    with pytest.raises(LogUnreadableError, match="nothing was read"):
        _ = LogReader(io.BytesIO(b""), "new").summary
