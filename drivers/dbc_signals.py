"""Signals of a DBC file as channels of ours: which message holds which, in what unit. Needs cantools."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from drivers.base import DriverError
from drivers.logs.aliases import ROLES, ROLES_SHOWN
from drivers.logs.fuel_loop import SUBARU_OFFSET
from drivers.logs.units import unit_of
from drivers.obd_frames import fuel_loop
from drivers.options import nearest
from lowmaf.samples import CHANNELS, FuelLoop

if TYPE_CHECKING:
    from cantools.database.can import Database, Message, Signal

MAX_BYTES = 16_000_000
_CONSTANTS = frozenset({"ltft_pct", "lambda_target"})
"""Channels that may be a number instead of a signal: an ECU without long-term trim has 0."""

LOOP = "fuel_loop"


class DbcError(DriverError):
    """A DBC file or a channel map that cannot be used; one line with what is known instead."""


@dataclass(frozen=True, slots=True)
class MappedSignal:
    """A signal of a message, and what makes the channel's value of the signal's."""

    channel: str
    signal: str
    convert: Callable[[float], float]


@dataclass(frozen=True, slots=True)
class MappedMessage:
    """A message with those of its signals that become channels."""

    message: Message
    signals: tuple[MappedSignal, ...]

    def values(self, data: bytes) -> dict[str, float] | None:
        """Value by channel, of the signals that this frame holds; None where it cannot be decoded.

        A short frame holds the signals that are whole, a multiplexed one those of its part.
        """
        try:
            decoded: Any = self.message.decode(data, decode_choices=False, allow_truncated=True)
        except Exception:  # noqa: BLE001 - cantools and bitstruct have errors of their own, imported only when used
            return None
        return {
            one.channel: one.convert(float(decoded[one.signal]))
            for one in self.signals
            if one.signal in decoded
        }


@dataclass(frozen=True)
class SignalMap:
    """Channels by the frame that they are in, as (identifier, is extended); ``names`` are the signals'
    as they were asked for, by channel."""

    messages: Mapping[tuple[int, bool], MappedMessage]
    constants: Mapping[str, float]
    names: Mapping[str, str]
    words: str

    @property
    def channels(self) -> tuple[str, ...]:
        """All channels, in the order of ``CHANNELS``."""
        mapped = {one.channel for message in self.messages.values() for one in message.signals}
        return tuple(name for name in CHANNELS if name in mapped or name in self.constants)


def parse_pairs(text: str) -> dict[str, str]:
    """Channel → signal from ``CHANNEL=SIGNAL, CHANNEL=SIGNAL``.

    Raises:
        DbcError: a part without ``=``, or a channel given twice.
    """
    pairs: dict[str, str] = {}
    for part in text.split(","):
        shown, equals, signal = (word.strip() for word in part.partition("="))
        if not equals or not shown or not signal:
            raise DbcError(f"{part.strip()!r} is not CHANNEL=SIGNAL; channels are {', '.join(CHANNELS)}")
        channel = ROLES_SHOWN.get(shown, shown)
        if channel in pairs:
            raise DbcError(f"{channel} is given twice: {pairs[channel]} and {signal}")
        pairs[channel] = signal
    return pairs


def signal_map(dbc: Path, wanted: Mapping[str, str]) -> SignalMap:
    """The signals that become channels.

    ``wanted`` maps channels to ``Signal`` or ``Message.Signal``, or to a number where the ECU has no such
    value. The state of the loop may say how it is written: ``Signal:obd`` (2 is closed, as without),
    ``:subaru`` (8 is closed), or the values or names that mean closed, ``Signal:1|2``.

    Raises:
        DbcError: no such file, channel or signal, a unit that does not fit, or too little for samples.
    """
    for channel in wanted:
        if channel not in CHANNELS:
            raise DbcError(
                f"no channel {channel!r}{nearest(channel, CHANNELS)}; known: {', '.join(CHANNELS)}"
            )
    _require_enough(wanted)
    database = _database(dbc)
    messages: dict[tuple[int, bool], MappedMessage] = {}
    constants: dict[str, float] = {}
    for channel, name in wanted.items():
        if channel in _CONSTANTS and _is_number(name):
            constants[channel] = _constant(channel, name)
            continue
        plain, _, how = name.partition(":") if channel == LOOP else (name, "", "")
        message, signal = _found(database, dbc, channel, plain)
        convert = _loop_decoder(signal, how or "obd") if channel == LOOP else _converter(channel, signal)
        key = (message.frame_id, bool(message.is_extended_frame))
        before = messages[key].signals if key in messages else ()
        messages[key] = MappedMessage(message, (*before, MappedSignal(channel, signal.name, convert)))
    return SignalMap(
        messages, constants, dict(wanted), f"DBC {dbc.name}, {len(wanted) - len(constants)} signals"
    )


def signals_in(dbc: Path) -> list[str]:
    """Names of all signals of a DBC file, in order; ``Message.Signal`` where several messages have one.

    Raises:
        DbcError: it cannot be read.
    """
    named = [(message.name, signal.name) for message in _database(dbc).messages for signal in message.signals]
    count = Counter(signal for _, signal in named)
    return [signal if count[signal] == 1 else f"{message}.{signal}" for message, signal in named]


def _require_enough(wanted: Mapping[str, str]) -> None:
    missing = [channel for channel in ("stft_pct", "ltft_pct", "fuel_loop") if channel not in wanted]
    if not {"maf_v", "maf_gs"} & wanted.keys():
        missing.insert(0, "maf_v or maf_gs")
    if missing:
        hint = " (ltft_pct=0 for an ECU without long-term trim)" if "ltft_pct" in missing else ""
        raise DbcError(f"no signal for {', '.join(missing)}: without, no sample can count{hint}")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _constant(channel: str, text: str) -> float:
    value, limits = float(text), CHANNELS[channel]
    if not limits.low <= value <= limits.high:
        raise DbcError(f"{channel}={text}: allowed are {limits.low:g} to {limits.high:g} {limits.unit}")
    return value


def _found(database: Database, dbc: Path, channel: str, name: str) -> tuple[Message, Signal]:
    """The signal of this name, which may say its message before a dot."""
    holder, _, plain = name.rpartition(".")
    named = [(m, s) for m in database.messages for s in m.signals if s.name == plain]
    found = [(m, s) for m, s in named if holder in ("", m.name)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(f"{message.name}.{plain}" for message, _ in found[:5])
        raise DbcError(f"{channel}={name}: {len(found)} messages of {dbc.name} have it; say which: {choices}")
    if named:
        raise DbcError(
            f"{channel}={name}: {plain} is in {', '.join(m.name for m, _ in named[:5])} of {dbc.name}"
        )
    known = sorted({signal.name for message in database.messages for signal in message.signals})
    near = nearest(plain, known)
    listed = f"; it has {', '.join(known[:8])}{' …' if len(known) > 8 else ''}" if not near else ""
    raise DbcError(f"{channel}={name}: no signal {plain!r} in {dbc.name}{near}{listed}")


def _converter(channel: str, signal: Signal) -> Callable[[float], float]:
    """From the signal's unit to the channel's; a signal without a unit has the channel's."""
    text = (signal.unit or "").strip()
    quantity, limits = ROLES[channel].quantity, CHANNELS[channel]
    unit = unit_of(text)
    if unit is not None and unit.quantity == quantity:
        factor, offset = unit.factor, unit.offset
    elif text in ("", "-", "1"):
        factor, offset = 1.0, 0.0
    else:
        raise DbcError(
            f"{channel}={signal.name}: its unit is {text!r}, and {limits.words} needs one of {quantity}, "
            f"such as {limits.unit}"
        )

    def convert(value: float) -> float:
        ours = value * factor + offset
        return ours if limits.low <= ours <= limits.high else math.nan

    return convert


