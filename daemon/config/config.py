"""The configuration: a TOML file and the environment, read into frozen dataclasses, all errors at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast, get_type_hints

from daemon.config.file import ConfigFileError, read_toml
from daemon.config.sections import (
    SECOND_SOURCE,
    SECTIONS,
    Config,
    SecondSourceSettings,
    SourceSettings,
    VehicleSettings,
)
from daemon.config.toml_lines import KeyPath, key_lines, line_of
from daemon.config.values import ValueProblemError, checked, from_environment, shown
from daemon.errors import UsageError
from drivers.base import DriverOptionError, OptionMissingError
from drivers.clock import WallClock
from drivers.registry import (
    DRIVERS,
    FILE_OPTIONS,
    READS_DEFINITION,
    SECOND_SOURCES,
    create,
    create_second,
)

ENVIRONMENT_PREFIX = "LOWMAF_"
DEFINITION = "definition"
"""Option of drivers that is a key of the section on the car, because it belongs to the car."""
_KINDS = {**SECTIONS, SECOND_SOURCE: SecondSourceSettings}


class ConfigError(UsageError):
    """A configuration that cannot be used. One line per problem, each saying where and what is allowed."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        heading = [f"{len(problems)} errors in the configuration"] if len(problems) > 1 else []
        super().__init__("\n".join([*heading, *problems]))


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in the file ``path``, with what ``environment`` overrides.

    Variables are called ``LOWMAF_<SECTION>_<KEY>``. No device is opened.

    Raises:
        ConfigError: a file that cannot be read, or anything in it that is unknown or impossible.
    """
    try:
        text, document = read_toml(path)
    except ConfigFileError as error:
        raise ConfigError([str(error)]) from None
    reading = _Reading(path, key_lines(text))
    reading.take_document(document)
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            reading.take_variable(variable, value)
    sections = {name: reading.section(name) for name in SECTIONS}
    sections["source"] = reading.with_definition(sections["vehicle"], sections["source"])
    if reading.has_second_source:
        sections[SECOND_SOURCE] = reading.section(SECOND_SOURCE)
    if reading.problems:
        raise ConfigError([words for _, words in sorted(reading.problems)])
    return Config(path=path, **sections)


def section_keys(kind: type[Any]) -> dict[str, tuple[Any, Field[Any]]]:
    """Key → (type, dataclass field) of a section, in order; a section inside it adds its keys."""
    hints = get_type_hints(kind)
    keys: dict[str, tuple[Any, Field[Any]]] = {}
    for spec in fields(kind):
        hint = hints[spec.name]
        if is_dataclass(hint):
            keys.update(section_keys(cast("type[Any]", hint)))
        elif spec.name != "options":
            keys[spec.name] = (hint, spec)
    return keys


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that someone wrote, and where. Line 0 is the environment."""

    value: Any
    line: int
    where: str


