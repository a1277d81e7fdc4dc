"""The files that belong to the car: its MAF table, and a definition of its ECU where one is needed."""

from __future__ import annotations

from pathlib import Path

from daemon.config.table_file import read_table
from daemon.errors import UsageError
from daemon.setup.questions import Interview
from daemon.setup.source import SIMULATED, Identified, Source
from drivers.registry import NEEDS_MAF_TABLE, READS_DEFINITION
from drivers.ssm_definition import DefinitionError, check_file
from lowmaf.maf_table import MafTable


def asked_table(given: Path | None, interview: Interview, source: Source) -> Path | None:
    """The file with the MAF table, after showing what was understood of it.

    Raises:
        UsageError: the file that was given cannot be one, or nobody can be asked for one that is needed.
    """
    needed = source.driver in NEEDS_MAF_TABLE
    if given is None:
        if needed:
            interview.say(f"{source.driver} reads the air flow but not the MAF voltage: the table is needed.")
        if source.driver == SIMULATED:
            return None
        answer = interview.text(
            "File with the MAF table that is in the ECU now (RomRaider, EcuFlash, CSV)",
            "--maf-table",
            None if needed else "",
            lambda text: _no_table(text, needed=needed),
        )
        if not answer:
            return None
        given = file_named(answer)
    path = given.expanduser().absolute()
    interview.say(f"  {_table_words(read_table(path, '--maf-table'))}")
    return path


def _no_table(text: str, *, needed: bool) -> str | None:
    try:
        table = read_table(file_named(text), "MAF table")
    except UsageError as error:
        return str(error)
    return "this table has no flow, which is needed here" if needed and table.flow_gs is None else None


def _table_words(table: MafTable) -> str:
    span = f"{table.cells} cells from {table.maf_v[0]:.2f} to {table.maf_v[-1]:.2f} V"
    if table.flow_gs is None:
        return f"understood: {span}, no flow: corrections only"
    return f"understood: {span}, {table.flow_gs[0]:.2f} to {table.flow_gs[-1]:.2f} g/s"


def asked_definition(
    given: Path | None, interview: Interview, source: Source, identified: Identified | None
) -> Path | None:
    """The logger definition; asked for only where the state of the fuel loop cannot be read without it.

    Raises:
        UsageError: the file that was given is no definition.
    """
    if given is None:
        if source.driver not in READS_DEFINITION or identified is None or "fuel_loop" in identified.delivered:
            return None
        interview.say(
            "This ECU keeps the state of its fuel loop at an address that lowmaf does not know, and"
        )
        interview.say("without it no sample counts. A RomRaider logger definition (XML) knows it.")
        answer = interview.text("Its file, or none for now", "--ecu-definition", "", _no_definition)
        if not answer:
            return None
        given = file_named(answer)
    path = given.expanduser().absolute()
    if (complaint := _no_definition(str(path))) is not None:
        raise UsageError(f"--ecu-definition: {complaint}")
    return path


def _no_definition(text: str) -> str | None:
    try:
        check_file(file_named(text))
    except DefinitionError as error:
        return str(error)
    return None


def file_named(text: str) -> Path:
    """A file's name as a person gives it: terminals put quotes around one that is dropped on them."""
    return Path(text.strip("'\"")).expanduser().absolute()
