"""Whether a log shows a running engine at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from lowmaf.samples import Floats, SampleBatch

RUNNING_RPM = 200.0
WAITING_SAMPLES = 200_000
"""While an engine has not run yet its samples wait, so that a log without any is refused as a whole."""
_FEW = 100
_AIR = ("maf_v", "maf_gs")


class EngineWatch:
    """Looks at batches until the engine has run and everything a correction needs was measured once."""

    def __init__(self) -> None:
        self._measured: set[str] = set()
        self._moved: set[str] = set()
        self._delivered: frozenset[str] = frozenset()
        self._fastest_rpm = -np.inf
        self._samples = 0

    def look(self, batch: SampleBatch) -> None:
        """Takes note of one more batch."""
        self._samples += len(batch)
        self._delivered = batch.delivered
        for name, values in batch.channels.items():
            known = _known(values, whole=name == "rpm")
            if known.size:
                self._measured.add(name)
                if name == "rpm":
                    self._fastest_rpm = max(self._fastest_rpm, float(known.max()))
                if name != "fuel_loop" and known.any():
                    self._moved.add(name)

    def running(self, batches: Iterable[SampleBatch]) -> Iterator[SampleBatch]:
        """The same batches, but none before the engine has run, or far too many samples wait."""
        waiting: list[SampleBatch] = []
        passes = False
        for batch in batches:
            if passes:
                yield batch
                continue
            self.look(batch)
            waiting.append(batch)
            passes = self.alive or self._samples > WAITING_SAMPLES
            if passes:
                yield from waiting
                waiting.clear()

    @property
    def alive(self) -> bool:
        """Whether samples can begin to count."""
        air = any(name in self._moved for name in _AIR)
        trims = {"stft_pct", "ltft_pct", "fuel_loop"} <= self._measured
        return air and trims and ("rpm" not in self._measured or self._fastest_rpm > RUNNING_RPM)

    def reason(self, headers: Mapping[str, str]) -> str:
        """Why they cannot, in words; ``headers`` are the log's names by role."""
        if not self._samples:
            return "no row of data that can be used"
        if not self._moved:
            return "every value is zero: nothing was measured"
        if "rpm" in self._measured and self._fastest_rpm <= RUNNING_RPM:
            return f"the engine never ran: {headers['rpm']} stays at {self._fastest_rpm:g}"
        empty = [
            headers.get(name, name)
            for name in ("stft_pct", "ltft_pct", "fuel_loop")
            if name not in self._measured
        ]
        if not any(name in self._measured for name in _AIR):
            empty.extend(headers[name] for name in _AIR if name in self._delivered)
        if empty:
            return f"no value that can be read in {', '.join(empty)}"
        return "air flow is zero in every row"


def _known(values: Floats, *, whole: bool) -> Floats:
    """What was measured of a channel: without ``whole`` a few of its values where they show all there is."""
    if not whole:
        some = values[:_FEW]
        known: Floats = some[np.isfinite(some)]
        if known.any():
            return known
    return values[np.isfinite(values)]
