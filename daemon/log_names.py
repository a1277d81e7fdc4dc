"""Which logs are meant: names, patterns and folders, on this machine or under a URL."""

from __future__ import annotations

import contextlib
import glob
import importlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.errors import UsageError, WorkError
from drivers.logs.errors import LogUnreadableError

_URL = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)
_COPIED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class NamedLog:
    """One log by its name; its size in bytes where that is known without opening it."""

    name: str
    size: int | None = None


def is_url(name: str) -> bool:
    """Whether a name is a URL, such as ``s3://bucket/drive.csv``."""
    return _URL.match(name) is not None


def expanded(names: Iterable[str], folder: Path) -> list[NamedLog]:
    """Every log that these names mean, in their order; what a name stands for is sorted.

    A folder stands for all files in it and below, a pattern (``*``, ``?``, ``[…]``, ``**``) for what it
    matches; hidden files only where they are named. A URL is a folder where it ends in ``/``. Relative
    names count from ``folder``. A name that nothing is found for stays, to be told of as a log is.

    Raises:
        UsageError: a URL of a kind that cannot be read here, or a folder there with nothing in it.
        WorkError: what a URL stands for could not be asked.
    """
    return [found for name in names for found in (_of_url(name) if is_url(name) else _of_path(name, folder))]


def refuse_twice(names: Iterable[str]) -> None:
    """Evidence counted twice is a mistake, not a wish.

    Raises:
        UsageError: a name that comes twice.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{name} is given twice: its samples would count double")
        seen.add(name)


@contextlib.contextmanager
def at_hand(name: str, folder: Path) -> Iterator[Path]:
    """The file that ``name`` means; what a URL names elsewhere is copied for as long as it is needed.

    Raises:
        LogUnreadableError: the URL names nothing, or nothing that may be read.
        WorkError: copying it failed.
    """
    if not is_url(name):
        yield folder / name
        return
    system, path = _file_system(name)
    if "file" in _protocols(system):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="lowmaf-") as kept:
        copy = Path(kept) / (re.sub(r"[^\w.-]", "_", path.rpartition("/")[2])[-100:] or "log")
        try:
            with system.open(path, "rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, _COPIED_BYTES)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise LogUnreadableError(name, f"cannot be opened: {_why(error)}") from error
        except Exception as error:
            raise WorkError(f"{name}: reading failed: {_why(error)}") from error
        yield copy


def _of_path(name: str, folder: Path) -> list[NamedLog]:
    path = folder / name
    found: list[NamedLog] = []
    with contextlib.suppress(OSError):  # whoever opens the log says what is wrong with its name
        if path.is_dir():
            below = sorted(each for each in path.rglob("*") if not _hidden(each, path))
            found = _sized((str(Path(name) / each.relative_to(path)) for each in below), folder)
        elif not path.exists() and glob.has_magic(name):
            matching = glob.glob(name, root_dir=folder, recursive=True)  # noqa: PTH207 - Path has no absolute patterns
            found = _sized(sorted(matching), folder)
        else:
            found = _sized([name], folder)
    return found or [NamedLog(name)]


def _sized(names: Iterable[str], folder: Path) -> list[NamedLog]:
    return [NamedLog(name, (folder / name).stat().st_size) for name in names if (folder / name).is_file()]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _of_url(url: str) -> Iterator[NamedLog]:
    system, path = _file_system(url)
    # In the address of a web page ? begins a query.
    pattern = glob.has_magic(path) if _protocols(system).isdisjoint(("http", "https")) else "*" in path
    if not pattern and not url.endswith("/"):
        yield NamedLog(url)
        return
    try:
        found = system.glob(path, detail=True) if pattern else system.find(path, detail=True)
    except Exception as error:
        raise WorkError(f"{url}: cannot be listed: {_why(error)}") from error
    files = sorted((name, about) for name, about in found.items() if about.get("type") == "file")
    if not files:
        raise UsageError(f"{url}: no log is there")
    for name, about in files:
        yield NamedLog(system.unstrip_protocol(name), about.get("size"))


def _file_system(url: str) -> tuple[Any, str]:
    try:
        fsspec = importlib.import_module("fsspec.core")
        system, path = fsspec.url_to_fs(url)
    except ModuleNotFoundError as error:
        if error.name != "fsspec":
            raise UsageError(f"{url}: cannot be read here: {_why(error)}") from None
        raise UsageError(f"{url}: URLs need fsspec: pip install 'lowmaf[cluster]'") from None
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url}: cannot be read here: {_why(error)}") from None
    return system, path


def _protocols(system: Any) -> set[str]:
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


def _why(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return " ".join(str(strerror or error or type(error).__name__).split())
