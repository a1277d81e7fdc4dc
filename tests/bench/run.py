"""Runs the benchmarks, each in its own process: ``make bench``, or some: ``make bench ARGS="store web"``.

Every ``bench_*.py`` beside this file reports its figures (:mod:`figures`). They are kept in
``docs/benchmarks.json``, from which ``docs/benchmarks.md`` is made; benchmarks that do not run keep
theirs. Without names all run, on a quiet machine within a quarter of an hour: the longest with less than
by name.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks_page import page, title_of
from figures import RECORD, NotMeasured

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
KEPT = PROJECT / "docs" / "benchmarks.json"
PAGE = KEPT.with_suffix(".md")
LIMIT_S = 900
SHORTER = {"accuracy": ["--quick"], "cluster": ["--quick"], "store": ["--quick"]}
"""Arguments of benchmarks that would take most of the quarter of an hour."""
PEERS = {
    "node": ["node", "--version"],
    "go": ["go", "version"],
    "wrk": ["wrk", "-v"],
    "h2load": ["h2load", "--version"],
}
NEEDS = {"cluster": "distributed"}
"""Libraries without which a benchmark has nothing to measure."""
LIBRARIES = ("numpy", "fastapi", "uvicorn", "msgspec", "python-can", "pandas", "polars")


def main() -> int:
    """Runs what is asked for; exit status 1 if one failed, 2 if there is none of that name."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}
    options = _parsed(list(known))
    if unknown := [name for name in options.names if name not in known]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    kept: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if options.page_only:
        write_page(kept, known)
        return 0
    machine = machine_document()
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['versions']}")
    failed = []
    for name in options.names or known:
        if options.resume and _is_done(kept.get(name)):
            continue
        section = measured(name, known[name], [] if options.names else SHORTER.get(name, []), machine)
        if section["failed"]:
            failed.append(name)
        if not options.no_page:
            kept[name] = section
            write_page(kept, known)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parsed(known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(known)}")
    parser.add_argument("--resume", action="store_true", help="only what was not measured of this version")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write the page anew")
    parser.add_argument("--no-page", action="store_true", help="print only, and keep nothing")
    return parser.parse_args()


def measured(name: str, path: Path, arguments: list[str], machine: dict[str, Any]) -> dict[str, Any]:
    """Runs one benchmark; what it reported, with when and how."""
    print(f"\n==== {name}", flush=True)
    load, started_s, failure = os.getloadavg()[0], time.monotonic(), ""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        record = Path(folder) / "figures"
        record.touch()
        missing = NEEDS.get(name)
        if missing is not None and importlib.util.find_spec(missing) is None:
            reported = [asdict(NotMeasured("all of it", f"the package {missing} is not installed"))]
            return _section(machine, load, started_s, arguments, "", reported)
        try:
            ended = subprocess.run(
                [sys.executable, str(path), *arguments],
                cwd=PROJECT,
                timeout=LIMIT_S,
                check=False,
                env={**os.environ, RECORD: str(record)},
            )
            if ended.returncode != 0:
                failure = f"exit status {ended.returncode}"
        except subprocess.TimeoutExpired:
            failure = f"it took longer than {LIMIT_S} s"
        reported = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    print(f"---- {name}: {time.monotonic() - started_s:.0f} s {failure}".rstrip(), flush=True)
    return _section(machine, load, started_s, arguments, failure, reported)


def _section(
    machine: dict[str, Any],
    load: float,
    started_s: float,
    arguments: list[str],
    failure: str,
    reported: list[dict[str, Any]],
) -> dict[str, Any]:
    """What is kept of one benchmark."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": _version(),
        "machine": machine,
        "load": round(load, 1),
        "took_s": round(time.monotonic() - started_s, 1),
        "arguments": arguments,
        "failed": failure,
        "figures": [record for record in reported if "value" in record],
        "not_measured": [record for record in reported if "why" in record],
    }


def machine_document() -> dict[str, Any]:
    """What measured: processor, system, and the versions of everything that takes part."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    versions = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name, command in PEERS.items():
        if shutil.which(name):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            if found := re.search(r"\d+\.[\d.]+\d", said.stdout + said.stderr):
                versions[name] = found[0]
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "versions": versions,
    }


def write_page(kept: dict[str, Any], known: dict[str, Path]) -> None:
    """Keeps the figures of benchmarks that there are, and writes their page."""
    there = {name: kept[name] for name in known if name in kept}
    KEPT.write_text(json.dumps(there, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(there, {name: title_of(path) for name, path in known.items()}), encoding="utf-8")


def _version() -> str:
    """The commit in which the code changed last: the page's own commits do not make it another."""
    command = ["git", "log", "-1", "--format=%h", "--", "lowmaf", "drivers", "daemon", "web", "tests/bench"]
    asked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or importlib.metadata.version("lowmaf")


def _is_done(section: dict[str, Any] | None) -> bool:
    return section is not None and not section["failed"] and section["version"] == _version()


if __name__ == "__main__":
    sys.exit(main())
