"""The FastAPI application: every route, given a :class:`web.board.Board` to read and command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from web import metrics
from web.access import Access, AccessSettings
from web.analyses_routes import add_analyses_routes
from web.analysis_desk import AnalysisDesk
from web.board import Board, Command, CommandRefusedError
from web.cross_origin import OpenEjOrigins
from web.current_table import CurrentTable, TableFormat
from web.device_shelf import DeviceShelf
from web.devices_routes import add_devices_routes
from web.diagnosis_routes import add_diagnosis_route
from web.direct_route import answer_directly
from web.documents import encode_json, recent_verdicts_document
from web.error_handlers import install_error_handlers
from web.errors import ApiError, error_response, is_stream
from web.event_stream import EventStreamResponse
from web.filter_desk import FilterDesk
from web.front import Front
from web.ingest_desk import IngestDesk
from web.ingest_routes import add_ingest_route
from web.json_body import read_json_object
from web.log_shelf import LogSessionDesk, LogShelf
from web.logs_routes import add_log_session_route, add_logs_routes
from web.maf_table_routes import add_maf_table_routes
from web.openapi import document_answers
from web.openej import OpenEjBodyError, analyse
from web.page_files import OPENED_BY, PageFiles
from web.pairing import Pairing
from web.rendition import Renditions, answered
from web.request_body import read_body
from web.results import ResultShelf
from web.results_routes import add_results_routes
from web.review import DriveReview
from web.review_routes import add_review_routes
from web.security import SECURITY_HEADERS, Guard
from web.session_routes import add_session_routes
from web.session_shelf import SessionShelf
from web.settings_routes import add_settings_routes

_NO_STORE = {"cache-control": "no-store"}


def create_app(
    board: Board,
    *,
    version: str,
    front: Front | None = None,
    host_names: Iterable[str] = (),
    openej_origins: Iterable[str] = (),
    sessions: SessionShelf | None = None,
    review: DriveReview | None = None,
    filters: FilterDesk | None = None,
    logs: LogShelf | None = None,
    log_sessions: LogSessionDesk | None = None,
    analyses: AnalysisDesk | None = None,
    results: ResultShelf | None = None,
    ingest: IngestDesk | None = None,
    access: AccessSettings | None = None,
    pairing: tuple[DeviceShelf, Pairing] | None = None,
    diagnose: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
) -> FastAPI:
    """The application over ``board`` and, where drives are kept, ``sessions``, ``review`` and ``filters``;
    over uploaded ``logs``, ``analyses`` of them and ``log_sessions``, which makes them count, and over
    published ``results``, where those are offered; ``ingest`` takes samples that other loggers push.

    ``host_names`` are names it answers to besides addresses.

    ``openej_origins`` are the origins whose pages may use the OpenEJ service, such as
    ``https://openej.example``; any that is not an origin raises ValueError.

    ``access`` says what those may do who were not paired, by ``pairing`` with the devices that are kept;
    without it only somebody at this machine changes things. ``diagnose`` makes the diagnosis file.

    ``front`` is the one that the server asks first; without it one is made of ``host_names``, ``results``,
    ``access`` and ``pairing``, for the server that runs it: ``app.state.events`` is the
    :class:`EventStream`, to be closed before the stop, and ``app.state.hot_paths`` that of the front.
    """
    app = FastAPI(
        title="lowmaf",
        version=version,
        description="Live MAF scaling from closed-loop fuel trims.",
        docs_url=None,  # both pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    devices = None if pairing is None else pairing[0]
    if front is None:
        front = Front(board, host_names=host_names, results=results, access=access, devices=devices)
    app.state.events = front.events
    app.state.hot_paths = front.hot_paths
    app.add_middleware(HeadAsGet)
    app.add_middleware(Access, settings=front.access, requests=front.requests, devices=devices)
    app.add_middleware(Guard, host_rule=front.host_rule, openej_origins=OpenEjOrigins(openej_origins))
    install_error_handlers(app, SECURITY_HEADERS)
    _add_dashboard(app, front.files)
    _add_table(app, front.table)
    _add_state(app, board, front)
    _add_commands(app, board)
    add_maf_table_routes(app, board)
    if sessions is not None:
        add_session_routes(app, sessions)
    if review is not None:
        add_review_routes(app, board, review)
        add_settings_routes(app, review, filters)
    if logs is not None:
        add_logs_routes(app, logs)
    if log_sessions is not None:
        add_log_session_route(app, log_sessions)
    if analyses is not None:
        add_analyses_routes(app, analyses)
    if ingest is not None:
        add_ingest_route(app, ingest)
    if results is not None:
        add_results_routes(app, front.table, results, front.published)
    if pairing is not None:
        add_devices_routes(app, *pairing)
    if diagnose is not None:
        add_diagnosis_route(app, diagnose)
    _add_openej(app, front.access.openej_max_bytes)
    document_answers(app)
    return app


class HeadAsGet:
    """ASGI middleware: routes see HEAD as GET; the server leaves the body out. Streams are not for HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and not is_stream(scope["path"]):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def _add_dashboard(app: FastAPI, files: PageFiles) -> None:
    @app.get("/", include_in_schema=False)
    async def dashboard(request: Request) -> Response:
        return answered(_page_file(files, OPENED_BY, request), request)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def page_file(request: Request, name: str) -> Response:
        return answered(_page_file(files, name, request), request)


