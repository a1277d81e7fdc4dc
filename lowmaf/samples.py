"""What a source delivers: channels with their units, and batches of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class FuelLoop(IntEnum):
    """State of the fuel loop, in the codes of OBD-II PID 03 (SAE J1979).

    Other codings are translated where they are read, never here: a Subaru status is this
    value + 6, so a Subaru 8 is ``CLOSED`` while an OBD 8 is ``OPEN_FAULT``.
    """

    OPEN_COLD = 1
    CLOSED = 2
    OPEN_LOAD = 4
    OPEN_FAULT = 8
    CLOSED_FAULT = 16


@dataclass(frozen=True, slots=True)
class Channel:
    """One measured quantity: its unit, its words, and what is physically possible."""

    name: str
    unit: str
    words: str
    low: float
    high: float


CHANNELS: Mapping[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel("maf_v", "V", "MAF sensor voltage", 0.0, 5.5),
        Channel("maf_gs", "g/s", "mass air flow", -50.0, 2000.0),
        Channel("stft_pct", "%", "short-term fuel trim", -100.0, 100.0),
        Channel("ltft_pct", "%", "long-term fuel trim", -100.0, 100.0),
        Channel("fuel_loop", "code", "fuel loop state", 0.0, 16.0),
        Channel("rpm", "1/min", "engine speed", 0.0, 16000.0),
        Channel("throttle_pct", "%", "throttle opening", -10.0, 110.0),
        Channel("load_g_rev", "g/rev", "engine load", 0.0, 20.0),
        Channel("speed_kmh", "km/h", "vehicle speed", -5.0, 500.0),
        Channel("map_kpa", "kPa", "manifold absolute pressure", 0.0, 700.0),
        Channel("iat_c", "°C", "intake air temperature", -50.0, 215.0),
        Channel("ect_c", "°C", "engine coolant temperature", -50.0, 215.0),
        Channel("lambda_", "1", "measured lambda", 0.2, 20.0),
        Channel("lambda_target", "1", "commanded lambda", 0.2, 20.0),
    )
}
"""Every channel that exists, by name, in the order they are shown and stored."""


class SampleBatch:
    """Samples of one source in the order they were taken.

    ``t_s`` has shape (n,), seconds since the source started. ``channels`` maps names of
    :data:`CHANNELS` to float64 arrays of shape (n,); NaN means *not measured in this sample*.
    A channel that is absent from the mapping is one that the source never delivers, which is
    something else: a filter that needs it is then off instead of rejecting every sample.

    Raises:
        ValueError: an unknown channel, or an array of another shape. That is our mistake,
            never the car's: sources check their input before they build a batch.
    """

    __slots__ = ("channels", "t_s")

    def __init__(self, t_s: Floats, channels: Mapping[str, Floats]) -> None:
        self.t_s = np.ascontiguousarray(t_s, dtype=np.float64)
        if self.t_s.ndim != 1:
            raise ValueError(f"t_s must have shape (n,), not {self.t_s.shape}")
        self.channels: dict[str, Floats] = {}
        for name, values in channels.items():
            if name not in CHANNELS:
                raise ValueError(f"unknown channel {name!r}; known: {', '.join(CHANNELS)}")
            column = np.ascontiguousarray(values, dtype=np.float64)
            if column.shape != self.t_s.shape:
                raise ValueError(f"{name} has shape {column.shape}, t_s has {self.t_s.shape}")
            self.channels[name] = column

    def __len__(self) -> int:
        return int(self.t_s.shape[0])

    def __getitem__(self, name: str) -> Floats:
        """The channel's values; all NaN where the source never delivers it."""
        column = self.channels.get(name)
        if column is None:
            if name not in CHANNELS:
                raise KeyError(name)
            return np.full(len(self), np.nan)
        return column

    @property
    def delivered(self) -> frozenset[str]:
        """Names of the channels that the source delivers at all."""
        return frozenset(self.channels)

    def slice(self, start: int, stop: int) -> SampleBatch:
        """Samples ``start`` (included) to ``stop`` (excluded), as views."""
        return SampleBatch(
            self.t_s[start:stop], {name: column[start:stop] for name, column in self.channels.items()}
        )

    def at(self, where: NDArray[np.bool_]) -> SampleBatch:
        """Samples at which ``where`` (n,) is True."""
        return SampleBatch(self.t_s[where], {name: column[where] for name, column in self.channels.items()})

    @staticmethod
    def concatenate(batches: Iterable[SampleBatch]) -> SampleBatch:
        """All samples of ``batches`` in their order; the batches must deliver the same channels."""
        parts = list(batches)
        if not parts:
            return SampleBatch(np.empty(0), {})
        if len(parts) == 1:
            return parts[0]
        delivered = parts[0].delivered
        if any(part.delivered != delivered for part in parts):
            raise ValueError("batches of one source must deliver the same channels")
        return SampleBatch(
            np.concatenate([part.t_s for part in parts]),
            {name: np.concatenate([part.channels[name] for part in parts]) for name in parts[0].channels},
        )
