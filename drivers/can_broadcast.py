"""``can-broadcast``: what an ECU sends by itself, decoded by a DBC file. Listens and never sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import can

from drivers.base import DeviceUnavailableError, LinkCounts
from drivers.batches import batch_of
from drivers.broadcast_samples import MAX_AGE_S, RATE_HZ, BroadcastSamples, HoldRules
from drivers.can_listening import CanListener
from drivers.clock import Clock
from drivers.links import LIVE, CanPlace, Links
from drivers.listening_port import HeardFrame
from drivers.options import option, parse_options
from drivers.signal_options import DBC_WORDS, NONE, SIGNALS_WORDS, signals_named
from drivers.slcan_bus import check_place
from lowmaf.samples import SampleBatch


@dataclass(frozen=True, slots=True)
class CanBroadcastOptions:
    """What the configuration may say for ``driver = "can-broadcast"``."""

    interface: str = option("socketcan", "python-can interface", choices=sorted(can.VALID_INTERFACES))
    channel: str = option("can0", "channel of that interface")
    bitrate: int = option(0, "0 leaves what the interface is set to", unit="bit/s", low=0, high=1_000_000)
    dbc: str = option(NONE, DBC_WORDS)
    signals: str = option(NONE, SIGNALS_WORDS)
    rate_hz: float = option(RATE_HZ, "samples per second at most", unit="Hz", low=1.0, high=200.0)
    max_age_s: float = option(
        MAX_AGE_S, "a value older than this is not measured; temperatures stand for 10 s", unit="s",
        low=0.02, high=60.0,
    )  # fmt: skip
    silent_s: float = option(2.0, "give up when no sample came for so long", unit="s", low=0.1, high=10.0)


class CanBroadcast:
    """Samples of what is heard; see ``drivers.base.Driver``. The rule is :class:`BroadcastSamples`'.

    Raises:
        DriverOptionError: an option is unknown or impossible, or the DBC file does not fit them.
    """

    name = "can-broadcast"

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        self.options = parse_options(CanBroadcastOptions, self.name, options)
        if self.options.interface == "slcan":
            check_place(self.options.channel, self.options.bitrate)
        self.counts = LinkCounts()
        self._clock = clock
        self._links = links
        named = (self.options.dbc, self.options.signals)
        self._signals = signals_named(self.name, *named) if options else None

    @property
    def lacks_voltage(self) -> bool:
        """Whether the MAF voltage has to be had back from the flow."""
        return self._signals is not None and "maf_v" not in self._signals.channels

    def describe(self) -> str:
        where = f"listening on CAN {self.options.channel} ({self.options.interface})"
        return where if self._signals is None else f"{where}, {self._signals.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        options = self.options
        if self._signals is None:
            raise DeviceUnavailableError("driver can-broadcast has no options: dbc and signals are needed")
        samples = BroadcastSamples(self._signals, HoldRules(options.rate_hz, options.max_age_s))
        listener = CanListener(
            CanPlace(options.interface, options.channel, options.bitrate),
            samples.identifiers,
            self._clock,
            self.counts,
            silent_s=options.silent_s,
            links=self._links,
        )
        sampled_s = 0.0
        async with aclosing(listener.frames()) as heard:
            async for frames in heard:
                batch = self._batch(samples, frames)
                if batch is not None:
                    sampled_s = frames[-1].at_s
                    yield batch
                elif frames[-1].at_s - sampled_s > options.silent_s:
                    raise DeviceUnavailableError(
                        f"{self.describe()}: frames came, but none with air flow for {options.silent_s:g} s"
                    )

    def _batch(self, samples: BroadcastSamples, frames: list[HeardFrame]) -> SampleBatch | None:
        times: list[float] = []
        rows: list[list[float]] = []
        for frame in frames:
            row = samples.take((frame.identifier, frame.is_extended), frame.data, frame.at_s)
            if row is not None:
                times.append(frame.at_s)
                rows.append(row)
        self.counts.bad_frames += samples.bad_frames
        samples.bad_frames = 0
        self.counts.samples += len(rows)
        return batch_of(times, samples.channels, rows) if rows else None
