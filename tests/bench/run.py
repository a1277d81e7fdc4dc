"""Runs the benchmarks, each in its own process: ``make bench``, or some: ``make bench ARGS="store web"``.

Every ``bench_*.py`` beside this file prints its figures and the targets they are held against.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LIMIT_S = 600


def main(wanted: list[str]) -> int:
    """Runs the named benchmarks, all without a name; exit status 1 if one failed, 2 if there is none."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}
    if unknown := [name for name in wanted if name not in known]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}")
    failed = []
    for name in wanted or known:
        print(f"\n==== {name}", flush=True)
        started_s = time.monotonic()
        try:
            ended = subprocess.run(
                [sys.executable, str(known[name])], cwd=FOLDER.parents[1], timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{name} took longer than {LIMIT_S} s", file=sys.stderr)
            failed.append(name)
            continue
        print(f"---- {name}: {time.monotonic() - started_s:.0f} s", flush=True)
        if ended.returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
