"""From what was asked for over HTTP to runs that can be carried out, or to the reason why not."""

from __future__ import annotations

import difflib
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from daemon.analysis.records import Run
from lowmaf.estimate import ESTIMATORS
from lowmaf.filters import FilterError, Filters
from lowmaf.settings import CurveSettings
from web.analysis_desk import AnalysisOrder, RunOrder
from web.service_errors import OrderRefusedError


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a run does not say otherwise: the configuration's."""

    estimator: str
    filters: Filters
    curve: CurveSettings


def runs_of(
    order: AnalysisOrder, defaults: Defaults, *, maf_table_revision: int | None, asked_wall_s: float
) -> list[Run]:
    """The runs of an order, each with an id of its own.

    Raises:
        OrderRefusedError: an estimator, filter or limit that there is not; says which run and what is
            allowed.
    """
    runs = []
    for number, asked in enumerate(order.runs, start=1):
        try:
            estimator, filters = _estimator(asked, defaults), _filters(asked, defaults)
        except (FilterError, OrderRefusedError) as error:
            raise OrderRefusedError(f"run {number}: {error!s:.500}") from None
        runs.append(
            Run(
                id=secrets.token_hex(8),
                logs=tuple(order.logs),
                estimator=estimator,
                filters=filters,
                maf_table_revision=maf_table_revision,
                webhook_url=order.webhook_url,
                asked_wall_s=asked_wall_s,
            )
        )
    return runs


def _estimator(asked: RunOrder, defaults: Defaults) -> str:
    name = defaults.estimator if asked.estimator is None else asked.estimator
    if name not in ESTIMATORS:
        near = difflib.get_close_matches(name, ESTIMATORS, n=1, cutoff=0.0)
        raise OrderRefusedError(
            f"no estimator {name!r:.60}; nearest is {near[0]!r}, all are {', '.join(ESTIMATORS)}"
        )
    return name


def _filters(asked: RunOrder, defaults: Defaults) -> Filters:
    if asked.filters is None:
        return Filters.none()
    return _changed(
        defaults.filters, tuple(f"{name}={_text(name, one)}" for name, one in asked.filters.items())
    )


@lru_cache(maxsize=64)
def _changed(filters: Filters, pairs: tuple[str, ...]) -> Filters:
    """Checking limits takes longer than all else of a run, and a crowd's are nearly all alike."""
    return filters.changed(pairs)


def _text(name: str, value: Any) -> str:
    """A limit as filters take it; null is off."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "off"
    if isinstance(value, int | float | str):
        return str(value)
    raise OrderRefusedError(f"the limit {name!r:.60} is a number, true, false, or null for off")
