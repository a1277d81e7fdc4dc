"""Routes for the page's views behind the table: what if, the samples that counted, a cell's history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.responses import Response

from lowmaf.document import CI95
from lowmaf.filters import FilterError
from lowmaf.verdicts import Verdict
from web.board import Board
from web.documents import encode_json
from web.errors import ApiError
from web.review import CountedSample, DriveReview, HistoryStep, ReviewUnavailableError

MOST_LIMITS = 32

Cell = Annotated[int, Path(ge=0, le=10_000, description="number of the cell, from 0")]
Limits = Annotated[
    list[str],
    Query(alias="filter", max_length=MOST_LIMITS, description="KEY=VALUE; VALUE may be off. Others stay."),
]
_NOTHING_KEPT: dict[int | str, dict[str, Any]] = {409: {"description": "no samples are kept"}}


def add_review_routes(app: FastAPI, board: Board, review: DriveReview) -> None:
    """Adds the routes to ``app``."""

    @app.get(
        "/api/v1/what-if",
        summary="How many of the newest kept samples would count with other limits",
        response_class=Response,
        responses=_NOTHING_KEPT,
    )
    async def get_what_if(limits: Limits = []) -> Response:  # noqa: B006 - FastAPI copies the default
        try:
            found = await review.what_if(limits)
        except FilterError as error:
            raise ApiError(422, "invalid_request", str(error)) from error
        except ReviewUnavailableError as error:
            raise ApiError(409, "nothing_kept", str(error)) from error
        return _json(
            {
                "samples": found.samples,
                "drives": list(found.drives),
                "now": _outcome(found.now),
                "then": _outcome(found.then),
            }
        )

    @app.get(
        "/api/v1/points",
        summary="The newest samples that counted, a few dozen of each cell",
        response_class=Response,
        responses=_NOTHING_KEPT,
    )
    async def get_points() -> Response:
        counted = await _counted(review)
        return _json(
            {
                "maf_v": [round(sample.maf_v, 4) for sample in counted],
                "trim_pct": [round(sample.trim_pct, 3) for sample in counted],
            }
        )

    @app.get(
        "/api/v1/cells/{cell}",
        summary="One cell: how its estimate came about, and the newest samples that counted in it",
        response_class=Response,
        responses={404: {"description": "there is no such cell"}},
    )
    async def get_cell(cell: Cell) -> Response:
        maf_v = board.snapshot().table.maf_v
        if cell >= maf_v.size:
            message = f"there is no cell {cell}; the table has cells 0 to {maf_v.size - 1}"
            raise ApiError(404, "cell_unknown", message)
        steps = await review.history(cell)
        try:
            counted = [sample for sample in await review.counted() if sample.cell == cell]
            because = None
        except ReviewUnavailableError as error:
            counted, because = [], str(error)
        return _json(
            {
                "cell": cell,
                "maf_v": float(maf_v[cell]),
                "history": [_step(step) for step in steps],
                "samples": [_sample(sample) for sample in counted],
                "no_samples_because": because,
            }
        )


async def _counted(review: DriveReview) -> Sequence[CountedSample]:
    try:
        return await review.counted()
    except ReviewUnavailableError as error:
        raise ApiError(409, "nothing_kept", str(error)) from error


def _outcome(counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "accepted": counts.get(Verdict.ACCEPTED.label, 0),
        "verdicts": [
            {"verdict": verdict.label, "words": verdict.words, "count": counts[verdict.label]}
            for verdict in Verdict
            if counts.get(verdict.label)
        ],
    }


def _step(step: HistoryStep) -> dict[str, Any]:
    half = CI95 * step.stderr_pct
    return {
        "session": step.session,
        "minute": step.minute,
        "correction_pct": step.correction_pct,
        "ci95_pct": [step.correction_pct - half, step.correction_pct + half] if math.isfinite(half) else None,
        "hits": step.hits,
    }


def _sample(sample: CountedSample) -> dict[str, Any]:
    return {
        "session": sample.session,
        "t_s": sample.t_s,
        "maf_v": sample.maf_v,
        "trim_pct": sample.trim_pct,
        "rpm": sample.rpm,
        "iat_c": sample.iat_c,
    }


def _json(document: Mapping[str, Any]) -> Response:
    return Response(
        encode_json(document), headers={"cache-control": "no-store"}, media_type="application/json"
    )
