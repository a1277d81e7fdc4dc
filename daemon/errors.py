"""Errors that a person can act on; each message is one line that says what, where and what is allowed."""

from __future__ import annotations


class UsageError(Exception):
    """Wrong usage or configuration: nothing was started, exit status 2."""


class WorkError(Exception):
    """The work failed: exit status 1."""
