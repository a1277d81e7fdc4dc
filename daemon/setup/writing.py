"""The configuration that ``lowmaf setup`` writes: complete and checked before it gets its name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config.check import CheckedConfig, check_config
from daemon.config.example import example_text
from daemon.config.sections import SECOND_SOURCE
from daemon.errors import UsageError, WorkError
from daemon.installed import INSTALLED_CONFIG, INSTALLED_DATABASE, is_there
from daemon.setup.source import Source
from daemon.store.copying import put_in_place
from drivers.registry import FILE_OPTIONS

_COPIED_AS = {"dbc": "broadcast", "file": "log"}
"""Options that name files, and what a copy beside the service's configuration is called."""
_INSTALLED_KEYS = (("storage", "database"), ("web", "host"))
"""What installing changes in the example."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was found out. ``maf_table`` and ``ecu_definition`` are files, None where there is none.

    ``second`` is the wideband controller beside the source, if there is one.
    """

    name: str
    source: Source
    maf_table: Path | None
    ecu_definition: Path | None
    host: str
    second: Source | None = None


def is_installed(place: Path) -> bool:
    """Whether it is the configuration of the service."""
    return place == INSTALLED_CONFIG


def is_untouched(place: Path) -> bool:
    """Whether what is at ``place`` is what installing put there: nothing of anybody's is lost with it."""
    try:
        written = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    example = tomllib.loads(example_text())
    for section, key in _INSTALLED_KEYS:
        if not isinstance(found := written.get(section), dict):
            return False
        found.pop(key, None)
        example[section].pop(key)
    return bool(written == example)


def check_writable(place: Path) -> None:
    """Whether a configuration can be written there, before anything is asked.

    Raises:
        UsageError: a folder, in no folder, or in one that is not writable.
    """
    folder = place.parent
    if is_there(place) and place.is_dir():
        raise UsageError(f"--config {place}: this is a folder, not a file")
    if not folder.is_dir():
        raise UsageError(f"--config {place}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "sudo lowmaf setup" if is_installed(place) else "name another with --config"
        raise UsageError(f"--config {place}: the folder {folder} is not writable for you: {hint}")


def write(place: Path, answers: Answers, environment: Mapping[str, str]) -> tuple[CheckedConfig, list[Path]]:
    """Writes the configuration, checked, and the files that go with it; what it would run, and earlier
    files that were kept under another name.

    Until everything is checked nothing has its name; whatever ends this before leaves nothing behind.

    Raises:
        UsageError: the configuration would be wrong, in the words of ``lowmaf check``.
        WorkError: it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as staging:
            folder = Path(staging)
            staged = _staged(folder, place, answers)
            try:
                checked = check_config(folder / place.name, environment)
            except UsageError as error:
                raise UsageError(str(error).replace(staging, str(place.parent))) from None
            kept = [name for path in staged if (name := _keep(place.with_name(path.name), path)) is not None]
            for path in staged:
                _own(path, place)
                put_in_place(path, place.with_name(path.name))
            return checked, kept
    except OSError as error:
        raise WorkError(f"{place}: cannot be written: {error.strerror or error}") from None


def text_of(answers: Answers, database: Path) -> str:
    """The configuration: what was found out; every other key stays at its default."""
    return "\n".join(_lines(answers, database)) + "\n"


def _lines(answers: Answers, database: Path) -> Iterator[str]:
    yield "# Configuration of lowmaf, written by lowmaf setup. Every key that is not here has its default:"
    yield "# config.example.toml shows all of them. Check changes with: lowmaf check --config FILE"
    yield from ("", "[vehicle]", f"name = {_toml(answers.name)}")
    for key, file in (("maf_table", answers.maf_table), ("ecu_definition", answers.ecu_definition)):
        if file is not None:
            yield f"{key} = {_toml(str(file))}"
    yield from _source_lines("[source]", answers.source)
    if answers.second is not None:
        yield from _source_lines(f"[[{SECOND_SOURCE}]]", answers.second)
    yield from ("", "[storage]", f"database = {_toml(str(database))}")
    yield from ("", "[web]", f"host = {_toml(answers.host)}")


def _source_lines(head: str, source: Source) -> Iterator[str]:
    yield from ("", head, f"driver = {_toml(source.driver)}")
    for key, value in source.options.items():
        yield f"{key} = {_toml(value)}"


def _toml(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON text without control characters is a TOML text


def _staged(folder: Path, place: Path, answers: Answers) -> list[Path]:
    """Every file that is to be written, the configuration last.

    The service may not look into anybody's home: what its configuration names is copied beside it.
    """
    database = INSTALLED_DATABASE if is_installed(place) else place.with_name("lowmaf.sqlite3")
    staged = []
    if is_installed(place):
        files = {"maf_table": answers.maf_table, "ecu_definition": answers.ecu_definition}
        options = dict(answers.source.options)
        for key in FILE_OPTIONS.get(answers.source.driver, ()):
            if key in options:
                files[_COPIED_AS[key]] = Path(str(options[key]))
        copied = {key: _copied(folder, key, file) for key, file in files.items() if file is not None}
        staged = list(copied.values())
        options |= {key: copied[name].name for key, name in _COPIED_AS.items() if name in copied}
        answers = replace(
            answers,
            source=replace(answers.source, options=options),
            maf_table=_named(copied, "maf_table"),
            ecu_definition=_named(copied, "ecu_definition"),
        )
    config = folder / place.name
    config.write_text(text_of(answers, database), encoding="utf-8")
    return [*staged, config]


def _copied(folder: Path, name: str, file: Path) -> Path:
    return Path(shutil.copyfile(file, folder / f"{name}{file.suffix.lower()}"))


def _named(copied: Mapping[str, Path], name: str) -> Path | None:
    return Path(copied[name].name) if name in copied else None


def _keep(earlier: Path, new: Path) -> Path | None:
    """Gives an earlier file of other content a name beside, and says which; None where nothing is lost."""
    if not earlier.is_file() or is_untouched(earlier) or earlier.read_bytes() == new.read_bytes():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    kept, number = earlier.with_name(f"{earlier.name}.before-{stamp}"), 1
    while kept.exists():
        number += 1
        kept = earlier.with_name(f"{earlier.name}.before-{stamp}-{number}")
    shutil.copy2(earlier, kept)
    if os.geteuid() == 0:
        owner = earlier.stat()
        os.chown(kept, owner.st_uid, owner.st_gid)
    return kept


def _own(path: Path, place: Path) -> None:
    """The rights of the configuration that is replaced; those of a new one are for the folder's group."""
    status = place.stat() if place.is_file() else place.parent.stat()
    path.chmod(status.st_mode & 0o777 if place.is_file() else 0o640)
    if os.geteuid() == 0:
        os.chown(path, -1, status.st_gid)
