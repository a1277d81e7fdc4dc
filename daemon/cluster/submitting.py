"""Tasks handed to a cluster, and what became of them in words for a person."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm import CommClosedError

from daemon.cluster.connection import one_line
from daemon.errors import UsageError, WorkError

SOON = 10
"""Priority of what makes room: before reading more."""


class Submitter:
    """A client's tasks: each as new, never one that another client may have asked for as well."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def threads(self) -> dict[str | None, int]:
        """How many threads each worker has that is there now; None stands for the first that will come."""
        with _told_when_lost("asking for workers"):
            found = self._client.nthreads()
        return dict(sorted(found.items())) or {None: 1}

    def submit(self, task: Callable[..., object], *arguments: object, **options: Any) -> Future[Any]:
        """A task that runs anywhere."""
        return self._client.submit(task, *arguments, pure=False, **options)

    def submit_to(
        self, worker: str | None, task: Callable[..., object], *arguments: object, **options: Any
    ) -> Future[Any]:
        """A task for one worker, or for any once that is lost or has more to do than others."""
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        return self.submit(task, *arguments, **where, **options)

    def holders(self, futures: Sequence[Future[Any]]) -> list[str | None]:
        """For each future a worker that has its result; None where there is none."""
        with _told_when_lost("asking where results are"):
            found = self._client.who_has(futures)
        return [next(iter(found.get(future.key, ())), None) for future in futures]

    def done(self, futures: Sequence[Future[Any]]) -> as_completed:
        """These futures as they end, and those that are added meanwhile."""
        return as_completed(futures, loop=self._client.loop)


def result(future: Future[Any], what: str) -> Any:
    """The result of a task; ``what`` it was for.

    Raises:
        UsageError, WorkError: the task's own, or in one line how it failed.
    """
    try:
        with _told_when_lost(what):
            return future.result()
    except (UsageError, WorkError):
        raise
    except KilledWorker as error:
        raise WorkError(
            f"{what}: {error.allowed_failures + 1} workers died one after another while they worked on it; "
            "they may have too little memory for it"
        ) from None
    except Exception as error:
        raise WorkError(f"{what}: a worker failed: {type(error).__name__}: {one_line(error)}") from error


@contextlib.contextmanager
def _told_when_lost(what: str) -> Iterator[None]:
    try:
        yield
    except (CancelledError, CommClosedError, OSError) as error:
        raise WorkError(f"{what}: the cluster was lost: {one_line(error)}") from None
