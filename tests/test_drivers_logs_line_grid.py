"""Lines are cut where the separators are, whatever they hold: as ``bytes.split`` cuts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.logs.line_grid import FRONT, LineGrid
from drivers.logs.separator_bits import packed, positions, walk

SEPARATORS = (",", ";", "\t")


def grid(lines: list[list[str]], separator: str, columns: tuple[int, ...] = ()) -> LineGrid:
    text = "".join(separator.join(fields) + "\n" for fields in lines)
    return LineGrid(FRONT + text.encode(), separator, columns)


def fields_of(grid: LineGrid, column: int, lines: int) -> list[bytes]:
    every = np.arange(lines)
    begin, end = grid.field(None, column)
    assert grid.texts(every, column) == [
        grid.text[a:b].tobytes() for a, b in zip(begin.tolist(), end.tolist(), strict=True)
    ]
    return grid.texts(every, column)


field = st.text("0123456789.-+abµ%", max_size=90)
columns = st.lists(st.integers(0, 12), max_size=4).map(tuple)


@st.composite
def same_widths(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 12))
    return draw(st.lists(st.lists(field, min_size=width, max_size=width), min_size=1, max_size=12))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(same_widths(), st.sampled_from(SEPARATORS), columns)
def test_fields_of_lines_with_as_many_each_are_found_whichever_are_asked_for(
    lines: list[list[str]], separator: str, asked: tuple[int, ...]
) -> None:
    found = grid(lines, separator, asked)
    width = len(lines[0])
    assert len(found) == len(lines)
    assert found.uniform in (width, 0)
    assert found.uniform == width or max(len(text.encode()) for line in lines for text in line) > 62
    assert found.field_counts().tolist() == [width] * len(lines)
    for column in range(width):
        assert fields_of(found, column, len(lines)) == [line[column].encode() for line in lines]
    assert [found.line(index) for index in range(len(lines))] == [
        separator.join(line).encode() for line in lines
    ]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.lists(st.lists(field, min_size=1, max_size=6), min_size=1, max_size=12),
    st.sampled_from(SEPARATORS),
    columns,
)
def test_lines_of_different_numbers_of_fields_are_told_apart(
    lines: list[list[str]], separator: str, asked: tuple[int, ...]
) -> None:
    found = grid(lines, separator, asked)
    counts = [len(line) for line in lines]
    assert found.field_counts().tolist() == counts
    assert len(set(counts)) == 1 or not found.uniform
    for column in range(max(counts)):
        chosen = np.flatnonzero(np.array(counts) > column)
        assert found.texts(chosen, column) == [lines[index][column].encode() for index in chosen]


@pytest.mark.parametrize("lines", [["1,2", "3", "4,5,6"], ["1,2,3", "4,5", "6,7,8,9"], ["1", "2,3", ""]])
def test_a_field_too_few_in_one_line_and_too_many_in_the_next_is_no_regular_block(lines: list[str]) -> None:
    found = grid([line.split(",") for line in lines], ",", (0, 1))
    assert found.uniform == 0
    assert found.field_counts().tolist() == [line.count(",") + 1 for line in lines]


def test_long_lines_are_walked_in_several_windows() -> None:
    lines = [[str(10**digits) for digits in range(1, 16)] * 20 for _ in range(50)]
    found = grid(lines, ",", (0, 7, 299))
    assert found.uniform == 300
    for column in (0, 6, 7, 8, 298, 299):
        assert fields_of(found, column, 50) == [line[column].encode() for line in lines]


def test_spaces_are_no_part_of_a_field_and_quotes_are_told() -> None:
    found = grid([[" 1", "2 "], ["  ", '"3"']], ",", (0, 1))
    assert fields_of(found, 0, 2) == [b"1", b""]
    assert fields_of(found, 1, 2) == [b"2", b'"3"']
    assert found.quoted
    assert found.quoted_lines().tolist() == [False, True]


def test_a_block_without_lines_has_none() -> None:
    found = LineGrid(FRONT, ",", (0, 1))
    assert len(found) == 0
    assert found.uniform == 0
    assert not found.begins_with_letters()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.booleans(), max_size=300), st.sampled_from([1, 3, 20, 70]))
def test_positions_are_those_of_the_bits_that_are_set(bits: list[bool], apart: int) -> None:
    mask = np.zeros(len(bits) * apart, dtype=np.bool_)
    mask[::apart] = bits
    assert positions(packed(mask)).tolist() == np.flatnonzero(mask).tolist()


def test_a_walk_that_ends_beside_a_line_end_is_refused() -> None:
    text = np.frombuffer(b"\n1,2,3\n4,5,6\n", np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    bits = packed((text == ord("\n")) | (text == ord(",")))
    found = walk(bits, ends, 3, {1, 2})
    assert found is not None
    assert {number: place.tolist() for number, place in found.items()} == {1: [2, 8], 2: [4, 10], 3: [6, 12]}
    assert walk(bits, ends, 2, {1}) is None
    assert walk(bits, ends, 4, {1}) is None