def _loop_decoder(signal: Signal, closed_loop: str) -> Callable[[float], float]:
    if closed_loop == "obd":
        return lambda value: fuel_loop(round(value))
    if closed_loop == "subaru":
        return lambda value: fuel_loop(round(value) - SUBARU_OFFSET)
    named = {str(words).casefold(): float(value) for value, words in (signal.choices or {}).items()}
    closed = set()
    for part in closed_loop.split("|"):
        word = part.strip()
        if not _is_number(word) and word.casefold() not in named:
            known = (
                f"; {signal.name} knows {', '.join(map(str, (signal.choices or {}).values()))}"
                if named
                else ""
            )
            raise DbcError(
                f"closed loop {word!r}: obd, subaru, or values of {signal.name} that mean closed{known}"
            )
        closed.add(float(word) if _is_number(word) else named[word.casefold()])
    return lambda value: float(FuelLoop.CLOSED if value in closed else FuelLoop.OPEN_LOAD)


def _database(dbc: Path) -> Database:
    try:
        found = dbc.stat()
    except OSError as error:
        raise DbcError(f"DBC file {dbc}: {error.strerror}") from None
    return _parsed(dbc, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)
def _parsed(dbc: Path, _changed_ns: int, size: int) -> Database:
    """The content of a file, parsed once as long as it stays: large ones take a second."""
    if size > MAX_BYTES:
        raise DbcError(f"DBC file {dbc}: more than {MAX_BYTES} bytes are no DBC file")
    try:
        import cantools.database  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise DbcError(
            "decoding a DBC file needs the Python package cantools: pip install 'lowmaf[dbc]'"
        ) from None
    try:
        text = dbc.read_bytes().decode("cp1252", "replace")
        return cast("Database", cantools.database.load_string(text, database_format="dbc", strict=False))
    except OSError as error:
        raise DbcError(f"DBC file {dbc}: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - whatever its parser trips over, the file is what is wrong
        words = " ".join(str(error).split()) or type(error).__name__
        raise DbcError(f"DBC file {dbc} cannot be read: {words[:200]}") from None
