"""Which drives count in the table, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.drives.counting import Counting
from daemon.store.records import Session, SessionStart
from daemon.store.store import Store
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable, default_axis

AXIS = default_axis()
FLOW = MafTable("stock", AXIS.maf_v, 2.0 * AXIS.maf_v)
FLASHED = MafTable("flashed", AXIS.maf_v, 2.1 * AXIS.maf_v)


async def session_of(store: Store, table_revision: int | None, estimator: str = "curve") -> Session:
    start = SessionStart(
        driver="test", maf_table_revision=table_revision, epoch=1, estimator=estimator, settings={}
    )
    session = await store.session(await store.begin_session(start))
    assert session is not None
    return session


@pytest.mark.parametrize(
    ("tables", "driven_with", "why_not"),
    [
        ([AXIS], 1, None),
        ([FLOW], 1, None),
        ([FLOW, FLASHED], 1, None),
        ([FLOW, FLASHED], 2, None),
        ([AXIS, FLOW], 1, "no flow"),
        ([AXIS, FLOW], 2, None),
        ([FLOW, AXIS], 1, "no flow"),
        ([FLOW, AXIS], 2, None),
        ([FLOW, AXIS, FLASHED], 1, "no flow"),
        ([FLOW], None, "no MAF table"),
    ],
)
async def test_drives_count_over_tables_that_all_have_flow(
    tmp_path: Path, tables: list[MafTable], driven_with: int | None, why_not: str | None
) -> None:
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        for table in tables:
            await store.put_table(table)
        found = (await Counting.of(store, "curve")).why_not(await session_of(store, driven_with))
        assert (found is None) if why_not is None else (why_not in str(found))


async def test_plain_means_do_not_make_a_curve_but_a_curve_has_plain_means(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        await store.put_table(FLOW)
        plain, curve = await session_of(store, 1, "nearest"), await session_of(store, 1, "curve")
        for_curve, for_plain = await Counting.of(store, "curve"), await Counting.of(store, "nearest")
        assert "summed for the nearest estimator" in str(for_curve.why_not(plain))
        assert for_curve.why_not(curve) is for_plain.why_not(curve) is for_plain.why_not(plain) is None
        nobody = await Counting.of(store, None)
        assert nobody.why_not(plain) is None


async def test_what_was_driven_before_a_reset_does_not_count(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        await store.put_table(FLOW)
        before, after = await session_of(store, 1), await session_of(store, 1)
        store.write_epoch(2, BlockKey(after.id, 0))
        await store.flush()
        counting = await Counting.of(store, "curve")
        assert (counting.why_not(before), counting.why_not(after)) == ("learning began anew after it", None)
