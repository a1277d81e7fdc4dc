"""What a user may tell the hub, and how each command is checked and carried out."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from web.board import Command, CommandRefusedError


class Commanded(Protocol):
    """The part of the hub that commands act on."""

    @property
    def cells(self) -> int:
        """Number of cells of the MAF table."""
        ...

    @property
    def locked(self) -> frozenset[int]: ...

    async def reset(self) -> int:
        """Forgets what was learned; returns the number of the new epoch."""
        ...

    def lock(self, cells: frozenset[int]) -> None: ...
    def want_pause(self, wanted: bool) -> None: ...


Action = Callable[[Commanded, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


async def carry_out(hub: Commanded, command: Command) -> Mapping[str, Any]:
    """Carries out a command and returns what there is to say about it.

    Raises:
        CommandRefusedError: no such command, or arguments that it does not take; says what is allowed.
    """
    action = COMMANDS.get(command.name)
    if action is None:
        near = difflib.get_close_matches(command.name, COMMANDS, n=1)
        nearest = f" (nearest is {near[0]})" if near else ""
        raise CommandRefusedError(f"no command {command.name!r}{nearest}; there are {', '.join(COMMANDS)}")
    return await action(hub, command.arguments)


async def _reset(hub: Commanded, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    _no_arguments("reset", arguments)
    return {"epoch": await hub.reset()}


async def _lock(hub: Commanded, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    hub.lock(hub.locked | _cells_named(arguments, hub.cells))
    return {"locked": sorted(hub.locked)}


async def _unlock(hub: Commanded, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    hub.lock(hub.locked - _cells_named(arguments, hub.cells))
    return {"locked": sorted(hub.locked)}


async def _pause(hub: Commanded, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    _no_arguments("pause", arguments)
    hub.want_pause(True)
    return {"paused": True}


async def _resume(hub: Commanded, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    _no_arguments("resume", arguments)
    hub.want_pause(False)
    return {"paused": False}


COMMANDS: Mapping[str, Action] = {
    "reset": _reset,
    "lock_cells": _lock,
    "unlock_cells": _unlock,
    "pause": _pause,
    "resume": _resume,
}
"""Name → what is done. ``lock_cells`` and ``unlock_cells`` take ``cells``: numbers from 0."""


def _no_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    if arguments:
        raise CommandRefusedError(f"{name} takes no arguments, met {', '.join(sorted(map(str, arguments)))}")


def _cells_named(arguments: Mapping[str, Any], count: int) -> frozenset[int]:
    cells = arguments.get("cells")
    allowed = f'"cells" is a list of cell numbers from 0 to {count - 1}'
    if set(arguments) != {"cells"} or not isinstance(cells, list) or not cells:
        raise CommandRefusedError(f"{allowed}, and nothing else is given")
    for cell in cells:
        if not isinstance(cell, int) or isinstance(cell, bool) or not 0 <= cell < count:
            raise CommandRefusedError(f"{allowed}, met {cell!r}")
    return frozenset(cells)
