"""The newest samples that are kept, and the same judged again with any limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.store.reader import StoreReader
from lowmaf.cells import hats
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.verdicts import Verdict
from web.review import CountedSample

MOST_SAMPLES = 50_000
"""About half an hour at 24 samples a second; older ones are not looked at."""
MOST_DRIVES = 20
SHOWN_PER_CELL = 40


@dataclass(frozen=True, slots=True)
class KeptDrive:
    """The newest part of a drive's samples, in their order."""

    session: int
    batches: Sequence[SampleBatch]


@dataclass(frozen=True, slots=True)
class Judging:
    """What samples are judged with."""

    table: MafTable
    estimator: str
    filters: Filters
    curve: CurveSettings

    def pipeline(self) -> Pipeline:
        return Pipeline(self.table, estimator=self.estimator, filters=self.filters, settings=self.curve)


async def newest_drives(reader: StoreReader) -> list[KeptDrive]:
    """Kept samples of the newest drives, oldest drive first, at most :data:`MOST_SAMPLES` in all.

    Raises:
        daemon.store.records.StoreError: the database cannot be read.
    """
    drives: list[KeptDrive] = []
    room = MOST_SAMPLES
    for session in reversed((await reader.sessions())[-MOST_DRIVES:]):
        newest: deque[SampleBatch] = deque()
        held = 0
        async for batch in reader.samples(session.id):
            newest.append(batch)
            held += len(batch)
            while held - len(newest[0]) >= room:
                held -= len(newest.popleft())
        if newest:
            drives.append(KeptDrive(session.id, tuple(newest)))
            room -= held
        if room <= 0:
            break
    return drives[::-1]


def judged_again(judging: Judging, drives: Sequence[KeptDrive]) -> dict[str, int]:
    """Samples per verdict label, those above 0."""
    pipeline = judging.pipeline()
    for drive in drives:
        pipeline.begin(drive.session)
        for batch in drive.batches:
            pipeline.feed(batch)
    pipeline.finish()
    return {label: count for label, count in pipeline.verdict_counts().items() if count}


def newest_counted(judging: Judging, drives: Sequence[KeptDrive]) -> list[CountedSample]:
    """The newest samples that count, :data:`SHOWN_PER_CELL` of each cell at most, oldest first."""
    cells: list[deque[CountedSample]] = [deque(maxlen=SHOWN_PER_CELL) for _ in range(judging.table.cells)]
    for drive in drives:
        for sample in _counted(judging, drive):
            cells[sample.cell].append(sample)
    return sorted(
        (sample for cell in cells for sample in cell), key=lambda sample: (sample.session, sample.t_s)
    )


def _counted(judging: Judging, drive: KeptDrive) -> Iterator[CountedSample]:
    """The drive's samples that count."""
    pipeline = judging.pipeline()
    pipeline.begin(drive.session)
    judged = [pipeline.feed(batch) for batch in drive.batches]
    judged.append(pipeline.finish())
    times_s = np.concatenate([part.t_s[part.verdicts == Verdict.ACCEPTED] for part in judged])
    for batch in drive.batches:
        accepted = batch.at(np.isin(batch.t_s, times_s))
        maf_v = _volts(accepted, judging.table)
        cells = hats(judging.table.maf_v, maf_v).nearest
        columns = (accepted.t_s, cells, maf_v, _trim_pct(accepted), accepted["rpm"], accepted["iat_c"])
        for t_s, cell, volts, trim, rpm, iat in zip(*(column.tolist() for column in columns), strict=True):
            if math.isfinite(volts) and math.isfinite(trim):
                yield CountedSample(drive.session, t_s, cell, volts, trim, rpm, iat)


def _volts(batch: SampleBatch, table: MafTable) -> Floats:
    """MAF volts, or those at which the table gives the flow, where a source has no volts."""
    if "maf_v" in batch.channels or table.flow_gs is None:
        return batch["maf_v"]
    return table.voltage_at(batch["maf_gs"])


def _trim_pct(batch: SampleBatch) -> Floats:
    return batch["stft_pct"] + batch["ltft_pct"]
