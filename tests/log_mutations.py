"""Damage to recorded logs, seeded: what cards, cables, editors and mail programs do to text files."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

ODD_FIELDS = (
    b"", b"-", b"--", b".", b"nan", b"NaN", b"inf", b"-Infinity", b"1e400", b"1e-9", b"-0", b"+", b"0x1F",
    b"9" * 40, b"1,5", b"1.2.3", b"12:34", b"99:99:99", b"on", b"8", b"16", b"2023-13-45 99:00", b"\xff\xfe",
    b"\x00", b'"', b'"a,b"', b"\xb0C", b"\xef\xbf\xbd", b"#REF!", b"=1+1", b"-1e308", b"9007199254740993",
)  # fmt: skip
SEPARATORS = (b",", b";", b"\t", b" ", b"|")
LINE_ENDS = (b"\n", b"\r\n", b"\r", b"\r\r\n")


def mutated(contents: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the logs with one to four kinds of damage."""
    text = chance.choice(contents)
    for _ in range(chance.randint(1, 4)):
        text = chance.choice(_KINDS)(text, chance, contents)
    return text


def _noise(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    spoilt = bytearray(text)
    for _hit in range(chance.randint(1, 8)):
        at = chance.randrange(len(spoilt) + 1)
        spoilt[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
    return bytes(spoilt)


def _cut(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    first, last = sorted(chance.randrange(len(text) + 1) for _end in range(2))
    return chance.choice((text[:last], text[first:], text[:first] + text[last:]))


def _field(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    separator = max(SEPARATORS[:3], key=text.count)
    fields = text.split(separator)
    for _hit in range(chance.randint(1, 5)):
        fields[chance.randrange(len(fields))] = chance.choice(ODD_FIELDS)
    return separator.join(fields)


def _lines(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    lines = text.split(b"\n")
    first, second = (chance.randrange(len(lines)) for _end in range(2))
    kind = chance.randrange(5)
    if kind == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif kind == 1:
        lines.insert(first, lines[second])
    elif kind == 2:
        lines.insert(first, chance.choice(ODD_FIELDS) * chance.randint(1, 50))
    elif kind == 3:
        lines[first] = lines[first][: chance.randrange(len(lines[first]) + 1)]
    else:
        lines[first:second] = []
    return b"\n".join(lines)


def _separators(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return text.replace(chance.choice(SEPARATORS), chance.choice(SEPARATORS))


def _line_ends(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return text.replace(b"\n", chance.choice(LINE_ENDS), chance.choice((-1, 3, 40)))


def _spliced(text: bytes, chance: random.Random, contents: Sequence[bytes]) -> bytes:
    other = chance.choice(contents)
    return text[: chance.randrange(len(text) + 1)] + other[chance.randrange(len(other)) :]


def _encoded(text: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    encoding = chance.choice(("utf-16", "utf-16-be", "utf-8-sig", "cp1252", "utf-32"))
    return text.decode("utf-8", "replace").encode(encoding, "replace")


_KINDS: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _noise, _cut, _field, _field, _lines, _lines, _separators, _line_ends, _spliced, _encoded,
)  # fmt: skip
