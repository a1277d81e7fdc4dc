"""``lowmaf doctor``: what is wrong with this installation, and what to do. Sends nothing to the car."""

from __future__ import annotations

import argparse
import json
import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from daemon.config.check import check_config
from daemon.config.config import ConfigError
from daemon.config.sections import Config
from daemon.doctor.database import database_findings
from daemon.doctor.findings import Finding, State, findings_document, good, note, wrong
from daemon.doctor.link import link_findings
from daemon.doctor.machine import machine_findings
from daemon.doctor.service import port_findings, service_findings, unit_properties
from daemon.errors import UsageError
from daemon.installed import INSTALLED_CONFIG, SERVICE
from daemon.output.printable import printable
from daemon.store.viewing import in_use
from daemon.wall_clock import read_clock

_MARKS = {State.GOOD: "good ", State.NOTE: "note ", State.WRONG: "WRONG"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf doctor``."""
    parser.epilog = "example: sudo lowmaf doctor"
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"configuration: by default {INSTALLED_CONFIG}, else lowmaf.toml in this folder",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Prints what was found; 1 where something is wrong."""
    findings = list(examined(options.config, os.environ))
    document = findings_document(findings)
    if options.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            print(printable(f"{_MARKS[finding.state]}  {finding.subject:13} {finding.words}"))
            if finding.advice:
                print(printable(f"{'':20}  {finding.advice}"))
        print("Nothing is wrong." if document["healthy"] else "Something is wrong: see above.")
    return 0 if document["healthy"] else 1


def examined(given: Path | None, environment: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, from the ground up: machine, configuration, link, database, service."""
    yield from machine_findings(read_clock())
    yield from service_findings(unit_properties())
    place = given or (INSTALLED_CONFIG if INSTALLED_CONFIG.parent.is_dir() else Path("lowmaf.toml"))
    try:
        place.open("rb").close()
    except FileNotFoundError:
        yield wrong("configuration", f"there is no {place}", "lowmaf setup makes one")
        return
    except PermissionError:
        yield note("configuration", f"{place} is not readable for you", "sudo lowmaf doctor looks into it")
        return
    except OSError:
        pass  # reading it says what is wrong
    try:
        config = check_config(place, environment).config
    except ConfigError as error:
        for problem in error.problems:
            yield wrong("configuration", problem, "mend it; lowmaf check looks again")
        return
    except UsageError as error:
        yield wrong("configuration", str(error), "mend it; lowmaf check looks again")
        return
    yield from _configured(config, installed=place == INSTALLED_CONFIG)


def _configured(config: Config, *, installed: bool) -> Iterator[Finding]:
    yield good("configuration", f"{config.path} is fine")
    if config.vehicle.maf_table is None and config.source.driver != "simulator":
        yield note(
            "configuration",
            "no MAF table is named: only corrections are learned",
            "name the one in the ECU: [vehicle] maf_table",
        )
    yield from link_findings(config.source, _service_user() if installed else None)
    yield from database_findings(config.storage)
    yield from port_findings(config.web, running=in_use(config.storage.database.resolve()))


def _service_user() -> str | None:
    try:
        return pwd.getpwnam(SERVICE).pw_name
    except KeyError:
        return None
