"""``ssm-can``: Subaru SSM over ISO-TP on CAN, polled through any python-can interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.can_link import CanLink
from drivers.can_polling import CanOptions, PolledCan, Reading
from drivers.clock import Clock
from drivers.links import LIVE, Links
from drivers.options import option
from drivers.ssm_reader import DEFINITION_WORDS, NO_DEFINITION, ReadingPlan, SsmReader, definition_file


@dataclass(frozen=True, slots=True)
class SsmCanOptions(CanOptions):
    """What the configuration may say for ``driver = "ssm-can"``."""

    definition: str = option(NO_DEFINITION, DEFINITION_WORDS)


class SsmCan(PolledCan):
    """Reads a Subaru ECU's standard parameters and the state of its fuel loop, all in one request."""

    name = "ssm-can"
    protocol = "SSM"
    wanted = "Subaru ECU"
    options_kind = SsmCanOptions

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        super().__init__(options, clock, links)
        assert isinstance(self.options, SsmCanOptions)
        self._definition = definition_file(self.name, self.options.definition)

    def find(self, link: CanLink) -> Reading:
        reader = SsmReader(link)
        return _SsmReading(reader, reader.plan(reader.identify(), self._definition))

    @property
    def ecu_id(self) -> str | None:
        """The id of the ECU, None before it was identified."""
        return self.reading.plan.ecu_id if isinstance(self.reading, _SsmReading) else None


@dataclass(frozen=True, slots=True)
class _SsmReading:
    reader: SsmReader
    plan: ReadingPlan

    @property
    def ecu(self) -> str:
        return self.plan.ecu

    @property
    def words(self) -> str:
        return self.plan.words

    @property
    def channels(self) -> tuple[str, ...]:
        return self.plan.channels

    def sample(self) -> tuple[float, list[float]]:
        return self.reader.sample(self.plan)
