"""What can be done with the drives that are kept: the shelf behind the routes and ``lowmaf sessions``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from daemon.drives.counting import Counting
from daemon.drives.session_documents import session_details, session_document
from daemon.drives.session_export import ExportFormat, export_csv, export_json
from daemon.drives.session_rebuild import RebuildOutcome, rebuild
from daemon.store.reader import StoreReader
from daemon.store.records import Session, StoreError
from daemon.store.store import Store
from web.session_shelf import (
    SessionChange,
    SessionRefusedError,
    SessionsUnavailableError,
    SessionUnknownError,
)


class SessionReading:
    """Implements the part of :class:`web.session_shelf.SessionShelf` that changes nothing."""

    def __init__(
        self, reader: StoreReader, goes_on: Callable[[Session], bool], estimator: str | None = None
    ) -> None:
        """``goes_on`` tells whether samples go to a session now, ``estimator`` who makes a table of them."""
        self._reader = reader
        self._goes_on = goes_on
        self._estimator = estimator

    async def sessions(self) -> list[Mapping[str, Any]]:
        with _readable():
            counting = await Counting.of(self._reader, self._estimator)
            return [
                session_document(session, counting.why_not(session), goes_on=self._goes_on(session))
                for session in await self._reader.sessions()
            ]

    async def numbers(self) -> list[int]:
        """Numbers of all sessions that are over, oldest first."""
        with _readable():
            return [session.id for session in await self._reader.sessions() if not self._goes_on(session)]

    async def session(self, number: int) -> Mapping[str, Any]:
        with _readable():
            session = await self._known(number)
            why_not = (await Counting.of(self._reader, self._estimator)).why_not(session)
            return await session_details(self._reader, session, why_not, goes_on=self._goes_on(session))

    async def export(self, number: int, export_format: str) -> AsyncIterator[bytes]:
        if ExportFormat(export_format) is ExportFormat.JSON:
            return export_json(self._reader, number, await self.session(number))
        with _readable():
            await self._known(number)
        return export_csv(self._reader, number)

    async def _known(self, number: int) -> Session:
        session = await self._reader.session(number)
        if session is not None:
            return session
        numbers = [session.id for session in await self._reader.sessions()]
        there_are = f"there are {numbers[0]} to {numbers[-1]}" if numbers else "none is kept yet"
        raise SessionUnknownError(f"there is no session {number}; {there_are}")


class KeptSessions(SessionReading):
    """Implements :class:`web.session_shelf.SessionShelf`. One change is made at a time."""

    def __init__(
        self,
        store: Store,
        goes_on: Callable[[Session], bool],
        relearn: Callable[[], Awaitable[None]],
        estimator: str | None = None,
    ) -> None:
        """``relearn`` is called when what counts in the table has changed."""
        super().__init__(store, goes_on, estimator)
        self._store = store
        self._relearn = relearn
        self._one_at_a_time = asyncio.Lock()

    async def change(self, number: int, change: SessionChange) -> Mapping[str, Any]:
        async with self._one_at_a_time:
            with _readable():
                session = await self._known(number)
                counts_anew = change.included is not None and change.included != session.included
                if counts_anew:
                    self._refuse_going_on(session, "included" if change.included else "excluded")
                    if change.included and not session.samples:
                        await self._judge(session)
                    self._store.write(
                        "UPDATE sessions SET included = ? WHERE id = ?", int(bool(change.included)), number
                    )
                if change.name is not None:
                    self._store.write(
                        "UPDATE sessions SET name = ? WHERE id = ?", change.name.strip() or None, number
                    )
                await self._store.flush()
                if counts_anew:
                    await self._relearn()
        return await self.session(number)

    async def delete(self, number: int) -> None:
        async with self._one_at_a_time:
            with _readable():
                session = await self._known(number)
                self._refuse_going_on(session, "deleted")
                self._store.write_session_removal(number)
                await self._store.flush()
                await self._relearn()

    async def rebuild(self, number: int) -> Mapping[str, Any]:
        async with self._one_at_a_time:
            with _readable():
                session = await self._known(number)
                self._refuse_going_on(session, "made anew")
                rebuilt = await rebuild(self._store, session)
                if rebuilt.outcome is RebuildOutcome.REPLACED:
                    await self._relearn()
        return {"id": number, "outcome": str(rebuilt.outcome), "message": rebuilt.words}

    async def _judge(self, session: Session) -> None:
        """Judges samples that were pushed, and that nobody has asked for until now."""
        rebuilt = await rebuild(self._store, session)
        if rebuilt.outcome is RebuildOutcome.LEFT:
            raise SessionRefusedError(f"session {session.id} cannot be included: {rebuilt.words}")

    def _refuse_going_on(self, session: Session, verb: str) -> None:
        if self._goes_on(session):
            raise SessionRefusedError(
                f"session {session.id} is the drive that goes on now; it can be {verb} when it is over: two "
                "minutes after the engine was switched off, or when lowmaf is paused"
            )


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise SessionsUnavailableError(str(error)) from error