class _Reading:
    """Takes what is given for each section, then builds the sections and notes what is wrong."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int]) -> None:
        self.problems: list[tuple[int, str]] = []
        self._path = path
        self._folder = path.resolve().parent
        self._lines = lines
        self._given: dict[str, dict[str, _Given]] = {name: {} for name in (*SECTIONS, SECOND_SOURCE)}
        self.has_second_source = False

    def take_document(self, document: Mapping[str, Any]) -> None:
        """Sorts the file's content into sections."""
        for name, content in document.items():
            here = self._in_file(name)
            if name == SECOND_SOURCE:
                self._take_second_source(content)
            elif name not in SECTIONS:
                self._complain(here, _unknown_section(name, content))
            elif not isinstance(content, dict):
                self._complain(here, f"{name} is a section: write [{name}] once, and its keys below")
            else:
                for key, value in content.items():
                    self._given[name][key] = replace(self._in_file(name, key), value=value)

    def _take_second_source(self, content: Any) -> None:
        is_list = isinstance(content, list) and all(isinstance(table, dict) for table in content)
        if not is_list or len(content) != 1:
            met = f"; there are {len(content)}" if is_list else ""
            self._complain(
                self._in_file(SECOND_SOURCE),
                f"[[{SECOND_SOURCE}]] stands once, with two brackets, and its keys below{met}",
            )
            return
        self.has_second_source = True
        for key, value in content[0].items():
            self._given[SECOND_SOURCE][key] = replace(self._in_file(SECOND_SOURCE, key), value=value)

    def take_variable(self, variable: str, text: str) -> None:
        """Lets an environment variable override a key."""
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        here = _Given(text, 0, f"environment variable {variable}")
        if section not in SECTIONS or not key:
            form = f"variables are called {ENVIRONMENT_PREFIX}<SECTION>_<KEY>"
            self._complain(here, f"{_unknown_section(section, {})}; {form}")
            return
        hint = section_keys(SECTIONS[section]).get(key, (Any, None))[0]
        self._given[section][key] = replace(here, value=from_environment(text, hint))

    def section(self, name: str) -> Any:
        """The section's dataclass; what is wrong is noted and stays at its default."""
        kind = _KINDS[name]
        others = {key: given for key, given in self._given[name].items() if key not in section_keys(kind)}
        section = self._build(kind, name)
        if name == "source" and (given := others.pop(DEFINITION, None)) is not None:
            self._complain(given, f"[source] {DEFINITION}: write it below [vehicle], as ecu_definition")
        if isinstance(section, SourceSettings | SecondSourceSettings):
            for key in FILE_OPTIONS.get(section.driver, ()):
                if (file := others.get(key)) is not None:
                    others[key] = replace(file, value=self._from_folder(file.value))
            section = replace(section, options={key: given.value for key, given in others.items()})
            self._check_driver(name, section, others)
            return section
        for key, given in others.items():
            self._complain(given, _unknown_key(name, key))
        return section

    def with_definition(self, vehicle: VehicleSettings, source: SourceSettings) -> SourceSettings:
        """The source with the definition of the car's ECU, where its driver reads one."""
        path = vehicle.ecu_definition
        if path is None:
            return source
        from drivers.ssm_definition import DefinitionError, check_file  # noqa: PLC0415 - a car with one only

        try:
            check_file(path)
        except DefinitionError as error:
            self._complain(self._in_file("vehicle", "ecu_definition"), f"[vehicle] ecu_definition: {error}")
            return source
        if source.driver not in READS_DEFINITION:
            return source
        return replace(source, options={**source.options, DEFINITION: str(path)})

    def _build(self, kind: type[Any], name: str) -> Any:
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        before = len(self.problems)
        for spec in fields(kind):
            hint, given = hints[spec.name], self._given[name].get(spec.name)
            if is_dataclass(hint):
                values[spec.name] = self._build(cast("type[Any]", hint), name)
            elif given is None:
                if hint is Path:
                    values[spec.name] = self._folder / cast("Path", spec.default)
            elif spec.name in section_keys(kind):
                try:
                    values[spec.name] = checked(given.value, hint, spec.metadata, self._folder)
                except ValueProblemError as problem:
                    what = f"{_head(name)} {spec.name} = {shown(given.value)}: {problem}"
                    self._complain(given, what)
        try:
            return kind(**values)
        except ValueError as error:  # values that are possible alone but not together
            if len(self.problems) == before:
                self._complain(self._in_file(name), f"[{name}] {error}")
            return kind()

    def _check_driver(
        self, name: str, source: SourceSettings | SecondSourceSettings, options: Mapping[str, _Given]
    ) -> None:
        """Lets the driver check its options; where they fail together, each alone, to find its line."""
        second = name == SECOND_SOURCE
        head = _head(name)
        whole = _driver_complaint(source.driver, source.options, second=second)
        if whole is None:
            return
        if source.driver not in (SECOND_SOURCES if second else DRIVERS):
            self._complain(self._given[name].get("driver", self._in_file(name)), f"{head} {whole}")
            return
        alone = [
            (given, _driver_complaint(source.driver, {key: given.value}, second=second, alone=True))
            for key, given in options.items()
        ]
        found = [(given, what) for given, what in alone if what is not None]
        for given, what in found or [(self._in_file(name), whole)]:
            self._complain(given, f"{head} {what}")

    def _from_folder(self, file: Any) -> Any:
        """A file relative to the configuration's folder; what is no name is left for the driver to refuse."""
        if not isinstance(file, str) or file in ("", "none"):
            return file
        return str(self._folder / Path(file).expanduser())

    def _in_file(self, *key: str) -> _Given:
        line = line_of(key, self._lines)
        return _Given(None, line, f"{self._path}:{line}")

    def _complain(self, given: _Given, what: str) -> None:
        self.problems.append((given.line, f"{given.where}: {what}"))


def _head(section: str) -> str:
    """A section's head as it stands in a file."""
    return f"[[{section}]]" if section == SECOND_SOURCE else f"[{section}]"


def _driver_complaint(
    driver: str, options: Mapping[str, Any], *, second: bool, alone: bool = False
) -> str | None:
    """What the driver has against its options, None where nothing; it opens no device.

    An option that is looked at ``alone`` is not to blame for those that are missing.
    """
    make = create_second if second else create
    try:
        make(driver, options, WallClock())
    except DriverOptionError as error:
        return None if alone and isinstance(error, OptionMissingError) else str(error)
    return None


def _unknown_section(name: str, content: Any) -> str:
    homes = _homes_of(name)
    if homes and not isinstance(content, dict | list):
        return f"{name} stands outside its section: it belongs below {homes}"
    near = difflib.get_close_matches(name, SECTIONS, n=1)
    hint = f"nearest is [{near[0]}]; " if near else ""
    return f"no section [{name}]; {hint}sections are {', '.join(SECTIONS)}"


def _unknown_key(section: str, key: str) -> str:
    """The value is not told: an unknown key may hold a secret meant for somewhere else."""
    known = section_keys(SECTIONS[section])
    near = difflib.get_close_matches(key, known, n=1)
    if homes := _homes_of(key):
        hint = f"it belongs below {homes}"
    elif near:
        hint = f"nearest is {near[0]!r}"
    else:
        hint = f"keys are {', '.join(known)}"
    return f"no key {key!r} in [{section}]; {hint}"


def _homes_of(key: str) -> str:
    return " or ".join(f"[{name}]" for name, kind in SECTIONS.items() if key in section_keys(kind))
