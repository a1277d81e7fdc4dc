"""How the analysis service refuses, and what each refusal is over HTTP.

Whoever implements :class:`web.log_shelf.LogShelf` and :class:`web.analysis_desk.AnalysisDesk` raises these;
the message is for a person.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, ClassVar

from web.errors import ApiError


class ServiceError(Exception):
    """A request that cannot be met. ``retry_after_s`` is given where it may be met later."""

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(self, message: str, *, retry_after_s: float | None = None, **detail: Any) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.detail = detail


class LogUnknownError(ServiceError):
    """There is no uploaded log of that id."""

    status, code = 404, "log_unknown"


class LogUnusableError(ServiceError):
    """What was uploaded is no log that can give a table; the message says why."""

    status, code = 422, "log_unreadable"


class LogTooLargeError(ServiceError):
    """The log is larger than is taken."""

    status, code = 413, "body_too_large"


class LogIncompleteError(ServiceError):
    """The body ended, or stopped coming, before all of it was here."""

    status, code = 400, "upload_incomplete"


class LogInUseError(ServiceError):
    """Analyses that have not ended need the log."""

    status, code = 409, "log_in_use"


class NoRoomError(ServiceError):
    """As many logs are kept as are allowed, or the disk is full."""

    status, code = 507, "no_room"


class TooManyUploadsError(ServiceError):
    """As many uploads go on as are allowed at once."""

    status, code = 429, "too_many_uploads"


class OrderRefusedError(ServiceError):
    """No analysis can be made of what was asked for; the message says what is allowed."""

    status, code = 422, "invalid_request"


class WebhookForbiddenError(ServiceError):
    """The configuration does not allow pushes to that address."""

    status, code = 403, "webhook_forbidden"


class QueueFullError(ServiceError):
    """As many runs wait as are allowed."""

    status, code = 429, "queue_full"


class AnalysisUnknownError(ServiceError):
    """There is no analysis of that id."""

    status, code = 404, "analysis_unknown"


class AnalysisEndedError(ServiceError):
    """The analysis has ended and cannot be cancelled."""

    status, code = 409, "analysis_ended"


class ServiceUnavailableError(ServiceError):
    """The service cannot be used now: its database or its processes fail."""

    status, code = 503, "service_unavailable"


@contextlib.contextmanager
def service_errors_answered() -> Iterator[None]:
    """Turns a refusal into the answer that says it."""
    try:
        yield
    except ServiceError as error:
        headers = {}
        if error.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
        raise ApiError(error.status, error.code, str(error), error.detail, headers) from error
