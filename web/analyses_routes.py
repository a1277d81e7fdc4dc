"""Routes of analyses: ask for runs over uploaded logs, look at them, follow them, cancel them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from web.access import caller_of
from web.analysis_desk import AnalysisDesk, AnalysisOrder, AnalysisStatus, RunOrder
from web.analysis_events import AnalysisEventsResponse
from web.direct_route import answer_directly
from web.documents import encode_json
from web.errors import ApiError
from web.json_body import read_json_object
from web.service_errors import service_errors_answered
from web.webhook_urls import shown_to

MOST_RUNS = 6
MOST_LOGS = 100
LISTED = 100
MOST_LISTED = 1000
_NO_STORE = {"cache-control": "no-store"}
_ALLOWED = (
    'an analysis looks like {"logs": ["id of an uploaded log"], "runs": [{"estimator": "curve", "filters": '
    '{"min_ect_c": 60}}], "webhook_url": "https://…"}; 1 to 6 runs; filters may be "none"; the '
    "webhook_url may be left out"
)

AnalysisId = Annotated[str, Path(alias="id", max_length=64)]
_ERRORS: dict[int | str, dict[str, Any]] = {404: {"description": "there is no such analysis"}}


def add_analyses_routes(app: FastAPI, desk: AnalysisDesk) -> None:
    """Adds the routes to ``app``."""

    @app.post(
        "/api/v1/analyses",
        summary="Ask for 1 to 6 runs over uploaded logs; answers with their ids at once",
        status_code=202,
        response_class=Response,
        responses={
            403: {"description": "the configuration does not allow that webhook"},
            404: {"description": "there is no such log"},
            422: {"description": "not possible; says what is allowed"},
            429: {"description": "the queue is full; Retry-After says when to ask again"},
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}
        },
    )
    async def ask(request: Request) -> Response:
        document = await read_json_object(request, what="an analysis", allowed=_ALLOWED)
        order = _order(document)
        with service_errors_answered():
            ids = await desk.ask(order)
        return _json({"ids": ids}, 202)

    answer_directly(app, ask)

    @app.get(
        "/api/v1/analyses", summary="The newest runs, newest first, without tables", response_class=Response
    )
    async def list_analyses(
        request: Request,
        webhook_url: Annotated[str | None, Query(max_length=2000)] = None,
        status: AnalysisStatus | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = LISTED,
    ) -> Response:
        with service_errors_answered():
            found = await desk.analyses(webhook_url=webhook_url, status=status, limit=limit)
        caller = caller_of(request.scope)
        return _json({"analyses": [shown_to(caller, one) for one in found]})

    @app.get(
        "/api/v1/analyses/{id}",
        summary="A run with its interim or final table",
        response_class=Response,
        responses=_ERRORS,
    )
    async def get_analysis(request: Request, analysis_id: AnalysisId) -> Response:
        with service_errors_answered():
            found = await desk.analysis(analysis_id)
        return _json(shown_to(caller_of(request.scope), found))

    @app.get(
        "/api/v1/analyses/{id}/events",
        summary="Server-sent events: the run whenever it changes, until it has ended",
        response_class=Response,
        responses={**_ERRORS, 200: {"content": {AnalysisEventsResponse.media_type: {}}}},
    )
    async def get_events(request: Request, analysis_id: AnalysisId) -> Response:
        with service_errors_answered():
            await desk.analysis(analysis_id)
        return AnalysisEventsResponse(desk, analysis_id, caller_of(request.scope))

    @app.delete(
        "/api/v1/analyses/{id}",
        summary="Cancel a run that has not ended",
        response_class=Response,
        responses={**_ERRORS, 409: {"description": "it has ended"}},
    )
    async def cancel(analysis_id: AnalysisId) -> Response:
        with service_errors_answered():
            return _json(await desk.cancel(analysis_id))


def _order(document: dict[str, Any]) -> AnalysisOrder:
    """What was asked for, by its shape; whether there are such logs and filters is the desk's to say."""
    _refuse_unknown(document, {"logs", "runs", "webhook_url"}, "an analysis")
    logs, runs, url = document.get("logs"), document.get("runs"), document.get("webhook_url")
    if not isinstance(logs, list) or not all(isinstance(log, str) for log in logs):
        raise _refused("logs is an array of ids")
    if not 1 <= len(logs) <= MOST_LOGS:
        raise _refused(f"logs has {len(logs)} ids; 1 to {MOST_LOGS} are allowed")
    if not isinstance(runs, list) or not 1 <= len(runs) <= MOST_RUNS:
        met = f"met {len(runs)}" if isinstance(runs, list) else "met none"
        raise _refused(f"runs is an array of 1 to {MOST_RUNS} objects, {met}")
    if url is not None and not isinstance(url, str):
        raise _refused("webhook_url is a text")
    return AnalysisOrder(logs, [_run(run) for run in runs], url)


def _run(run: Any) -> RunOrder:
    if not isinstance(run, dict):
        raise _refused(f"a run is an object, met {run!r:.60}")
    _refuse_unknown(run, {"estimator", "filters"}, "a run")
    estimator, filters = run.get("estimator"), run.get("filters", {})
    if estimator is not None and not isinstance(estimator, str):
        raise _refused(f"estimator is a text, met {estimator!r:.60}")
    if filters == "none":
        return RunOrder(estimator, None)
    if not isinstance(filters, dict):
        raise _refused(f'filters is an object or "none", met {filters!r:.60}')
    return RunOrder(estimator, filters)


def _refuse_unknown(document: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(document.keys() - known)
    if unknown:
        named = ", ".join(f"{key!r:.60}" for key in unknown[:5])
        raise _refused(f"{what} has no {named}; keys are {', '.join(sorted(known))}")


def _refused(why: str) -> ApiError:
    return ApiError(422, "invalid_request", f"{why}; {_ALLOWED}")


def _json(document: Any, status: int = 200) -> Response:
    return Response(encode_json(document), status, headers=_NO_STORE, media_type="application/json")


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "logs": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_LOGS},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "estimator": {"type": "string"},
                    "filters": {"oneOf": [{"type": "object"}, {"const": "none"}]},
                },
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": MOST_RUNS,
        },
        "webhook_url": {"type": "string"},
    },
    "required": ["logs", "runs"],
    "additionalProperties": False,
}
