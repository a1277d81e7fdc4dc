"""MAF tables as text: every form is read, what is written reads back bit for bit, errors say where."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowmaf.maf_table import MafTableError, default_axis
from lowmaf.table_text import (
    format_cells_csv,
    format_csv,
    format_romraider,
    format_romraider_selection,
    parse_table,
)

SHARED_TABLES = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "logs" / "maf_tables"

VOLTS = np.array([0.94, 0.98, 1.02])
FLOW = np.array([2.65, 2.96, 3.31])

ACCEPTED_FORMS = {
    "romraider block": "[Table2D]\n0.94\t0.98\t1.02\n2.65\t2.96\t3.31",
    "romraider block, CRLF": "[Table2D]\r\n0.94\t0.98\t1.02\r\n2.65\t2.96\t3.31\r\n",
    "romraider block, CR CR LF": "[Table2D]\r\r\n0.94\t0.98\t1.02\r\r\n2.65\t2.96\t3.31",
    "romraider block, first row on the block's line": "[Table2D]\t0.94\t0.98\t1.02\n2.65\t2.96\t3.31",
    "bare rows": "0.94\t0.98\t1.02\n2.65\t2.96\t3.31\n",
    "bare rows, decimal comma": "0,94\t0,98\t1,02\n2,65\t2,96\t3,31\n",
    "rows of CSV": "0.94,0.98,1.02\n2.65,2.96,3.31",
    "rows of CSV, trailing commas": "0.94,0.98,1.02,,\n2.65,2.96,3.31,,\n",
    "rows with labels": "MAF (V),0.94,0.98,1.02\nFlow (g/s),2.65,2.96,3.31",
    "rows with labels, flow first": "Flow (g/s),2.65,2.96,3.31\nMAF (V),0.94,0.98,1.02",
    "columns": "0.94,2.65\n0.98,2.96\n1.02,3.31\n",
    "columns with header": "V,g/s\n0.94,2.65\n0.98,2.96\n1.02,3.31\n",
    "columns with header, flow first": "airflow_g_per_s,maf_voltage_V\n2.65,0.94\n2.96,0.98\n3.31,1.02\n",
    "columns with header, BOM and CRLF": "\ufeffmaf_v,flow_gs\r\n0.94,2.65\r\n0.98,2.96\r\n1.02,3.31\r\n",
    "columns among others": "cell,maf_v,flow_gs,note\n1,0.94,2.65,a\n2,0.98,2.96,b\n3,1.02,3.31,c\n",
    "semicolons and decimal comma": "0,94;2,65\n0,98;2,96\n1,02;3,31\n",
    "quoted decimal comma": '"0,94","2,65"\n"0,98","2,96"\n"1,02","3,31"\n',
    "columns by spaces": "0.94 2.65\n0.98 2.96\n1.02  3.31\n",
    "with comment": "# stock\n0.94,2.65\n0.98,2.96\n1.02,3.31\n",
    "json object": '{"maf_v": [0.94, 0.98, 1.02], "flow_gs": [2.65, 2.96, 3.31]}',
    "json rows": "[[0.94, 0.98, 1.02], [2.65, 2.96, 3.31]]",
    "json pairs": "[[0.94, 2.65], [0.98, 2.96], [1.02, 3.31]]",
    "json objects": '[{"maf_v": 0.94, "flow_gs": 2.65}, {"maf_v": 0.98, "flow_gs": 2.96}, '
    '{"maf_v": 1.02, "flow_gs": 3.31}]',
    "json table document": '{"format": "lowmaf.table/1", "cells": [{"maf_v": 0.94, "flow_gs": 2.65}, '
    '{"maf_v": 0.98, "flow_gs": 2.96}, {"maf_v": 1.02, "flow_gs": 3.31}]}',
}

REFUSED_FORMS = {
    "empty": ("", "empty"),
    "empty block": ("[Table2D]\n", "empty"),
    "only blanks": (" \n\t\n,,\n", "empty"),
    "one row": ("0.94\t0.98\t1.02", "one row"),
    "one column": ("0.94\n0.98\n1.02\n", "one column"),
    "prose": ("this is not\na table\n", "no line of numbers"),
    "volts fall": ("V,g/s\n1.0,2\n0.9,3\n", "cell 1 has 1 V and cell 2 has 0.9 V"),
    "volts stand still": ("1.0\t1.0\n2\t3\n", "must rise"),
    "flow falls": ("V,g/s\n1.0,4\n1.1,3\n", "flow"),
    "hole in a row": ("[Table2D]\n0.94\t0.98\t1.02\n2.65\t\t3.31", "line 3, cell 2: the value is missing"),
    "short flow row": ("[Table2D]\n0.94\t0.98\t1.02\n2.65\t2.96", "3 volts but line 3 has 2"),
    "text in a row": ("[Table2D]\n0.94\t0.98\n2.65\tabc", "line 3, cell 2: the value 'abc' is not a number"),
    "text in a column": ("V,g/s\n0.94,2.65\n0.98,n/a\n", "line 3, cell 2"),
    "nan": ("V,g/s\n0.94,2.65\n0.98,nan\n", "line 3, cell 2"),
    "underscore digits": ("V,g/s\n0.94,2.65\n0.98,1_0\n", "line 3, cell 2"),
    "missing flow": ("V,g/s\n0.94,2.65\n0.98,\n", "line 3 has 1 value"),
    "three rows": ("1\t2\t3\n4\t5\t6\n7\t8\t9", "3 rows of numbers"),
    "three columns, no header": ("1,2,3\n1.1,3,4\n1.2,4,5\n", "line 1 has 3 values"),
    "no flow column": ("cell,maf_v,rpm\n1,0.94,800\n2,0.98,900\n", "columns found: cell, maf_v, rpm"),
    "decimal comma in commas": ("0,94,2,65\n0,98,2,96\n1,02,3,31\n", "decimal comma"),
    "selection": ("[Selection1D]\n2.65\tx", "[Table2D]"),
    "3D": ("[Table3D]\n1\t2\n3\t4", "[Table2D]"),
    "off the sensor": ("V,g/s\n0.94,2\n94,3\n", "0 to 5.5 V"),
    "too many cells": ("\n".join(f"{i / 1000},{i}" for i in range(1100)), "1024"),
    "too long": ("1" * 1_000_001, "characters"),
    "json that is cut": ('{"maf_v": [0.94', "JSON"),
    "json of another shape": ("[1, 2, 3]", "shape"),
    "json without volts": ('{"flow_gs": [1, 2]}', "no volts"),
    "json with text": ('{"maf_v": [0.94, "0.98"], "flow_gs": [1, 2]}', "cell 2 of volts"),
    "json with null": (
        '{"maf_v": [0.94, 0.98], "flow_gs": [1, null]}',
        "cell 2 of flow: the value is missing",
    ),
    "json with truth": ('{"maf_v": [0.94, true], "flow_gs": [1, 2]}', "cell 2 of volts"),
    "json NaN": ("[[0.94, NaN], [1, 2]]", "NaN"),
    "json too deep": ("[" * 100_000, "nested"),
    "json uneven pairs": ("[[1, 2], [2, 3], [3]]", "shape"),
    "json huge": ('{"maf_v": [0.94, 1], "flow_gs": [1, 1' + "0" * 400 + "]}", "too large"),
}


@pytest.mark.parametrize("text", ACCEPTED_FORMS.values(), ids=ACCEPTED_FORMS.keys())
def test_every_form_gives_the_same_table(text: str) -> None:
    table = parse_table(text, "stock")
    assert table.name == "stock"
    np.testing.assert_array_equal(table.maf_v, VOLTS)
    assert table.flow_gs is not None
    np.testing.assert_array_equal(table.flow_gs, FLOW)


@pytest.mark.parametrize(("text", "words"), REFUSED_FORMS.values(), ids=REFUSED_FORMS.keys())
def test_what_is_no_table_is_refused_in_one_line_that_says_where(text: str, words: str) -> None:
    with pytest.raises(MafTableError) as refused:
        parse_table(text, "stock")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("header", "factor"),
    [("V,kg/h", 1 / 3.6), ("volts,Mass Airflow (kg/h)", 1 / 3.6),
     ("maf_voltage_V,mass_airflow_kg_per_h", 1 / 3.6), ("V,lb/min", 453.59237 / 60), ("V,flow", 1.0)],
)  # fmt: skip
def test_flow_is_converted_when_the_header_says_its_unit(header: str, factor: float) -> None:
    table = parse_table(f"{header}\n0.94,36\n0.98,72\n", "stock")
    assert table.flow_gs is not None
    np.testing.assert_allclose(table.flow_gs, [36 * factor, 72 * factor], rtol=1e-15)


def test_a_json_axis_without_flow_is_an_axis() -> None:
    assert parse_table('{"maf_v": [1, 2], "flow_gs": null}', "axis").flow_gs is None
    assert (
        parse_table('[{"maf_v": 1, "flow_gs": null}, {"maf_v": 2, "flow_gs": null}]', "axis").flow_gs is None
    )


finite = st.floats(min_value=0.0, max_value=5.5, allow_nan=False)
cell_lists = st.lists(
    st.tuples(finite, st.floats(min_value=-30, max_value=600, allow_nan=False)),
    min_size=2,
    max_size=40,
    unique_by=lambda cell: cell[0],
)
tables = cell_lists.filter(lambda cells: max(g for _, g in cells) > 0.0).map(
    lambda cells: (np.array(sorted(v for v, _ in cells)), np.array(sorted(g for _, g in cells)))
)


@settings(deadline=None, derandomize=True)
@given(tables, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_clipboard_text_reads_back_bit_for_bit(table, decimal_comma: bool, line_end: str) -> None:
    volts, flow = table
    text = format_romraider(volts, flow, decimal_comma=decimal_comma)
    assert text.startswith("[Table2D]\n")
    assert "\r" not in text
    assert "\t\t" not in text
    assert "e" not in text.removeprefix("[Table2D]")
    again = parse_table(text.replace("\n", line_end), "again")
    np.testing.assert_array_equal(again.maf_v, volts)
    assert again.flow_gs is not None
    np.testing.assert_array_equal(again.flow_gs, flow)


@settings(deadline=None, derandomize=True)
@given(tables)
def test_csv_reads_back_bit_for_bit(table) -> None:
    volts, flow = table
    again = parse_table(format_csv(volts, flow), "again")
    np.testing.assert_array_equal(again.maf_v, volts)
    assert again.flow_gs is not None
    np.testing.assert_array_equal(again.flow_gs, flow)


def _table_or_refusal(text: str) -> bool:
    """Whether the text gives a table of two cells or more, or is refused in one line."""
    try:
        return parse_table(text, "any").cells >= 2
    except MafTableError as refused:
        return "\n" not in str(refused)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_is_a_table_or_a_refusal(text: str) -> None:
    assert _table_or_refusal(text)


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(ACCEPTED_FORMS)),
    st.integers(0, 200),
    st.sampled_from(list("0.,;\t\n[]{}x-eE\"'\0é")),
)
def test_a_damaged_text_is_a_table_or_a_refusal(form: str, at: int, char: str) -> None:
    text = ACCEPTED_FORMS[form]
    at %= len(text)
    for damaged in (text[:at] + char + text[at:], text[:at] + char + text[at + 1 :], text[:at]):
        assert _table_or_refusal(damaged)


def test_the_block_is_byte_for_byte_what_romraider_copies() -> None:
    assert format_romraider(VOLTS, FLOW) == "[Table2D]\n0.94\t0.98\t1.02\n2.65\t2.96\t3.31"
    assert (
        format_romraider(VOLTS, FLOW, decimal_comma=True) == "[Table2D]\n0,94\t0,98\t1,02\n2,65\t2,96\t3,31"
    )
    assert format_romraider(np.array([1.0, 2.0]), np.array([1e-7, 3e16])) == (
        "[Table2D]\n1.0\t2.0\n0.0000001\t30000000000000000.0"
    )


def test_the_selection_leaves_cells_that_stay() -> None:
    keep = np.array([True, False, True])
    assert format_romraider_selection(FLOW, keep) == "[Selection1D]\nx\t2.96\tx"
    assert format_romraider_selection(FLOW, keep, decimal_comma=True) == "[Selection1D]\nx\t2,96\tx"
    assert format_romraider_selection(np.array([np.nan, 2.96, 1.0]), keep) == "[Selection1D]\nx\t2.96\tx"


def test_nothing_is_written_that_would_be_an_empty_cell() -> None:
    with pytest.raises(MafTableError, match="cell 2"):
        format_romraider(VOLTS, np.array([2.65, np.nan, 3.31]))
    with pytest.raises(MafTableError, match="3 volts but 2"):
        format_romraider(VOLTS, FLOW[:2])
    with pytest.raises(MafTableError, match="3 flow values but 2"):
        format_romraider_selection(FLOW, [True, False])
    with pytest.raises(MafTableError, match="cell 2"):
        format_romraider_selection(np.array([1.0, np.inf, 2.0]), [True, False, True])


def test_an_axis_alone_is_one_column() -> None:
    assert format_csv(default_axis().maf_v, None).splitlines()[:3] == ["maf_v", "0.94", "0.98"]


def test_cells_of_a_document_as_csv() -> None:
    cell = {"maf_v": 0.94, "flow_gs": 2.65, "correction_pct": -1.83, "stderr_pct": 0.31,
            "ci95_pct": [-2.44, -1.22], "hits": 512, "effective_hits": 41.0,
            "state": "measured", "proposed_gs": 2.6}  # fmt: skip
    empty = dict.fromkeys(cell) | {"maf_v": 0.98, "hits": 0, "state": "empty"}
    text = format_cells_csv({"cells": [cell, empty]})
    assert text == (
        "maf_v,flow_gs,correction_pct,stderr_pct,ci95_low_pct,ci95_high_pct,hits,effective_hits,state,proposed_gs\n"
        "0.94,2.65,-1.83,0.31,-2.44,-1.22,512,41.0,measured,2.6\n"
        "0.98,,,,,,0,,empty,\n"
    )


def test_csv_of_a_result_is_read_as_the_table_it_was() -> None:
    cells = [
        {"maf_v": v, "flow_gs": g, "correction_pct": 1.0, "stderr_pct": None, "ci95_pct": None, "hits": 1,
         "effective_hits": None, "state": "weak", "proposed_gs": g * 2}
        for v, g in zip(VOLTS.tolist(), FLOW.tolist(), strict=True)
    ]  # fmt: skip
    table = parse_table(format_cells_csv({"cells": cells}), "result")
    assert table.flow_gs is not None
    np.testing.assert_array_equal(table.flow_gs, FLOW)
    again = parse_table(json.dumps({"cells": cells}), "result")
    assert again.flow_gs is not None
    np.testing.assert_array_equal(again.flow_gs, FLOW)


SHARED_CELLS = {"lord_xld3_stock1.csv": 129, "Bosch_ME7_MLHFM_KalebKE.csv": 512}


@pytest.mark.shared_logs
@pytest.mark.skipif(not SHARED_TABLES.is_dir(), reason="recorded logs are not part of the project")
def test_every_real_table_loads_and_survives_the_clipboard() -> None:
    paths = sorted(SHARED_TABLES.glob("*.csv"))
    assert paths
    for path in paths:
        table = parse_table(path.read_text("utf-8"), path.stem)
        assert table.cells == SHARED_CELLS.get(path.name, 54), path.name
        assert table.flow_gs is not None
        again = parse_table(format_romraider(table.maf_v, table.flow_gs), path.stem)
        np.testing.assert_array_equal(again.maf_v, table.maf_v)
        assert again.flow_gs is not None
        np.testing.assert_array_equal(again.flow_gs, table.flow_gs)
        if "kg" in path.read_text("utf-8").splitlines()[0]:
            assert table.flow_gs[0] == pytest.approx(-85.8476724 / 3.6)