def _page_file(files: PageFiles, name: str, request: Request) -> Renditions:
    file = files.file(name)
    if file is None:
        path = request.url.path
        raise ApiError(404, "not_found", f"the page has no file {path}", {"path": path})
    return file


def _add_table(app: FastAPI, table: CurrentTable) -> None:
    @app.get(
        "/api/v1/table",
        summary="The table as learned so far",
        response_class=Response,
        responses={
            304: {"description": "unchanged"},
            409: {"description": "not fit to be flashed; says why"},
        },
    )
    async def get_table(
        request: Request,
        table_format: Annotated[TableFormat, Query(alias="format")] = TableFormat.JSON,
        unchecked: bool = False,
    ) -> Response:
        return answered(table.renditions(table_format, unchecked=unchecked), request)


def _add_state(app: FastAPI, board: Board, front: Front) -> None:
    events = front.events

    @app.get("/api/v1/status", summary="State of the daemon", response_class=Response)
    async def get_status() -> Response:
        return Response(front.status(), headers=_NO_STORE, media_type="application/json")

    @app.get(
        "/api/v1/verdicts",
        summary="What became of the samples of the newest hour of driving, minute by minute",
        response_class=Response,
    )
    async def get_verdicts() -> Response:
        document = recent_verdicts_document(board.recent_verdicts())
        return Response(encode_json(document), headers=_NO_STORE, media_type="application/json")

    @app.get(
        "/api/v1/stream",
        summary="Server-sent events: table, live, status",
        response_class=Response,
        responses={200: {"content": {EventStreamResponse.media_type: {}}}},
    )
    async def get_stream(request: Request) -> Response:
        return EventStreamResponse(events, request.headers.get("last-event-id", ""))

    @app.get("/healthz", summary="Whether the pipeline moves", response_class=Response)
    async def get_health() -> Response:
        status = board.status()
        if status.healthy:
            return Response(encode_json({"status": "ok"}), headers=_NO_STORE, media_type="application/json")
        why = status.unhealthy_because or "the pipeline does not move"
        return error_response(503, "unhealthy", why, {"link": status.link.state})

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        text = metrics.metrics_text(board.status(), board.snapshot(), events.listeners)
        return Response(text, headers={**_NO_STORE, "content-type": metrics.CONTENT_TYPE})

    @app.get("/heartbeat/0", include_in_schema=False)
    @app.get("/heartbeat/0/", summary="Whether the server is there", response_class=PlainTextResponse)
    async def heartbeat() -> Response:
        return PlainTextResponse("alive", headers=_NO_STORE)


def _add_commands(app: FastAPI, board: Board) -> None:
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}

    @app.post(
        "/api/v1/commands",
        summary="A command to the hub; further keys are its arguments",
        response_class=Response,
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
    )
    async def post_command(request: Request) -> Response:
        allowed = 'a command looks like {"command": "reset"}, further keys are its arguments'
        document = await read_json_object(request, what="a command", allowed=allowed)
        name = document.pop("command", None)
        if not isinstance(name, str):
            raise ApiError(422, "invalid_request", allowed)
        try:
            answer = await board.command(Command(name, document))
        except CommandRefusedError as error:
            raise ApiError(422, "command_refused", str(error), {"command": name}) from error
        return Response(encode_json(dict(answer)), headers=_NO_STORE, media_type="application/json")


def _add_openej(app: FastAPI, max_bytes: int) -> None:
    @app.post("/api/analyze/0", include_in_schema=False)
    @app.post("/api/analyze/0/", summary="The OpenEJ service", response_class=Response)
    async def post_openej(request: Request) -> Response:
        body = await read_body(request, max_bytes)
        try:
            answer = await asyncio.to_thread(analyse, body)
        except OpenEjBodyError as error:
            raise ApiError(422, "invalid_request", str(error)) from error
        return Response(answer, headers=_NO_STORE, media_type="application/json")

    answer_directly(app, post_openej)
