"""Every failure of a route in the one error shape, whoever raised it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from web.errors import ApiError, error_response, is_stream

_LONGEST_MET = 60
"""Characters of a refused value that are repeated to the client."""


def install_error_handlers(app: FastAPI, headers: Mapping[str, str]) -> None:
    """Answers every failure of ``app`` in the error shape.

    ``headers`` are added to the answer to an unexpected failure, which Starlette sends outside
    all middleware.
    """

    async def on_api_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error_response(error.status, error.code, error.message, error.detail, error.headers)

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _of_http_exception(request, error)

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = [_problem(found) for found in error.errors()]
        words = "; ".join(f"{found['where']}: met {found['met']}; {found['what']}" for found in problems)
        return error_response(422, "invalid_request", words, {"problems": problems})

    async def on_client_gone(_request: Request, _error: Exception) -> Response:
        return error_response(400, "client_left", "the client left before its request was complete")

    async def on_unexpected(_request: Request, _error: Exception) -> Response:
        message = "the daemon failed at this request; its log has the cause"
        return error_response(500, "internal_error", message, headers=headers)

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(ClientDisconnect, on_client_gone)
    app.add_exception_handler(Exception, on_unexpected)


def _allowed_methods(request: Request) -> list[str]:
    """What may be done at a path, by all its routes: the router itself looks at the first one only."""
    matching = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in getattr(route, "methods", None) or ()})


def _problem(found: Mapping[str, Any]) -> dict[str, str]:
    """One finding of FastAPI's validation: where it was, what was met there, and what is allowed."""
    met = repr(found.get("input"))
    if len(met) > _LONGEST_MET:
        met = met[:_LONGEST_MET] + " …"
    what = f"allowed: {found['ctx']['expected']}" if found["type"] == "enum" else str(found["msg"])
    return {"where": ".".join(str(part) for part in found["loc"]), "met": met, "what": what}


def _of_http_exception(request: Request, error: HTTPException) -> Response:
    """Errors that Starlette's routing raises, said in our shape."""
    path = request.url.path
    if error.status_code == 404:
        message = f"there is nothing at {path}; the dashboard is at /, the routes are listed in /openapi.json"
        return error_response(404, "not_found", message, {"path": path})
    if error.status_code == 405:
        allowed = _allowed_methods(request)
        if "GET" in allowed and "HEAD" not in allowed and not is_stream(path):
            allowed.append("HEAD")
        takes = ", ".join(allowed)
        message = f"{path} does not take {request.method}" + (f"; it takes {takes}" if takes else "")
        detail = {"method": request.method, "allowed": allowed}
        return error_response(405, "method_not_allowed", message, detail, {"allow": takes} if takes else None)
    code = HTTPStatus(error.status_code).name.lower()
    return error_response(error.status_code, code, str(error.detail), headers=error.headers)
