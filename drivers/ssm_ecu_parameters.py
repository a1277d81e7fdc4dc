"""What one ECU can tell besides its standard parameters: from a definition file, or from our own few.

These values lie at addresses of their own in every ROM. They are finer than the standard bytes: a trim
as a number of 32 bits instead of steps of 0.78 %. And they are more: the mixture that the ECU commands.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from drivers.ssm_definition import EcuParameters, read_definition
from drivers.ssm_frames import FUEL_LOOP_ADDRESSES, MAX_ADDRESSES, Parameter

Shape = tuple[str, int, Callable[[int], float]]
"""Channel, length in bytes, and what makes the channel's value of the raw number."""


def _float(raw: int) -> float:
    return float(struct.unpack(">f", raw.to_bytes(4, "big"))[0])


_TRIM_16: Shape = ("stft_pct", 2, lambda raw: raw * 0.01220703125 - 100.0)
_LEARNED_16: Shape = ("ltft_pct", 2, lambda raw: raw * 0.048828125 - 50.0)
_LAMBDA_16: Shape = ("lambda_", 2, lambda raw: raw / 8192.0)
_TARGET_16: Shape = ("lambda_target", 2, lambda raw: 2048.0 / raw if raw else math.nan)
_TRIM_32: Shape = ("stft_pct", 4, lambda raw: _float(raw) * 100.0 - 100.0)
_LEARNED_32: Shape = ("ltft_pct", 4, lambda raw: _float(raw) * 100.0)
_LAMBDA_32: Shape = ("lambda_", 4, _float)
_TARGET_32: Shape = ("lambda_target", 4, lambda raw: 1.0 / _float(raw) if _float(raw) else math.nan)

BUILT_IN: Mapping[str, Mapping[int, Shape]] = {
    "1B14400505": {0x0209EA: _TRIM_16, 0x020A16: _LEARNED_16, 0x020ADE: _TARGET_16, 0x0209D8: _LAMBDA_16},
    "3152584006": {0xFFAB54: _TRIM_32, 0xFFAC9C: _LEARNED_32, 0xFFAAA8: _TARGET_32, 0xFFA7DC: _LAMBDA_32},
    "4D12044006": {0xFF76FC: _TRIM_32, 0xFF783C: _LEARNED_32},
}
"""First addresses by ECU id; the state of the loop is in ``FUEL_LOOP_ADDRESSES``."""


def ecu_parameters(ecu_id: str, definition: Path | None) -> EcuParameters:
    """What is known of the ECU with this id; what the definition says goes before what we know.

    Raises:
        DefinitionError: the definition cannot be used.
    """
    found = EcuParameters() if definition is None else read_definition(definition, ecu_id)
    loop = FUEL_LOOP_ADDRESSES.get(ecu_id) if found.loop_address is None else found.loop_address
    given = {parameter.channel for parameter in found.parameters}
    ours = tuple(parameter for parameter in built_in(ecu_id) if parameter.channel not in given)
    return EcuParameters(loop, found.parameters + ours, found.left_out)


def built_in(ecu_id: str) -> tuple[Parameter, ...]:
    """The parameters that we know of this ECU ourselves."""
    return tuple(
        Parameter(channel, address, length, decode)
        for address, (channel, length, decode) in BUILT_IN.get(ecu_id, {}).items()
    )


def fitting(standard: Sequence[Parameter], own: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """As many of an ECU's own parameters, in their order, as fit into one request with the standard ones
    and the state of the loop."""
    room = MAX_ADDRESSES - 1 - sum(parameter.length for parameter in standard)
    taken: list[Parameter] = []
    for parameter in own:
        if parameter.length <= room:
            taken.append(parameter)
            room -= parameter.length
    return tuple(taken)
