"""Another car's ECU: what was learned from one is not to be flashed into the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from kept_drives import drive, kept

from daemon.live.ecu_watch import EcuWatch
from drivers.base import NamesItsEcu
from drivers.clock import WallClock
from drivers.simulator.ecu_answers import ECU_ID
from drivers.simulator.source import Simulator
from lowmaf.document import flash_refusals
from web.board import Command

OURS, OTHERS = "4D12044006", "2F12785206"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


async def test_a_table_that_was_learned_from_another_ecu_is_not_offered(path: Path) -> None:
    async with kept(path) as car:
        car.hub.ecu = EcuWatch(await car.store.ecu(), car.store.write_ecu)
        car.hub.ecu_seen(OURS)
        await car.driven(1)
        assert "other_ecu" not in {warning.code for warning in car.hub.snapshot().warnings}
        await car.store.flush()
    async with kept(path) as car:
        assert await car.store.ecu() == OURS
        car.hub.ecu = EcuWatch(await car.store.ecu(), car.store.write_ecu)
        revision = car.hub.snapshot().revision
        car.hub.ecu_seen(OTHERS)
        snapshot = car.hub.snapshot()
        assert snapshot.revision > revision, "whoever looks sees it at once"
        warning = snapshot.warnings[0]
        assert (warning.code, warning.blocks_flash) == ("other_ecu", True)
        assert (
            f"this ECU (id {OTHERS}) is not the one the table was learned from (id {OURS})" in warning.message
        )
        assert warning.message in flash_refusals(snapshot)
        car.begin(drive(2).slice(0, 500))
        assert car.hub.snapshot().warnings[0].code == "other_ecu"
        await car.hub.command(Command("reset"))
        assert "other_ecu" not in {warning.code for warning in car.hub.snapshot().warnings}
        await car.store.flush()
        assert await car.store.ecu() == OTHERS


async def test_a_source_without_an_id_changes_nothing(path: Path) -> None:
    async with kept(path) as car:
        car.hub.ecu = EcuWatch(OURS, car.store.write_ecu)
        car.hub.ecu_seen(None)
        assert "other_ecu" not in {warning.code for warning in car.hub.snapshot().warnings}
        await car.hub.command(Command("reset"))
        await car.store.flush()
        assert await car.store.ecu() is None


async def test_the_simulated_car_says_which_ecu_it_has() -> None:
    car = Simulator({}, WallClock())
    assert isinstance(car, NamesItsEcu)
    assert car.ecu_id is None
    batches = car.batches()
    await anext(batches)
    assert car.ecu_id == ECU_ID
    await batches.aclose()
