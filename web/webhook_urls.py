"""URLs of webhooks, which are often secrets: whoever knows one can send there in the owner's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from web.access import Caller


def origin_of(url: str) -> str:
    """Scheme, host and port: all that is told of a URL to those who may only look, and in messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def shown_to(caller: Caller, analysis: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run as this caller may see it."""
    url = analysis["webhook_url"]
    return analysis if caller.trusted or url is None else {**analysis, "webhook_url": origin_of(url)}
