"""What one Subaru ECU can tell and how it is asked: identification, plan of reading, samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from drivers.base import DeviceUnavailableError, DriverOptionError, FrameError
from drivers.can_link import CanLink, NoAnswerError, RefusedError
from drivers.obd_frames import FUEL_STATUS, CurrentDataReply, CurrentDataRequest, fuel_loop
from drivers.options import nearest
from drivers.ssm_definition import loop_address
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    PARAMETERS,
    InitReply,
    InitRequest,
    Parameter,
    ReadReply,
    ReadRequest,
)
from lowmaf.samples import CHANNELS

NAN = math.nan
NO_DEFINITION = "none"
DEFINITION_WORDS = (
    "RomRaider logger definition (XML), for ECUs whose loop state lowmaf does not know where to find; "
    "none: without"
)


@dataclass(frozen=True)
class ReadingPlan:
    """What is asked for every sample, all in one request so that all is of one moment.

    ``loop_address`` is the RAM address of the loop state, or None; ``asks_obd`` says that the
    state comes from OBD PID 03 instead. With neither the channel ``fuel_loop`` is not delivered.
    """

    ecu_id: str
    parameters: tuple[Parameter, ...]
    loop_address: int | None
    asks_obd: bool

    @cached_property
    def request(self) -> ReadRequest:
        addresses = [address for parameter in self.parameters for address in parameter.addresses]
        if self.loop_address is not None:
            addresses.append(self.loop_address)
        return ReadRequest(tuple(addresses))

    @cached_property
    def request_bytes(self) -> bytes:
        return self.request.to_bytes()

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Channels of a sample, in the order of its values; engine load is derived."""
        names = [parameter.channel for parameter in self.parameters]
        if self.loop_address is not None or self.asks_obd:
            names.append("fuel_loop")
        if self.load_of is not None:
            names.append("load_g_rev")
        return tuple(names)

    @cached_property
    def load_of(self) -> tuple[int, int] | None:
        """Where air flow and engine speed stand among the parameters, or None where one is missing."""
        names = [parameter.channel for parameter in self.parameters]
        return (names.index("maf_gs"), names.index("rpm")) if {"maf_gs", "rpm"} <= set(names) else None

    def values(self, raw: bytes, obd_state: float = NAN) -> list[float]:
        """Values in the order of :attr:`channels` from a reply's bytes; NaN where one is impossible.

        ``obd_state`` is the loop state from OBD, for a plan that asks for it.
        """
        values = []
        at = 0
        for parameter in self.parameters:
            end = at + parameter.length
            channel = CHANNELS[parameter.channel]
            value = parameter.decode(int.from_bytes(raw[at:end], "big"))
            values.append(value if channel.low <= value <= channel.high else NAN)
            at = end
        if self.loop_address is not None:
            values.append(fuel_loop(raw[at]))
        elif self.asks_obd:
            values.append(obd_state)
        if self.load_of is not None:
            flow_at, rpm_at = self.load_of
            rpm = values[rpm_at]
            values.append(60.0 * values[flow_at] / rpm if rpm > 0.0 else NAN)
        return values

    @property
    def ecu(self) -> str:
        return f"ECU {self.ecu_id}"

    @property
    def words(self) -> str:
        """Where the loop state comes from."""
        if self.loop_address is not None:
            return f"loop state from RAM {self.loop_address:06X}"
        return "loop state from OBD PID 03" if self.asks_obd else "no loop state"


def chosen_parameters(driver: str, names: str) -> tuple[Parameter, ...]:
    """The standard parameters in a list of channels separated by commas; ``all`` is every one.

    Raises:
        DriverOptionError: a channel that is none of them, or too few for samples to be made of.
    """
    if names.strip() == "all":
        return PARAMETERS
    known = {parameter.channel: parameter for parameter in PARAMETERS}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise DriverOptionError(
                f"driver {driver}, option channels: no channel {name!r}{nearest(name, known)}; "
                f"known: all, {', '.join(known)}"
            )
    if "stft_pct" not in wanted or not {"maf_v", "maf_gs"} & set(wanted):
        raise DriverOptionError(
            f"driver {driver}, option channels: met {names!r}; stft_pct and maf_v or maf_gs are needed"
        )
    return tuple(parameter for name, parameter in known.items() if name in wanted)


def fuel_loop_address(ecu_id: str, definition: str) -> int | None:
    """Where this ECU keeps the state of its fuel loop, from the definition file or our own few; else None.

    Raises:
        DeviceUnavailableError: the file cannot be read.
    """
    found = loop_address(definition, ecu_id) if definition != NO_DEFINITION else None
    return FUEL_LOOP_ADDRESSES.get(ecu_id) if found is None else found


def require_enough(ecu_id: str, parameters: Iterable[Parameter]) -> None:
    """Sees to it that samples can be made of these parameters.

    Raises:
        DeviceUnavailableError: no trim, or no air flow.
    """
    names = {parameter.channel for parameter in parameters}
    if "stft_pct" not in names or not names & {"maf_v", "maf_gs"}:
        raise DeviceUnavailableError(
            f"ECU {ecu_id} offers {', '.join(sorted(names)) or 'nothing'}; "
            f"stft_pct and maf_v or maf_gs are needed"
        )


class SsmReader:
    """Asks one ECU over a link; every method blocks and may raise what :meth:`CanLink.ask` does."""

    def __init__(self, link: CanLink) -> None:
        self._link = link

    def identify(self) -> InitReply:
        """The ECU's identification.

        Raises:
            RefusedError: it does not speak SSM.
        """
        return InitReply.from_bytes(self._link.ask(InitRequest().to_bytes()).payload)

    def plan(self, init: InitReply, definition: str = NO_DEFINITION) -> ReadingPlan:
        """What this ECU lets us read. Each parameter that it refuses is left out.

        Raises:
            DeviceUnavailableError: too little for a sample: no trim, or no air flow.
        """
        parameters = tuple(p for p in PARAMETERS if init.supports(p.index, p.bit))
        if parameters and not self._reads(*(address for p in parameters for address in p.addresses)):
            parameters = tuple(p for p in parameters if self._reads(*p.addresses))
        require_enough(init.ecu_id, parameters)
        address = fuel_loop_address(init.ecu_id, definition)
        if address is not None and not self._reads(address):
            address = None
        return ReadingPlan(init.ecu_id, parameters, address, address is None and self._has_fuel_status())

    def sample(self, plan: ReadingPlan) -> tuple[float, list[float]]:
        """Time, s, and values in the order of ``plan.channels``; NaN where a value is impossible.

        Raises:
            RefusedError: the ECU refuses what it allowed before.
        """
        answer = self._link.ask(plan.request_bytes)
        raw = ReadReply.from_bytes(answer.payload, len(plan.request.addresses)).values
        return answer.at_s, plan.values(raw, self._fuel_status() if plan.asks_obd else NAN)

    def _fuel_status(self) -> float:
        payload = self._link.ask(CurrentDataRequest((FUEL_STATUS,)).to_bytes()).payload
        data = CurrentDataReply.from_bytes(payload).data.get(FUEL_STATUS)
        return NAN if data is None else fuel_loop(data[0])

    def _has_fuel_status(self) -> bool:
        try:
            self._fuel_status()
        except (RefusedError, NoAnswerError, FrameError):
            return False
        return True

    def _reads(self, *addresses: int) -> bool:
        """Whether the ECU lets these addresses be read."""
        try:
            payload = self._link.ask(ReadRequest(addresses).to_bytes()).payload
        except RefusedError:
            return False
        ReadReply.from_bytes(payload, len(addresses))
        return True
