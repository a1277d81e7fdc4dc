"""Limits that were changed on the page: kept in the database, over those of the configuration."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import fields

from daemon.live.hub import Hub
from daemon.store.records import StoreError
from daemon.store.rows import sealed, unsealed
from daemon.store.store import Store
from lowmaf.filters import FilterError, Filters
from web.filter_desk import FilterChange
from web.service_errors import ServiceUnavailableError

logger = logging.getLogger(__name__)

_KEY = "changed_filters"
"""Where ``meta`` has them: filter name to what follows ``=`` in ``KEY=VALUE``."""


async def filters_in_use(store: Store, configured: Filters) -> Filters:
    """The configuration's limits with those that were changed on the page.

    Where both together are impossible, or the page's are damaged, the configuration's alone.
    """
    text = await store.remembered(_KEY)
    changed = {} if text is None else unsealed(text)
    if changed is None:
        logger.warning("which filters were changed on the page was damaged on the disk: as configured again")
        return configured
    try:
        return configured.changed(f"{name}={value}" for name, value in changed.items())
    except FilterError as error:
        logger.warning("filters that were changed on the page do not fit the configuration: %s", error)
        return configured


class KeptFilters:
    """Implements :class:`web.filter_desk.FilterDesk`. The configuration file stays as it is."""

    def __init__(self, hub: Hub, store: Store, configured: Filters) -> None:
        self._hub = hub
        self._store = store
        self._configured = configured
        self._one_at_a_time = asyncio.Lock()

    async def change(self, change: FilterChange) -> None:
        """See :class:`web.filter_desk.FilterDesk`."""
        async with self._one_at_a_time:
            back = [f"{name}={self._configured_text(name)}" for name in change.configured]
            filters = self._hub.settings.filters.changed([*change.pairs, *back])
            if filters == self._hub.settings.filters:
                return
            changed = {
                name: _text(filters, name)
                for name in _NAMES
                if getattr(filters, name) != getattr(self._configured, name)
            }
            self._store.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", _KEY, sealed(changed))
            try:
                await self._store.flush()
            except StoreError as error:
                raise ServiceUnavailableError(f"the filters cannot be kept now: {error}") from None
            self._hub.judge_by(filters)
            logger.info("filters changed on the page: %s", ", ".join(changed) or "as configured again")

    def _configured_text(self, name: str) -> str:
        """What the configuration says; nothing of a name that there is not, which is refused."""
        return _text(self._configured, name) if name in _NAMES else ""


_NAMES = tuple(spec.name for spec in fields(Filters))


def _text(filters: Filters, name: str) -> str:
    """A limit as :meth:`lowmaf.filters.Filters.changed` takes it."""
    value = getattr(filters, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "off" if math.isinf(value) else repr(value)
