"""Texts from outside on a terminal: what would move the cursor or hide something is shown, not obeyed."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """``text`` with every character that is not printable as an escape, but for those in ``keep``.

    That are control characters, marks that turn the direction of writing, and bytes of a file's name
    that are no text.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in keep else _escape(character)
                   for character in text)  # fmt: skip


def _escape(character: str) -> str:
    return repr(character)[1:-1]
