"""The newest logs, which stay with their workers until the held-out check looks at their blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from distributed import Future

from daemon.cluster import tasks
from daemon.cluster.outcomes import Outcome
from daemon.cluster.reading import Part, States
from daemon.cluster.submitting import SOON, Submitter
from lowmaf.learned import KEPT_BLOCKS
from lowmaf.snapshot import HeldOut


@dataclass(frozen=True, slots=True)
class _Counted:
    """A part, and its logs that count, each with how many blocks it has."""

    part: Part
    logs: tuple[tuple[tasks.Chosen, int], ...]

    @property
    def blocks(self) -> int:
        """Of all its logs that count."""
        return sum(blocks for _, blocks in self.logs)


@dataclass(slots=True)
class _Share:
    """What one worker has of the newest blocks."""

    states: list[States] = field(default_factory=list)
    logs: int = 0
    blocks: int = 0
    chosen: list[tasks.Chosen] = field(default_factory=list)


class NewestLogs:
    """Keeps as many parts as have the newest blocks; what is older the cluster may forget."""

    def __init__(self) -> None:
        self._counted: deque[_Counted] = deque()

    def add(self, part: Part, chosen: Sequence[tasks.Chosen], found: Sequence[Outcome]) -> None:
        """The next part in the order of the logs."""
        self._counted.append(_Counted(part, tuple((each, found[each.index].blocks) for each in chosen)))
        while sum(each.blocks for each in self._counted) - self._counted[0].blocks >= KEPT_BLOCKS:
            self._counted.popleft()

    def held_out(self, cluster: Submitter, kept_job: Future[tasks.Job]) -> Future[HeldOut | None]:
        """The check, made where most of the newest blocks are."""
        shares = self._shares()
        parts = [
            cluster.submit_to(worker, tasks.newest_logs, share.states, share.chosen, priority=SOON)
            for worker, share in shares.items()
        ]
        most = max(shares, key=lambda worker: shares[worker].blocks, default=None)
        return cluster.submit_to(most, tasks.held_out, kept_job, parts, priority=SOON)

    def _shares(self) -> dict[str | None, _Share]:
        """By worker; the oldest of these logs only with as many blocks as are still missing."""
        shares: dict[str | None, _Share] = {}
        for part, logs in self._needed():
            share = shares.setdefault(part.worker, _Share())
            share.chosen += [replace(each, index=each.index + share.logs) for each, _ in logs]
            share.states += part.states
            share.logs += len(part.logs)
            share.blocks += sum(blocks for _, blocks in logs)
        return shares

    def _needed(self) -> Iterator[tuple[Part, list[tuple[tasks.Chosen, int]]]]:
        missing = KEPT_BLOCKS
        for counted in reversed(self._counted):
            needed = []
            for each, blocks in reversed(counted.logs):
                if missing > 0:
                    needed.append((replace(each, skipped=max(0, blocks - missing)), blocks))
                    missing -= blocks
            yield counted.part, needed
