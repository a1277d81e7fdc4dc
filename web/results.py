"""Published results: tables as they stood when somebody published them, under a lasting address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from web.current_table import TableFormat, formatted_table
from web.rendition import Renditions
from web.service_errors import ServiceError

AT_HAND = 64
"""So many results are kept ready to be sent; others are read when they are asked for."""


class ResultUnknownError(ServiceError):
    """There is no published result of that id."""

    status, code = 404, "result_unknown"


@dataclass(frozen=True, slots=True)
class ResultHead:
    """What is said of a result in a list. ``published_wall_s`` is in seconds since 1970, UTC."""

    id: str
    name: str
    published_wall_s: float

    def document(self) -> dict[str, Any]:
        """The head as JSON can say it, with the address."""
        return {
            "id": self.id,
            "name": self.name,
            "published_wall_s": self.published_wall_s,
            "address": f"/api/v1/results/{self.id}",
        }


@dataclass(frozen=True, slots=True)
class Result:
    """A table that was published: ``table`` is its JSON, format ``lowmaf.table/1``; ``refusals`` say why it
    is not fit to be flashed, nothing where it is."""

    head: ResultHead
    table: bytes
    refusals: Sequence[str]


class ResultShelf(Protocol):
    """Who keeps results. Every method raises a :class:`web.service_errors.ServiceError` where it cannot."""

    async def publish(self, name: str, table: bytes, refusals: Sequence[str]) -> ResultHead:
        """Keeps a result; returns when it survives a power cut."""
        ...

    async def results(self) -> Sequence[ResultHead]:
        """All of them, oldest first."""
        ...

    async def result(self, result_id: str) -> Result:
        """One of them."""
        ...

    async def delete(self, result_id: str) -> None:
        """Takes one away; its address leads nowhere from then on."""
        ...


class PublishedResults:
    """Results as bytes, the newest asked for at hand."""

    def __init__(self, shelf: ResultShelf | None) -> None:
        """Without a ``shelf`` there are none."""
        self._shelf = shelf
        self._at_hand: OrderedDict[str, tuple[Result, Renditions]] = OrderedDict()

    def at_hand(self, result_id: str) -> Renditions | None:
        """The JSON of a result that was asked for not long ago; None: :meth:`renditions` may have it."""
        found = self._at_hand.get(result_id)
        return None if found is None else found[1]

    def all_at_hand(self) -> dict[str, Renditions]:
        """Those that :meth:`at_hand` gives, by their ids."""
        return {result_id: renditions for result_id, (_, renditions) in self._at_hand.items()}

    async def renditions(
        self, result_id: str, table_format: TableFormat, *, unchecked: bool = False
    ) -> Renditions:
        """A result in any format; raises what its shelf and :func:`formatted_table` raise."""
        result, as_json = await self._had(result_id)
        if table_format is TableFormat.JSON:
            return as_json
        document = msgspec.json.decode(result.table)
        return formatted_table(document, result.refusals, table_format, unchecked=unchecked)

    async def delete(self, result_id: str) -> None:
        """Takes a result away."""
        assert self._shelf is not None
        await self._shelf.delete(result_id)
        self._at_hand.pop(result_id, None)

    async def _had(self, result_id: str) -> tuple[Result, Renditions]:
        found = self._at_hand.get(result_id)
        if found is None:
            assert self._shelf is not None
            result = await self._shelf.result(result_id)
            found = result, Renditions(result.table, "application/json", 0)
            self._at_hand[result_id] = found
            if len(self._at_hand) > AT_HAND:
                self._at_hand.popitem(last=False)
        else:
            self._at_hand.move_to_end(result_id)
        return found
