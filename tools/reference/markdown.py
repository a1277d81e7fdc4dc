"""Markdown as the reference needs it: headings, tables, and texts that no reader takes for markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

NOTICE = "*Made from the code by `make docs`; edits by hand are lost.*"


def page(title: str, purpose: str, *parts: Iterable[str]) -> str:
    """A whole page of the reference; ``purpose`` is one paragraph, wherever its lines end."""
    lines = [f"# {title}", "", NOTICE, "", " ".join(purpose.split())]
    for part in parts:
        lines += ["", *part]
    return "\n".join(lines) + "\n"


def heading(title: str, words: str) -> list[str]:
    """A section's beginning: its title and a paragraph, wherever its lines end."""
    return [f"## {title}", *(["", " ".join(words.split())] if words else [])]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; ``|`` and line ends in a cell are made harmless."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"


def code(text: str) -> str:
    """A word of the program, as it is written; nothing for nothing."""
    return f"`{text}`" if text else ""


def block(text: str, language: str = "") -> Iterator[str]:
    """Lines as they stand."""
    yield f"```{language}"
    yield from text.strip("\n").splitlines()
    yield "```"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
