"""Writes the reference anew: ``python -m tools.reference``, or into another folder with ``--output``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.reference.commands import commands_page
from tools.reference.configuration import configuration_page, drivers_page
from tools.reference.database import database_page
from tools.reference.samples import columns_page, samples_page, warnings_page
from tools.reference.service import http_page, metrics_page

PROJECT = Path(__file__).resolve().parents[2]


def pages() -> dict[str, str]:
    """File name → content of every page."""
    return {
        "configuration.md": configuration_page(),
        "drivers.md": drivers_page(),
        "samples.md": samples_page(),
        "log-columns.md": columns_page(),
        "warnings.md": warnings_page(PROJECT),
        "commands.md": commands_page(),
        "http.md": http_page(PROJECT),
        "metrics.md": metrics_page(PROJECT),
        "database.md": database_page(),
    }


def main() -> None:
    """Writes every page."""
    parser = argparse.ArgumentParser(description="Write the reference of the documentation from the code.")
    parser.add_argument("--output", type=Path, default=PROJECT / "docs" / "reference", metavar="FOLDER")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
