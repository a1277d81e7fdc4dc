"""Whether the ECU that is read is the one that the table was learned from: a table is of one car."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lowmaf.snapshot import DataWarning, Snapshot


class EcuWatch:
    """Remembers by its id which ECU the table was learned from. Sources that know no id change nothing."""

    def __init__(self, learned_from: str | None = None, keep: Callable[[str], None] = lambda _: None) -> None:
        """``keep`` is told the id once it is known, and after learning began anew."""
        self._learned_from = learned_from
        self._keep = keep
        self._now: str | None = None

    def seen(self, ecu_id: str | None) -> None:
        """This ECU is read from now on; the first whose id is known is the one that is learned from."""
        self._now = ecu_id
        if self._learned_from is None:
            self.learn_anew()

    def learn_anew(self) -> None:
        """What was learned is forgotten: the ECU of now is the one that is learned from."""
        if self._now is not None:
            self._learned_from = self._now
            self._keep(self._now)

    def warned(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, with a warning that forbids to flash it where another ECU taught its table."""
        if self._now is None or self._now == self._learned_from:
            return snapshot
        warning = DataWarning(
            "other_ecu",
            f"this ECU (id {self._now}) is not the one the table was learned from (id {self._learned_from}): "
            "give each car its own database ([storage] database), or reset what was learned where this is "
            "the same car with another ECU or program",
            blocks_flash=True,
        )
        return replace(snapshot, warnings=(warning, *snapshot.warnings))
