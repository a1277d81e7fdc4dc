"""A route that many use at once, without what FastAPI does for routes that have parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response


def answer_directly(app: FastAPI, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
    """Lets Starlette call ``endpoint``, at each of its paths in ``app``, and tries these first.

    It takes the request alone.

    FastAPI looks for parameters and dependencies, and at all routes before this one: that costs as much as
    the work itself. It goes on to describe the route.
    """
    routes = app.router.routes
    for route in [one for one in routes if isinstance(one, APIRoute) and one.endpoint is endpoint]:
        route.app = request_response(endpoint)
        routes.remove(route)
        routes.insert(0, route)
