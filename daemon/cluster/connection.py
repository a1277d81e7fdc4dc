"""A connection to a cluster that runs already, and whether its workers are fit for the work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from distributed import Client
from distributed.comm import CommClosedError

from daemon.cluster.tasks import versions
from daemon.errors import WorkError

CONNECT_S = 5.0
WORKERS_S = 10.0
"""So long a cluster may take to get its first worker."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at ``address``, such as ``tcp://10.0.0.5:8786``.

    Raises:
        WorkError: nobody answers there, it has no workers, or they have other versions.
    """
    # The library writes pages about connections that end; what matters of them is said in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="lowmaf")
    except (OSError, ValueError, TypeError, CommClosedError, ImportError) as error:
        raise WorkError(
            f"--cluster {address}: no Dask scheduler answers there; it is the address that "
            f"dask scheduler prints, such as tcp://10.0.0.5:8786 ({one_line(error)})"
        ) from None
    try:
        _refuse_unfit(client, address)
        yield client
    finally:
        client.close(timeout=CONNECT_S)


def _refuse_unfit(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError:
        raise WorkError(
            f"--cluster {address}: the scheduler has no workers; start some: dask worker {address}"
        ) from None
    own = versions()
    found = client.run(versions, on_error="return")
    for worker, theirs in sorted(found.items()):
        if isinstance(theirs, ModuleNotFoundError):
            raise WorkError(f"--cluster {address}: lowmaf is not installed on the worker {worker} ({theirs})")
        if not isinstance(theirs, dict):
            raise WorkError(f"--cluster {address}: the worker {worker} fails: {one_line(theirs)}")
        different = [
            f"{name} {theirs.get(name)} instead of {version}"
            for name, version in own.items()
            if theirs.get(name) != version
        ]
        if different:
            raise WorkError(f"--cluster {address}: the worker {worker} has {', '.join(different)}")


def one_line(error: object) -> str:
    """The first line of an error, or what kind it is."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
