"""Samples of an uploaded log on their way from the process that reads it; whether they fit the MAF table."""

from __future__ import annotations

import json

import numpy as np

from daemon.store.sample_codec import SampleChunk, decode_samples, encode_samples
from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats, SampleBatch

LIKELY_RATIO = (0.85, 1.18)
"""Median of a log's flow over the table's at the same voltage: compensation for heat and held channels stay
within this; another car's sensor or a table of before a flash or two does not."""
_COMPARED_OF_BATCH = 500
_LEAST_FLOW_GS = 1.0


def packed_samples(batch: SampleBatch) -> bytes:
    """A batch as one payload: a line of JSON that names its columns, then these."""
    chunk = encode_samples(batch)
    head = json.dumps({"channels": chunk.channels, "n": chunk.n})
    return head.encode() + b"\n" + chunk.data


def unpacked_samples(payload: bytes) -> SampleBatch:
    """The batch that :func:`packed_samples` was given.

    Raises:
        ValueError: the bytes are not such a batch.
    """
    head, _, data = payload.partition(b"\n")
    columns = json.loads(head)
    return decode_samples(SampleChunk(tuple(columns["channels"]), columns["n"], data))


class FlowComparison:
    """Whether a log was recorded with the table: where it has volts and flow, the two must agree with it."""

    def __init__(self, table: MafTable) -> None:
        self._table = table
        self._ratios: list[Floats] = []

    def take(self, batch: SampleBatch) -> None:
        """Looks at samples of the log, some hundred of each batch."""
        if self._table.flow_gs is None or not {"maf_v", "maf_gs"} <= batch.channels.keys():
            return
        some = slice(None, None, max(1, len(batch) // _COMPARED_OF_BATCH))
        volts, flow_gs = batch["maf_v"][some], batch["maf_gs"][some]
        axis_v = self._table.maf_v
        usable = (flow_gs >= _LEAST_FLOW_GS) & (volts >= axis_v[0]) & (volts <= axis_v[-1])
        expected_gs = self._table.flow_at(volts[usable])
        above_zero = expected_gs > 0.0
        self._ratios.append(flow_gs[usable][above_zero] / expected_gs[above_zero])

    def words(self) -> str | None:
        """What does not fit; None where nothing speaks against it."""
        ratios = np.concatenate(self._ratios) if self._ratios else np.empty(0)
        if not ratios.size:
            return None
        ratio, (low, high) = float(np.median(ratios)), LIKELY_RATIO
        if low <= ratio <= high:
            return None
        return (
            f"its air flow is {ratio:.2f} times what the MAF table {self._table.name!r} gives at the same "
            f"voltage (median; {low:g} to {high:g} fits): it was recorded on another car or with another "
            "table, and would spoil this one"
        )
