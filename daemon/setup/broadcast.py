"""What only the owner knows of an ECU that broadcasts: its DBC file, and which signal is which channel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from daemon.errors import UsageError
from daemon.setup.car_files import file_named
from daemon.setup.questions import Interview
from daemon.setup.source import Source
from drivers.dbc_signals import DbcError, parse_pairs, signal_map, signals_in

BROADCAST = "can-broadcast"

_LISTED = 24


def with_signals(source: Source, dbc: Path | None, signals: str | None, interview: Interview) -> Source:
    """The source with its DBC file and its signals, both checked; what was not given is asked for.

    Raises:
        UsageError: what was given cannot be, or there is nobody to ask.
    """
    if dbc is None:
        dbc = file_named(interview.text("DBC file that describes its frames", "--dbc", None, _no_dbc))
    path = dbc.expanduser().absolute()
    if (complaint := _no_dbc(str(path))) is not None:
        raise UsageError(f"--dbc: {complaint}")
    if signals is None:
        known = signals_in(path)
        interview.say(f"  it has {', '.join(known[:_LISTED])}{' …' if len(known) > _LISTED else ''}")
        interview.say(
            "  such as maf_v=SIGNAL, stft_pct=SIGNAL, ltft_pct=0, fuel_loop=SIGNAL:Closed, ect_c=SIGNAL"
        )
        signals = interview.text(
            "Which signal is which channel", "--signals", None, lambda text: _no_signals(path, text)
        )
    if (complaint := _no_signals(path, signals)) is not None:
        raise UsageError(f"--signals: {complaint}")
    return replace(source, options={**source.options, "dbc": str(path), "signals": signals})


def _no_dbc(text: str) -> str | None:
    try:
        signals_in(file_named(text))
    except DbcError as error:
        return str(error)
    return None


def _no_signals(dbc: Path, text: str) -> str | None:
    try:
        signal_map(dbc, parse_pairs(text))
    except DbcError as error:
        return str(error)
    return None
