"""The page of all figures, ``docs/benchmarks.md``, from what each benchmark reported when it last ran."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from counted import COUNTED
from figures import shown

Section = Mapping[str, Any]

_PURPOSE = """\
Figures that `make bench` measured, beside a peer that did the same work in the same run, and beside what
was aimed for. *Made by `make bench`; edits by hand are lost.* `make bench ARGS="store web"` measures some of
them anew and leaves the others as they are; `ARGS=--resume` measures those that are not yet of this
version. On a busy machine trust the ratios, not the times."""


def page(sections: Mapping[str, Section], titles: Mapping[str, str]) -> str:
    """The whole page. ``sections``: what is kept of each benchmark; ``titles``: name → what it measures."""
    return "\n".join(_lines(sections, titles)) + "\n"


def title_of(benchmark: Path) -> str:
    """What a benchmark measures: the beginning of its docstring."""
    words = ast.get_docstring(ast.parse(benchmark.read_text(encoding="utf-8"))) or benchmark.stem
    return words.partition("\n\n")[0].partition(":")[0].replace("\n", " ").rstrip(".")


def _lines(sections: Mapping[str, Section], titles: Mapping[str, str]) -> Iterator[str]:
    yield from ("# Benchmarks", "", _PURPOSE, "", *_summary(sections), "")
    yield from _machines(sections)
    for name, title in titles.items():
        yield from ("", f"## {title}", "")
        if name not in sections:
            yield f"Not measured yet: `make bench ARGS={name}`."
        else:
            yield from _section(name, sections[name])
    yield from ("", *_counted())


def _summary(sections: Mapping[str, Section]) -> Iterator[str]:
    met = [figure["met"] for section in sections.values() for figure in section["figures"]]
    missed = met.count(False)
    words = f"{missed} missed (bold below)" if missed else "none missed"
    yield f"{len(met)} figures, {len(met) - met.count(None)} of them with a target: {words}."


def _machines(sections: Mapping[str, Section]) -> Iterator[str]:
    """The machine, once for all where it is the same."""
    machines = list(dict.fromkeys(_machine(section["machine"]) for section in sections.values()))
    if len(machines) == 1:
        yield f"Machine: {machines[0]}."
    elif machines:
        yield "Measured on different machines:"
        for number, machine in enumerate(machines, 1):
            names = [name for name, section in sections.items() if _machine(section["machine"]) == machine]
            yield f"{number}. {machine}: {', '.join(names)}"


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores; {machine['system']}; {versions}"


def _section(name: str, section: Section) -> Iterator[str]:
    yield (
        f"`make bench ARGS={name}`, {section['date']}, commit {section['version']}, "
        f"{section['took_s']:.0f} s, load of the machine before it {section['load']:.1f}."
    )
    if section["failed"]:
        yield from ("", f"**It did not come to its end: {section['failed']}.**")
    if section["figures"]:
        yield from (
            "",
            "| figure | value | peer in the same run | ratio | target | |",
            "|---|---|---|---|---|---|",
        )
        yield from map(_row, section["figures"])
    for missing in section["not_measured"]:
        yield from ("", f"Not measured: {missing['name']} ({missing['why']}).")


def _row(figure: Mapping[str, Any]) -> str:
    beside = "" if figure["peer_value"] is None else f"{figure['peer']}: {shown(figure['peer_value'])}"
    ratio = "" if figure["ratio"] is None else f"{shown(figure['ratio'])} ×"
    held = {None: "", True: "met", False: "**missed**"}[figure["met"]]
    value = f"{shown(figure['value'])} {figure['unit']}".strip()
    return _table_row((figure["name"], value, beside, ratio, figure["target"], held))


def _counted() -> Iterator[str]:
    yield "## Counted by tests"
    yield ""
    yield (
        "What must never happen is not measured but tried, as often as this says; one case ends the test. "
        "`make test` tries each less often, `make test-long` and `make test-vm` as stated."
    )
    yield ""
    yield "| what | how often | how | test |"
    yield "|---|---|---|---|"
    for count in COUNTED:
        yield _table_row((count.what, count.how_often, f"`make {count.command}`", f"`tests/{count.test}`"))


def _table_row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
