"""The OpenAPI document: what FastAPI knows of the routes, with what they answer and how they refuse."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from web.api_schemas import ANSWERS, ERROR, JSON

_REFUSAL = {
    "description": "refused; the message says what is allowed",
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_CREDENTIALS = {
    "cookie": {"type": "apiKey", "in": "cookie", "name": "lowmaf_device"},
    "token": {"type": "http", "scheme": "bearer"},
}


def document_answers(app: FastAPI) -> None:
    """Lets ``app`` describe every answer: successes by :data:`web.api_schemas.ANSWERS`, all else as refusals.

    Call it when all routes are there.
    """
    of_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = of_fastapi()
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _describe(method, path, operation["responses"])
            components = document.setdefault("components", {})
            components["securitySchemes"] = _CREDENTIALS
            schemas = components.setdefault("schemas", {})
            schemas["Error"] = ERROR
            for of_validation in ("HTTPValidationError", "ValidationError"):  # FastAPI's own error shape
                schemas.pop(of_validation, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _describe(method: str, path: str, responses: dict[str, Any]) -> None:
    for status, content in ANSWERS.get((method, path), {}).items():
        answer = responses.setdefault(status, {"description": "the answer"})
        answer["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    for status, answer in responses.items():
        if status.startswith(("4", "5")):
            answer["content"] = _REFUSAL["content"]
    responses.setdefault("default", _REFUSAL)
