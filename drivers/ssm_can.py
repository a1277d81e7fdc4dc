"""``ssm-can``: Subaru SSM over ISO-TP on CAN, polled through any python-can interface."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.can_link import CanLink
from drivers.can_polling import PolledCan, Reading
from drivers.ssm_reader import ReadingPlan, SsmReader


class SsmCan(PolledCan):
    """Reads a Subaru ECU's standard parameters and the state of its fuel loop, all in one request."""

    name = "ssm-can"
    protocol = "SSM"
    wanted = "Subaru ECU"

    def find(self, link: CanLink) -> Reading:
        reader = SsmReader(link)
        return _SsmReading(reader, reader.plan(reader.identify()))


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
