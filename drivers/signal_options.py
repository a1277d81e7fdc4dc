"""Options that say which signals of a DBC file are which channels."""

from __future__ import annotations

from pathlib import Path

from drivers.base import DriverOptionError, OptionMissingError
from drivers.dbc_signals import DbcError, SignalMap, parse_pairs, signal_map

NONE = "none"
DBC_WORDS = "DBC file that describes the frames; needs the extra lowmaf[dbc]"
SIGNALS_WORDS = (
    "which signal is which channel: CHANNEL=SIGNAL or CHANNEL=MESSAGE.SIGNAL, separated by commas; maf_v "
    "or maf_gs, stft_pct, ltft_pct (0 for an ECU without) and fuel_loop are needed; fuel_loop=SIGNAL:obd "
    "is closed at 2, :subaru at 8, and :1|2 at the values or names listed"
)


def signals_named(driver: str, dbc: str, signals: str) -> SignalMap:
    """The map that the options ``dbc`` and ``signals`` of a driver name.

    Raises:
        OptionMissingError: one of them is not there.
        DriverOptionError: the file cannot be read, or does not fit the signals.
    """
    if NONE in (dbc, signals):
        raise OptionMissingError(
            f"driver {driver} needs the options dbc (a DBC file) and signals (which signal is which channel) "
            "together"
        )
    try:
        return signal_map(Path(dbc), parse_pairs(signals))
    except DbcError as error:
        raise DriverOptionError(f"driver {driver}: {error}") from None
