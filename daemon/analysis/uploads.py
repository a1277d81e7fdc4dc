"""Uploaded logs: streamed to disk, recognised, and kept under ids of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from daemon.analysis.records import UploadedLog
from daemon.analysis.settings import AnalysisSettings
from daemon.analysis.store import AnalysisStore
from daemon.analysis.worker_process import (
    Frame,
    WorkerFailedError,
    WorkerProcess,
    WorkerUnavailableError,
)
from daemon.serving.long_bodies import kept_up
from daemon.store.copying import sync_folder
from daemon.store.records import StoreError
from web.log_shelf import LONGEST_LOG_NAME
from web.service_errors import (
    LogIncompleteError,
    LogInUseError,
    LogTooLargeError,
    LogUnknownError,
    LogUnusableError,
    NoRoomError,
    ServiceUnavailableError,
    TooManyUploadsError,
)

Result = TypeVar("Result")

AT_ONCE = 8
"""Uploads that may go on at the same time."""
RECOGNISED_WITHIN_S = 30.0
_WRITTEN_AT_ONCE = 1 << 20
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(slots=True)
class _Arriving:
    """An upload that goes on. ``announced_bytes`` is None where the sender does not say how long it is."""

    name: str
    announced_bytes: int | None
    bytes: int = 0


class Uploads:
    """Implements :class:`web.log_shelf.LogShelf`. Names that senders give are shown and never used as paths.

    Logs are files in the folder ``<database>-uploads``. A process of its own looks into them.
    """

    def __init__(
        self, kept: AnalysisStore, database: Path, settings: AnalysisSettings, *, min_free_bytes: float
    ) -> None:
        """Nothing is taken any more with less than ``min_free_bytes`` on the disk."""
        self._kept = kept
        self._folder = database.with_name(f"{database.name}-uploads")
        self._settings = settings
        self._min_free_bytes = min_free_bytes
        self._worker = WorkerProcess(settings.memory_bytes, settings.log_limits)
        self._one_looks = asyncio.Lock()
        self._logs: dict[str, UploadedLog] = {}
        self._arriving: list[_Arriving] = []
        self._restored = asyncio.Event()
        self._closed = False
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uploads")

    async def restore(self) -> None:
        """Takes up what is kept: rows without a file and files without a row go."""
        try:
            logs = {log.id: log for log in await self._kept.logs()}
            there = await self._on_disk(self._keep_only, logs.keys())
            for log_id in logs.keys() - there:
                self._kept.delete_log(log_id)
            self._logs = {log_id: log for log_id, log in logs.items() if log_id in there}
        finally:
            self._restored.set()

    async def close(self) -> None:
        """Ends the process that looks into logs."""
        self._closed = True
        await self._worker.close()
        self._disk.shutdown(wait=False)

    def known(self, log_id: str) -> UploadedLog:
        """One log.

        Raises:
            LogUnknownError: there is none of that id.
        """
        log = self._logs.get(log_id)
        if log is None:
            raise LogUnknownError(f"there is no uploaded log {log_id!r:.60}; GET /api/v1/logs lists them")
        return log

    def name(self, log_id: str) -> str | None:
        """What a log is called; None where it was deleted."""
        log = self._logs.get(log_id)
        return None if log is None else log.name

    def path(self, log_id: str) -> Path:
        """The file of a log."""
        return self._folder / log_id

    async def look_into(self, name: str, job: Mapping[str, Any], limit_s: float) -> AsyncGenerator[Frame]:
        """What the process that looks into logs tells of a job, one job after the other.

        Raises:
            LogUnusableError: the log called ``name`` cannot be used, or not within ``limit_s``.
            ServiceUnavailableError: the process cannot be started.
        """
        await self._refuse_closed()
        try:
            async with self._one_looks, contextlib.aclosing(self._worker.work(job, limit_s)) as frames:
                async for frame in frames:
                    if frame.kind == "failed":
                        raise LogUnusableError(json.loads(frame.payload)["error"])
                    yield frame
        except WorkerUnavailableError as error:
            raise ServiceUnavailableError(str(error), retry_after_s=5.0) from None
        except WorkerFailedError as error:
            raise LogUnusableError(f"{name}: it could not be recognised: {error}") from None

    # ---- LogShelf

    async def take(
        self, name: str, chunks: AsyncIterator[bytes], announced_bytes: int | None
    ) -> Mapping[str, Any]:
        await self._refuse_closed()
        self._refuse_without_room(announced_bytes)
        name = shown_name(name)
        arriving = _Arriving(name, announced_bytes)
        self._arriving.append(arriving)
        log_id = secrets.token_hex(8)
        part = self._folder / f"{log_id}.part"
        try:
            await self._receive(part, chunks, arriving)
            recognised = await self._recognise(part, name)
            await self._on_disk(_put_in_place, part, self.path(log_id))
            log = UploadedLog(
                id=log_id,
                name=name,
                bytes=arriving.bytes,
                recognised=recognised,
                uploaded_wall_s=time.time(),
            )
            self._kept.write_log(log)
            await self._kept.flush()
        except (OSError, StoreError) as error:
            self.path(log_id).unlink(missing_ok=True)
            words = error.strerror if isinstance(error, OSError) else error
            raise NoRoomError(f"the log could not be kept: {words}") from None
        finally:
            self._arriving.remove(arriving)
            part.unlink(missing_ok=True)
        self._logs[log_id] = log
        return log.document()

    async def logs(self) -> Mapping[str, Any]:
        await self._restored.wait()
        return {
            "logs": [log.document() for log in self._logs.values()],
            "arriving": [
                {"name": upload.name, "bytes": upload.bytes, "announced_bytes": upload.announced_bytes}
                for upload in self._arriving
            ],
        }

    async def log(self, log_id: str) -> Mapping[str, Any]:
        await self._restored.wait()
        return self.known(log_id).document()

    async def delete(self, log_id: str) -> None:
        await self._refuse_closed()
        log = self.known(log_id)
        del self._logs[log_id]  # from now on nobody can ask for an analysis of it
        try:
            await self._kept.flush()
            needed_by = await self._kept.log_needed_by(log_id)
            if not needed_by:
                self._kept.delete_log(log_id)
                await self._kept.flush()
        except StoreError as error:
            self._logs[log_id] = log
            raise ServiceUnavailableError(f"the log cannot be deleted now: {error}") from None
        if needed_by:
            self._logs[log_id] = log
            raise LogInUseError(
                f"analysis {needed_by[0]} needs the log and has not ended; cancel it or wait",
                analyses=needed_by[:10],
            )
        await self._on_disk(self.path(log_id).unlink, True)

    # ---- inside

    async def _refuse_closed(self) -> None:
        await self._restored.wait()
        if self._closed:
            raise ServiceUnavailableError("uploads are not taken any more: the analysis service has ended")

    async def _on_disk(self, act: Callable[..., Result], *arguments: Any) -> Result:
        """Does something to files in the one thread that does: others' threads never wait for a slow card."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, act, *arguments)

    def _keep_only(self, ids: Collection[str]) -> set[str]:
        """Removes files of uploads that have no row; returns the ids of logs that are there."""
        there = set()
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name in ids:
                there.add(path.name)
            elif _ID.fullmatch(path.name.removesuffix(".part")):
                path.unlink()
        return there

    def _refuse_without_room(self, announced_bytes: int | None) -> None:
        limit = self._settings.max_upload_bytes
        if announced_bytes is not None and announced_bytes > limit:
            raise _too_large(announced_bytes, limit)
        if len(self._arriving) >= AT_ONCE:
            raise TooManyUploadsError(
                f"{AT_ONCE} uploads go on already, more are not taken at once", retry_after_s=2.0
            )
        if len(self._logs) + len(self._arriving) >= self._settings.max_uploads:
            raise NoRoomError(
                f"{self._settings.max_uploads} logs are kept, more are not allowed; delete some, or raise "
                "[storage] max_uploads"
            )
        self._refuse_full_disk(announced_bytes or 0)

    def _refuse_full_disk(self, more_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._folder.parent).free
        if free_bytes - more_bytes < self._min_free_bytes:
            raise NoRoomError(
                f"the disk has {free_bytes / 1e6:.0f} MB free, and "
                f"{self._min_free_bytes / 1e6:.0f} MB are to stay free"
            )

    async def _receive(self, part: Path, chunks: AsyncIterator[bytes], arriving: _Arriving) -> None:
        with await self._on_disk(_new_file, part) as file:
            waiting = bytearray()
            async for chunk in kept_up(chunks, self._settings.bodies, LogIncompleteError):
                arriving.bytes += len(chunk)
                if arriving.bytes > self._settings.max_upload_bytes:
                    raise _too_large(arriving.bytes, self._settings.max_upload_bytes)
                waiting += chunk
                if len(waiting) >= _WRITTEN_AT_ONCE:
                    self._refuse_full_disk(len(waiting))
                    await self._on_disk(_write, file, waiting)
                    waiting = bytearray()
            await self._on_disk(_write, file, waiting)
        if not arriving.bytes:
            raise LogUnusableError("the body is empty; the body of the request is the log itself")

    async def _recognise(self, path: Path, name: str) -> Mapping[str, Any]:
        job = {"work": "recognise", "log": {"path": str(path), "name": name}}
        async with contextlib.aclosing(self.look_into(name, job, RECOGNISED_WITHIN_S)) as frames:
            async for frame in frames:
                found: Mapping[str, Any] = json.loads(frame.payload)
        return found


def shown_name(name: str) -> str:
    """A log's name as it may be shown: the last part of a path, printable, not too long."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(char for char in last if char.isprintable())[:LONGEST_LOG_NAME].strip() or "log"


def _new_file(path: Path) -> BinaryIO:
    path.parent.mkdir(exist_ok=True)
    return path.open("xb")


def _write(file: BinaryIO, piece: bytearray) -> None:
    """Writes to the disk itself: a card is not to owe much when what was driven is to be written."""
    file.write(piece)
    file.flush()
    os.fsync(file.fileno())


def _put_in_place(part: Path, place: Path) -> None:
    part.replace(place)
    sync_folder(place.parent)


def _too_large(size: int, limit: int) -> LogTooLargeError:
    return LogTooLargeError(f"the log has {size} bytes or more; {limit} are allowed", limit_bytes=limit)
