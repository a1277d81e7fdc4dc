"""A raw recording of a link, read by the driver that made it: the samples are those that it gave live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from drivers.base import DeviceUnavailableError, Driver, DriverOptionError
from drivers.clock import WallClock
from drivers.logs.errors import LogUnreadableError
from drivers.logs.sampling import GAP_S
from drivers.logs.summary import LogSummary
from drivers.recorded_links import RecordedLinks, RecordingEndedError
from drivers.recording import BESIDE, Recording, RecordingError
from drivers.registry import RECORDED, RECORDED_WITH, SECOND_SOURCES, create
from lowmaf.samples import SampleBatch

_AT_ONCE = 400  # batches that are gathered into one: live ones hold few samples


class RawRecording:
    """One recording, read once in flat memory; see :class:`drivers.logs.recorded_drive.RecordedDrive`.

    A file that the driver used (a definition, a DBC file) is looked for beside the recording, whatever
    its place was.
    ``name`` is what it is called in messages; ``require_flag`` refuses one without the loop's state.
    It runs an event loop of its own, so it cannot be read inside of one.
    """

    def __init__(self, path: Path, name: str | None = None, *, require_flag: bool = False) -> None:
        self.name = name or path.name
        self._path = path
        self._require_flag = require_flag
        self._driver: Driver | None = None
        self._channels: tuple[str, ...] = ()
        self._ended = ""
        self._beside = ""
        self._rows = 0
        self._gaps = 0
        self._driven_s = 0.0
        self._last_s: float | None = None

    @property
    def progress(self) -> tuple[int, int | None]:
        """Samples so far; how many there are is not known before the end."""
        return self._rows, None

    @property
    def summary(self) -> LogSummary:
        """What was recognised and met so far; complete after the last batch.

        Raises:
            LogUnreadableError: nothing was read yet.
        """
        if self._driver is None:
            raise LogUnreadableError(self.name, "nothing was read yet")
        return LogSummary(
            name=self.name,
            format=f"recording of {self._driver.name}",
            encoding=self._driver.describe(),
            rows=self._rows,
            unusable={},
            columns=dict.fromkeys(self._channels, self._driver.name),
            converted=(),
            inferred=(),
            warnings=tuple(filter(None, (self._ended, self._beside))),
            gaps=self._gaps,
            sample_rate_hz=(self._rows - 1 - self._gaps) / self._driven_s if self._driven_s else None,
            duration_s=self._last_s,
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in the order of the recording.

        Raises:
            LogUnreadableError: no recording, one of a driver or with options that are not known here, or
                one of an ECU that gave no sample.
        """
        try:
            recording = Recording(self._path)
        except RecordingError as error:
            raise LogUnreadableError(self.name, str(error)) from error
        try:
            driver = self._driver = self._made_by(recording)
            with asyncio.Runner() as runner:
                source = driver.batches()
                try:
                    while (batch := runner.run(self._gathered(source))) is not None:
                        yield batch
                finally:
                    runner.run(source.aclose())
            self._ended = self._ended or recording.damage
        finally:
            recording.close()
        if not self._rows:
            raise LogUnreadableError(
                self.name, f"it holds no sample: {self._ended or 'it ends before the first'}"
            )

    async def _gathered(self, source: AsyncGenerator[SampleBatch, None]) -> SampleBatch | None:
        """The samples of the next few batches; None at the end."""
        parts: list[SampleBatch] = []
        try:
            while len(parts) < _AT_ONCE:
                parts.append(await anext(source))
        except (StopAsyncIteration, RecordingEndedError):
            pass
        except DeviceUnavailableError as error:
            self._ended = str(error)
        if not parts:
            return None
        batch = SampleBatch.concatenate(parts)
        self._note(batch)
        return batch

    def _made_by(self, recording: Recording) -> Driver:
        """The driver that made the recording, with its options, on the recording."""
        header = recording.header
        name = header.get("driver", "")
        if name in SECOND_SOURCES:
            raise LogUnreadableError(
                self.name,
                f"it is of a {name}, which measures lambda and gives no samples: replay the recording of the "
                f"source that it stood beside",
            )
        if other := header.get(BESIDE):
            self._beside = (
                f"the {other[:40]} beside it is not in this recording: lambda is that of the ECU alone"
            )
        if name not in RECORDED:
            raise LogUnreadableError(
                self.name,
                f"driver {name[:40]!r} is not one that records; known: {', '.join(sorted(RECORDED))}",
            )
        try:
            options = json.loads(header.get("options", "{}"))
            if not isinstance(options, dict):
                raise LogUnreadableError(self.name, "its header is damaged: options must be a table")
            needed = RECORDED_WITH.get(name, "")
            file = options.get(needed)
            if isinstance(file, str) and file != "none":
                options[needed] = str(self._path.parent / Path(file).name)
            return create(name, options, WallClock(), RecordedLinks(recording))
        except (ValueError, RecursionError) as error:
            raise LogUnreadableError(self.name, f"its header is damaged: {error}") from error
        except DriverOptionError as error:
            raise LogUnreadableError(self.name, str(error)) from error

    def _note(self, batch: SampleBatch) -> None:
        if not self._channels:
            self._channels = tuple(batch.channels)
            if self._require_flag and "fuel_loop" not in batch.channels:
                raise LogUnreadableError(
                    self.name, "the ECU did not tell the state of the fuel loop, which --require-flag needs"
                )
        for t_s in batch.t_s.tolist():
            step_s = 0.0 if self._last_s is None else t_s - self._last_s
            if step_s > GAP_S:
                self._gaps += 1
            else:
                self._driven_s += step_s
            self._last_s = t_s
        self._rows += len(batch)
