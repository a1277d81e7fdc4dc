"""``lowmaf replay`` as a test calls it: what it prints, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from daemon.cli import main


class Result:
    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status, self.out, self.err = status, out.decode(), err.decode()

    def json(self):
        return json.loads(self.out, parse_constant=lambda constant: pytest.fail(constant))


def runner(capsysbinary) -> Callable[..., Result]:
    """Runs ``lowmaf replay`` with these arguments."""

    def run(*arguments: object) -> Result:
        try:
            status = main(["replay", *map(str, arguments)])
        except SystemExit as left:
            status = int(left.code or 0)
        return Result(status, *capsysbinary.readouterr())

    return run
