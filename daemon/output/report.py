"""The table as text that a person reads at a glance, within 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.output.printable import printable
from lowmaf.verdicts import Verdict

WIDTH = 80
_NONE = "–"
_TIGHT = "\N{NO-BREAK SPACE}"
"""Holds a number and its unit together while lines are wrapped; a space in what is printed."""
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|V|s|ms|min|h|g/s|Hz|°[CF]|kPa)(?!\w))")


def text_report(document: Mapping[str, Any], refusals: Sequence[str] = ()) -> str:
    """A ``lowmaf.table/1`` document in words: logs, verdicts, checks, then the cells.

    ``refusals`` are the reasons why the proposed flow is not offered to flash.
    """
    lines = [line for log in document["logs"] for line in _log(log)]
    lines += ["", *_samples(document["samples"]), "", *_checks(document, refusals), "", *_cells(document)]
    return "\n".join(line.rstrip().replace(_TIGHT, " ") for line in lines) + "\n"


def _log(log: Mapping[str, Any]) -> Iterator[str]:
    facts = [log["format"], log["encoding"], _counted(log["rows"], "row")]
    if log["sample_rate_hz"] is not None:
        facts.append(f"{log['sample_rate_hz']:.1f}{_TIGHT}samples/s")
    if log["duration_s"] is not None:
        facts.append(_duration(log["duration_s"]))
    if log["gaps"]:
        facts.append(f"{_counted(log['gaps'], 'gap')} in time")
    yield from _wrapped(f"{log['name']}: {', '.join(facts)}", "    ")
    yield from _labelled(
        "columns", (f"{role.rstrip('_')} = {header}" for role, header in log["columns"].items())
    )
    yield from _labelled("converted", log["converted"])
    yield from _labelled("inferred", log["inferred"])
    yield from _labelled(
        "left out", (f"{_counted(n, 'row')}: {reason}" for reason, n in log["unusable"].items())
    )
    for warning in log["warnings"]:
        yield from _labelled("warning", [warning])


def _samples(samples: Mapping[str, Any]) -> Iterator[str]:
    seen, accepted = samples["seen"], samples["accepted"]
    share = f" ({100.0 * accepted / seen:.1f} %)" if seen else ""
    yield f"samples: {_count(seen)} seen, {_count(accepted)} counted{share}"
    for label, count in sorted(samples["rejected"].items(), key=lambda item: -item[1]):
        if count:
            yield f"  {_count(count):>9}  {Verdict[label.upper()].words}"


def _checks(document: Mapping[str, Any], refusals: Sequence[str]) -> Iterator[str]:
    if document["lag_s"] is not None:
        yield f"lag from air to lambda: {document['lag_s']:.2f} s"
    held_out = document["held_out"]
    if held_out is not None:
        yield from _wrapped(
            f"held-out check {'passed' if held_out['passed'] else 'failed'}: trims not seen are predicted to "
            f"{held_out['rms_pct']:.2f} % (without correction {held_out['rms_uncorrected_pct']:.2f} %, by "
            f"plain means {held_out['rms_nearest_pct']:.2f} %)",
            "  ",
        )
    for warning in document["warnings"]:
        yield from _wrapped(f"warning: {warning['message']}", "  ")
    for reason in refusals:
        yield from _wrapped(f"not to flash yet: {reason}", "  ")


def _cells(document: Mapping[str, Any]) -> Iterator[str]:
    table = document["maf_table"]
    yield from _wrapped(f"{table['name']}, estimator {document['estimator']}", "  ")
    yield "     V     g/s  corr. %      95 % interval      hits   eff.  state       g/s new"
    for cell in document["cells"]:
        interval = cell["ci95_pct"]
        between = _NONE if interval is None else f"{interval[0]:+7.2f} to {interval[1]:+7.2f}"
        changed = cell["proposed_gs"] is not None and cell["proposed_gs"] != cell["flow_gs"]
        yield (
            f"{cell['maf_v']:6.3f} {_number(cell['flow_gs'], '.2f'):>7} "
            f"{_number(cell['correction_pct'], '+.2f'):>8} {between:>18} {_count(cell['hits']):>9} "
            f"{_number(cell['effective_hits'], '.1f'):>6}  {cell['state']:<12}"
            f"{_number(cell['proposed_gs'], '.2f') if changed else '':>7}"
        )


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _count(value: int) -> str:
    return f"{value:,}".replace(",", _TIGHT)


def _counted(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{_count(number)}{_TIGHT}{what}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    words = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
    return words.replace(" ", _TIGHT)


def _labelled(label: str, parts: Any) -> Iterator[str]:
    words = "; ".join(parts)
    if words:
        yield from _wrapped(f"  {label:<9} {words}", " " * 12)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        _BEFORE_UNIT.sub(_TIGHT, printable(text, keep=_TIGHT)),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
