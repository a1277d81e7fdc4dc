"""What the page is told of the machine, on files like those of a Raspberry Pi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.machine import machine_document


def document(folder: Path) -> dict[str, Any]:
    return dict(machine_document(folder / "kept.sqlite3", thermal=folder, throttled=folder / "get_throttled"))


def zone(folder: Path, number: int, text: str) -> None:
    (folder / f"thermal_zone{number}").mkdir()
    (folder / f"thermal_zone{number}" / "temp").write_text(text, encoding="ascii")


def test_the_hottest_zone_counts_and_one_that_is_off_does_not(tmp_path: Path) -> None:
    zone(tmp_path, 0, "48312\n")
    zone(tmp_path, 1, "61500\n")
    zone(tmp_path, 2, "\n")
    assert document(tmp_path)["temperature_c"] == 61.5


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("0\n", []),
        ("1", ["the supply voltage is too low now: a better 5 V supply or cable is needed"]),
        ("40000\n", ["the processor was throttled since the start"]),
        ("50005\n", 4),
    ],
)
def test_what_the_firmware_complains_of_is_told_in_words(tmp_path: Path, flags: str, words: Any) -> None:
    (tmp_path / "get_throttled").write_text(flags, encoding="ascii")
    found = document(tmp_path)["held_back"]
    assert (len(found) if isinstance(words, int) else found) == words


def test_a_machine_that_tells_nothing_has_nulls(tmp_path: Path) -> None:
    found = document(tmp_path)
    assert found["temperature_c"] is None
    assert found["held_back"] is None
    assert found["free_bytes"] > 0
    gone = machine_document(tmp_path / "none" / "kept.sqlite3", thermal=tmp_path, throttled=tmp_path)
    assert gone["free_bytes"] is None
    assert gone["held_back"] is None
