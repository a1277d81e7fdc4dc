"""Where each key of a TOML text stands: ``tomllib`` tells values, not lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

KeyPath = tuple[str, ...]

_TOKEN = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<newline>\n)|(?P<equals>=)",
    re.DOTALL,
)
_KEY_PART = re.compile(
    r"""\s*(?:"(?P<basic>(?:\\.|[^"\\])*)"|'(?P<literal>[^']*)'|(?P<bare>[A-Za-z0-9_-]+))\s*"""
)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Line (from 1) on which each table and key of a valid TOML text is first named.

    Keys inside an inline table are not found on their own: see :func:`line_of`.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, statement in _statements(text):
        if statement.startswith("["):
            table = _key_path(statement.strip("[] \t"))
            lines.setdefault(table, number)
        else:
            key = (*table, *_key_path(statement))
            for depth in range(len(table) + 1, len(key) + 1):
                lines.setdefault(key[:depth], number)
    return lines


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """Line of the innermost part of ``path`` that has one; 1 where none has."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each ``[header]``, and of each key up to its ``=``."""
    number, start, depth = 1, 0, 0
    in_value = False
    start_line = 1
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "equals" and not in_value and depth == 0:
            yield start_line, text[start : token.start()].strip()
            in_value = True
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind in ("newline", "comment") and depth == 0:
            statement = text[start : token.start()].strip()
            if not in_value and statement.startswith("["):
                yield start_line, statement
        number += token.group().count("\n")
        if kind == "newline" and depth == 0:
            in_value, start, start_line = False, token.end(), number
        elif kind == "comment" and not in_value:
            start = token.end()
    last = text[start:].strip()
    if not in_value and last.startswith("["):
        yield start_line, last


def _key_path(dotted: str) -> KeyPath:
    """``web."host names"`` → ``("web", "host names")``. Escapes in quoted keys stay as written."""
    return tuple(
        next(part for part in match.groups() if part is not None) for match in _KEY_PART.finditer(dotted)
    )
