"""Drivers by name, their options, and the words when something about them is wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from drivers.base import DriverOptionError
from drivers.clock import ScaledClock, WallClock
from drivers.options import option, parse_options
from drivers.registry import DRIVERS, create


@dataclass(frozen=True)
class Kettle:
    litres: float = option(1.5, "water", unit="l", low=0.5, high=3.0)
    cups: int = option(2, "cups", low=1, high=9)
    mode: str = option("tea", "what for", choices=("tea", "coffee"))
    label: str = option("kitchen", "its name")
    whistle: bool = option(True, "at the end")


def test_options_that_are_given_replace_the_defaults() -> None:
    assert parse_options(Kettle, "kettle", {}) == Kettle()
    given = {"litres": 2, "cups": 3, "mode": "coffee", "label": "camp", "whistle": False}
    assert parse_options(Kettle, "kettle", given) == Kettle(2.0, 3, "coffee", "camp", False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"litre": 1.0},
            "no option 'litre', did you mean 'litres'?; known: litres, cups, mode, label, whistle",
        ),
        ({"zzz": 1.0}, "no option 'zzz'; known: litres"),
        ({"litres": "2"}, "option litres: met '2', it must be a number"),
        ({"litres": True}, "option litres: met True, it must be a number"),
        ({"litres": float("nan")}, "option litres: met nan, allowed are 0.5 to 3 l"),
        ({"litres": 3.1}, "option litres: met 3.1, allowed are 0.5 to 3 l"),
        ({"cups": 2.0}, "option cups: met 2.0, it must be a whole number"),
        ({"cups": True}, "option cups: met True, it must be a whole number"),
        ({"cups": 0}, "option cups: met 0, allowed are 1 to 9"),
        ({"mode": "cofee"}, "option mode: met 'cofee', did you mean 'coffee'?; allowed: tea, coffee"),
        ({"label": ""}, "option label: it must not be empty"),
        ({"label": 7}, "option label: met 7, it must be a text"),
        ({"whistle": 1}, "option whistle: met 1, it must be true or false"),
    ],
)
def test_options_that_are_wrong(given: dict[str, object], words: str) -> None:
    with pytest.raises(DriverOptionError) as caught:
        parse_options(Kettle, "kettle", given)
    assert words in str(caught.value)
    assert str(caught.value).startswith("driver kettle")


def test_every_driver_is_made_by_its_name_and_opens_nothing() -> None:
    for name in DRIVERS:
        driver = create(name, {}, WallClock())
        assert driver.name == name
        assert driver.describe()


def test_an_unknown_driver_names_the_nearest() -> None:
    with pytest.raises(
        DriverOptionError, match=r"no driver 'ssm_can', did you mean 'ssm-can'\?; known: .*ssm-can"
    ):
        create("ssm_can", {}, WallClock())
    with pytest.raises(DriverOptionError, match=f"no driver 'xyz'; known: {', '.join(DRIVERS)}"):
        create("xyz", {}, WallClock())


@pytest.mark.parametrize("name", list(DRIVERS))
def test_an_unknown_option_is_refused_by_every_driver(name: str) -> None:
    with pytest.raises(DriverOptionError, match=f"driver {name} has no option 'spede'"):
        create(name, {"spede": 3}, WallClock())


def test_an_interface_that_python_can_does_not_have_is_refused() -> None:
    with pytest.raises(DriverOptionError, match=r"met 'socketcam', did you mean 'socketcan'\?"):
        create("ssm-can", {"interface": "socketcam"}, WallClock())


def test_a_driver_is_imported_only_when_it_is_used() -> None:
    code = "import sys, drivers.registry; sys.exit('can' in sys.modules or 'drivers.ssm_can' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def now(self) -> float:
        return self.time_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s


def test_a_scaled_clock_starts_at_0_and_runs_faster() -> None:
    hand = Hand()
    clock = ScaledClock(20.0, hand)
    assert clock.now() == 0.0
    hand.time_s += 1.5
    assert clock.now() == 30.0
    assert clock.wall_s(10.0) == 0.5
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="speed must be above 0"):
            ScaledClock(speed, hand)


def test_the_wall_clock_does_not_go_back() -> None:
    clock = WallClock()
    first = clock.now()
    assert clock.now() >= first
    assert clock.wall_s(2.0) == 2.0
