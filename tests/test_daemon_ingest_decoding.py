"""Many lines are decoded together, and it comes to the same as one by one."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.ingest.decoding import LineDecoder
from daemon.ingest.fields import RecordFields, RecordLayouts
from daemon.ingest.gathered import GatheredRecords
from daemon.ingest.lines import BlockLines
from web.packed_records import PackedRecords

NAMES = ("t_s", "maf_v", "stft_pct", "ltft_pct", "fuel_loop", "note")


def line(number: int, **changes: Any) -> bytes:
    values = {"t_s": number / 25, "maf_v": 2.5, "stft_pct": 1, "ltft_pct": -1.5, "fuel_loop": 2, "note": "x"}
    return json.dumps(values | changes).encode()


HEAD = b"".join(line(number) + b"\n" for number in range(30))
FIELDS = RecordFields(NAMES, HEAD)
ODD = (
    b"", b" ", b"\r", b"{", b"}", b"{}", b'{"t_s":', b"1.5}", b'{"note": {}', b',"t_s": 3}',
    b'{"t_s": 1} {"t_s": 2}', b'{"t_s": "1"}', b' {"t_s": 7}', b'{"t_s": 8}\r', b'{"t_s": 1e999}', b"\xff",
    b'{"t_s": 9, "maf_v": null}', b'{"note": "\xff", "t_s": 4}', b"[" * 2000,
    b'{"t_s": 1, "fuel_loop": "closed"}',
)  # fmt: skip
MOSTLY_RECORDS = st.integers(0, 8 * len(ODD)).map(lambda at: ODD[at] if at < len(ODD) else line(at))


def one_by_one(body: bytes) -> tuple[list[Any], list[int]]:
    """What is in a body by a look at each line."""
    records, bad = [], []
    for number, text in enumerate(body.split(b"\n"), start=1):
        try:
            records.append(FIELDS.decoder.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if text.strip():
                bad.append(number)
    return records, bad


@settings(max_examples=300, deadline=None)
@given(
    st.lists(MOSTLY_RECORDS | st.sampled_from(ODD), min_size=1, max_size=40)
    | st.lists(MOSTLY_RECORDS, min_size=1, max_size=80),
    st.booleans(),
    st.integers(1, 40),
)
def test_lines_together_are_the_lines_one_by_one(lines: list[bytes], ended: bool, block: int) -> None:
    """Also where records go on beyond their line, or two stand on one."""
    decoder = LineDecoder()
    records = []
    for begin in range(0, len(lines), block):
        text = b"\n".join(lines[begin : begin + block]) + b"\n"
        last = begin + block >= len(lines)
        records += decoder.decode(text[:-1] if last and not ended else text, FIELDS)
    expected, bad = one_by_one(b"\n".join(lines))
    assert records == expected
    assert decoder.invalid.count == len(bad)
    assert [one.line for one in decoder.invalid.first] == bad[:10]


def test_a_few_lines_that_only_look_like_records_do_not_cost_the_others() -> None:
    lines = [line(number) for number in range(2000)]
    for number in range(7, 2000, 101):
        lines[number] = b'{"t_s": "late"}'
    decoder = LineDecoder()
    records = decoder.decode(b"\n".join(lines), FIELDS)
    assert (len(records), decoder.invalid.count) == (1980, 20)
    assert [one.line for one in decoder.invalid.first] == [8 + 101 * number for number in range(10)]
    assert "Expected `float`, got `str`" in decoder.invalid.first[0].error


@pytest.mark.parametrize(
    ("block", "odd"),
    [
        (b"{}", []),
        (b"{}\n", []),
        (b"{}\r\n{}\r\n", []),
        (b"\n", [0]),
        (b"\n{}\n", [0]),
        (b"{}\n{\n}\n{}", [1, 2]),
        (b"{}\n\r\n{}", [1]),
        (b"{}\nx", [1]),
    ],
)
def test_lines_that_can_be_no_object_are_seen_without_decoding(block: bytes, odd: list[int]) -> None:
    lines = BlockLines(block, 1 << 20)
    assert lines.odd == odd
    assert len(lines) == len(block.splitlines())
    assert b"".join(lines.text(number, number + 1) for number in range(len(lines))) == block


class Two(msgspec.Struct):
    first: float
    a_name_that_is_longer_than_31_bytes_is_packed_otherwise: float | str | None


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=40))
def test_doubles_come_back_bit_for_bit(values: list[tuple[float, float]]) -> None:
    columns = PackedRecords(Two).columns([Two(*pair) for pair in values])
    assert columns is not None
    np.testing.assert_array_equal(columns, np.array(values).T)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 2047, 2048, 2049, 6000])
def test_any_number_of_records_is_taken(count: int) -> None:
    columns = PackedRecords(Two).columns([Two(1.5, 2.5)] * count)
    assert columns is not None
    assert columns.shape == (2, count)
    assert (columns.T == (1.5, 2.5)).all()


@pytest.mark.parametrize("value", [None, "eight by", "closed"])
def test_what_is_no_double_is_never_taken_for_one(value: str | None) -> None:
    """A text of eight bytes is packed to as many as a double."""
    assert PackedRecords(Two).columns([Two(1.0, 2.0), Two(3.0, value)]) is None


def test_nulls_and_words_among_numbers_keep_their_place() -> None:
    gathered = GatheredRecords(FIELDS)
    texts = [line(0), line(1, maf_v=None), line(2, fuel_loop="closed"), line(3, fuel_loop=None)]
    for part in (texts[:1], texts[1:], texts[:1]):
        gathered.add([FIELDS.decoder.decode(text) for text in part])
    assert len(gathered) == 5
    np.testing.assert_array_equal(gathered.column(1).values, [2.5, math.nan, 2.5, 2.5, 2.5])
    cells = gathered.column(4)
    np.testing.assert_array_equal(cells.values, [2.0, 2.0, 2.0, math.nan, 2.0])
    assert cells.from_word is not None
    assert cells.from_word.tolist() == [False, False, True, False, False]


def test_a_layout_is_known_again_by_all_names_in_their_order() -> None:
    layouts = RecordLayouts()
    assert layouts.known(HEAD) is None
    found = layouts.found(NAMES, HEAD)
    assert layouts.known(HEAD) is found
    assert layouts.known(b"x\n" + HEAD) is found
    turned = [dict(reversed(json.loads(text).items())) for text in HEAD.splitlines()]
    assert layouts.known(b"\n".join(json.dumps(one).encode() for one in turned)) is None
    more = HEAD.replace(b'"note": "x"}', b'"note": "x", "rpm": 900}', 3)
    assert layouts.known(more) is None
    late = line(0) + b"\n" + line(1, rpm=900) + b"\n" + HEAD
    assert layouts.known(late) is None
