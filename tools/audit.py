"""``python tools/audit.py LOCK``: known weaknesses of the locked packages, by pip-audit.

Exit status 0: none is known; 1: some are; 75: the database of weaknesses could not be reached, so that
nothing is known either way.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

UNREACHABLE = 75
"""EX_TEMPFAIL of sysexits.h."""


def audit(lock: str) -> int:
    """Looks every package of ``lock`` up; says what was found."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--disable-pip", "--require-hashes"]
    ended = subprocess.run(  # noqa: S603 - this Python, and the name of a file
        [*command, "--format", "json", "--progress-spinner", "off"],
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (ended.stderr.strip() or ended.stdout.strip() or "no words").splitlines()[-1]
        print(f"{lock}: nothing could be looked up, the database is unreachable: {last}", file=sys.stderr)
        return UNREACHABLE
    weak = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    for package, flaw in weak:
        mended = ", ".join(flaw["fix_versions"]) or "no version yet"
        print(f"{lock}: {package['name']} {package['version']}: {flaw['id']}, mended in {mended}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        words = f"{len(unknown)} of {len(packages)} packages could not be looked up: the database"
        print(f"{lock}: {words} is unreachable, or does not know {', '.join(unknown)}", file=sys.stderr)
    elif not weak:
        print(f"{lock}: {len(packages)} packages, no weakness is known")
    return 1 if weak else UNREACHABLE if unknown else 0


def main(arguments: Sequence[str]) -> int:
    """Audits the locks that are named; the worst of the outcomes is the status."""
    return max(audit(lock) for lock in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
