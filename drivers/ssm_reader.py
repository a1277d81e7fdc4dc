"""What one Subaru ECU can tell and how it is asked: identification, plan of reading, samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drivers.base import DeviceUnavailableError, DriverOptionError, FrameError
from drivers.batches import load_of
from drivers.can_link import CanLink, NoAnswerError, RefusedError
from drivers.obd_frames import FUEL_STATUS, CurrentDataReply, CurrentDataRequest, fuel_loop
from drivers.options import nearest
from drivers.ssm_definition import CHANNEL_OF, LOOP
from drivers.ssm_ecu_parameters import ecu_parameters, fitting
from drivers.ssm_frames import (
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
_STEPS = {"stft_pct": 0.79, "ltft_pct": 0.79, "lambda_": 0.0079}
"""A step of the standard byte, and a little more for rounding."""
_NO_LOOP = "name a logger definition that knows this ECU as [vehicle] ecu_definition"
DEFINITION_WORDS = "RomRaider logger definition (XML), from [vehicle] ecu_definition; none: without"


@dataclass(frozen=True)
class ReadingPlan:
    """What is asked for every sample, all in one request so that all is of one moment.

    ``parameters`` are standard ones and ``own`` those at addresses of this ECU alone. An own value that
    has a standard one beside it counts where the two are less than a step of the standard byte apart,
    otherwise the standard one does: an address that is another ROM's can do no harm.

    ``loop_address`` is the RAM address of the loop state, or None; ``asks_obd`` says that the
    state comes from OBD PID 03 instead. With neither the channel ``fuel_loop`` is not delivered, and
    no sample can count. ``left_out`` are parameters that the definition has and that cannot be used.
    """

    ecu_id: str
    parameters: tuple[Parameter, ...]
    loop_address: int | None
    asks_obd: bool
    own: tuple[Parameter, ...] = ()
    left_out: tuple[str, ...] = ()

    @cached_property
    def request(self) -> ReadRequest:
        addresses = [address for parameter in self.read for address in parameter.addresses]
        if self.loop_address is not None:
            addresses.append(self.loop_address)
        return ReadRequest(tuple(addresses))

    @cached_property
    def request_bytes(self) -> bytes:
        return self.request.to_bytes()

    @cached_property
    def read(self) -> tuple[Parameter, ...]:
        """All parameters in the order of the request; the state of the loop follows them."""
        return self.parameters + self.own

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Channels of a sample, in the order of its values; engine load is derived where it is not read."""
        names = list(dict.fromkeys(parameter.channel for parameter in self.read))
        if self.loop_address is not None or self.asks_obd:
            names.append("fuel_loop")
        if self.load_of is not None:
            names.append("load_g_rev")
        return tuple(names)

    @cached_property
    def load_of(self) -> tuple[int, int] | None:
        """Where air flow and engine speed stand among the values, where load has to be made of them."""
        names = [parameter.channel for parameter in self.read]
        if "load_g_rev" in names or not {"maf_gs", "rpm"} <= set(names):
            return None
        return names.index("maf_gs"), names.index("rpm")

    def values(self, raw: bytes, obd_state: float = NAN) -> list[float]:
        """Values in the order of :attr:`channels` from a reply's bytes; NaN where one is impossible.

        ``obd_state`` is the loop state from OBD, for a plan that asks for it.
        """
        found: dict[str, float] = {}
        at = 0
        for parameter in self.read:
            end = at + parameter.length
            channel = CHANNELS[parameter.channel]
            value = parameter.decode(int.from_bytes(raw[at:end], "big"))
            at = end
            if channel.name not in found:
                found[channel.name] = value if channel.low <= value <= channel.high else NAN
            elif abs(value - found[channel.name]) < _STEPS[channel.name]:
                found[channel.name] = value
        values = list(found.values())
        if self.loop_address is not None:
            values.append(fuel_loop(raw[at]))
        elif self.asks_obd:
            values.append(obd_state)
        if self.load_of is not None:
            flow_at, rpm_at = self.load_of
            values.append(load_of(values[flow_at], values[rpm_at]))
        return values

    @property
    def ecu(self) -> str:
        return f"ECU {self.ecu_id}"

    @property
    def words(self) -> str:
        """Where the loop state comes from, what else is read from memory, and what is not."""
        if self.loop_address is not None:
            words = f"loop state from RAM {self.loop_address:06X}"
        elif self.asks_obd:
            words = "loop state from OBD PID 03"
        else:
            words = f"no loop state, so no sample can count: {_NO_LOOP}"
        words += f", {', '.join(parameter.channel for parameter in self.own)} from RAM" if self.own else ""
        return words + (f"; left out: {'; '.join(self.left_out)}" if self.left_out else "")


def chosen_channels(driver: str, names: str) -> frozenset[str]:
    """The channels in a list separated by commas; ``all`` is every one that an ECU can have.

    Raises:
        DriverOptionError: a channel that is none of them, or too few for samples to be made of.
    """
    known = dict.fromkeys((*(p.channel for p in PARAMETERS), *CHANNEL_OF.values()))
    del known[LOOP]  # always read
    if names.strip() == "all":
        return frozenset(known)
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
    return frozenset(wanted)


def definition_file(driver: str, definition: str) -> Path | None:
    """The definition that the options name; None for none. It is read when the ECU is known.

    Raises:
        DriverOptionError: there is no such file.
    """
    if definition == NO_DEFINITION:
        return None
    path = Path(definition)
    if not path.is_file():
        raise DriverOptionError(f"driver {driver}, option definition: {path}: no such file")
    return path


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

    def plan(self, init: InitReply, definition: Path | None = None) -> ReadingPlan:
        """What this ECU lets us read. Each parameter that it refuses is left out.

        Raises:
            DeviceUnavailableError: too little for a sample: no trim, or no air flow; or the definition
                cannot be used.
        """
        standard = tuple(p for p in PARAMETERS if init.supports(p.index, p.bit))
        if standard and not self._reads(*(address for p in standard for address in p.addresses)):
            standard = tuple(p for p in standard if self._reads(*p.addresses))
        require_enough(init.ecu_id, standard)
        known = ecu_parameters(init.ecu_id, definition)
        address = known.loop_address
        if address is not None and not self._reads(address):
            address = None
        own = fitting(standard, [p for p in known.parameters if self._gives(p)])
        asks_obd = address is None and self._has_fuel_status()
        return ReadingPlan(init.ecu_id, standard, address, asks_obd, own, known.left_out)

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

    def _gives(self, parameter: Parameter) -> bool:
        """Whether the ECU answers a read of this one; samples can do without."""
        try:
            return self._reads(*parameter.addresses)
        except (NoAnswerError, FrameError):
            return False

    def _reads(self, *addresses: int) -> bool:
        """Whether the ECU lets these addresses be read."""
        try:
            payload = self._link.ask(ReadRequest(addresses).to_bytes()).payload
        except RefusedError:
            return False
        ReadReply.from_bytes(payload, len(addresses))
        return True
