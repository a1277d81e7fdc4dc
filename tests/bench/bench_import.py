"""What the daemon costs before it does anything: imports, in a fresh process each, best of several.

``python tests/bench/bench_import.py``, about 20 seconds. The libraries alone are imported in the same
rounds, so that the ratio holds on a busy machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import report

ROUNDS = 7
DAEMON = "import daemon.commands.run, daemon.commands.demo"
LIBRARIES = "import numpy, fastapi, uvicorn, aiosqlite, can, serial"
PROGRAM = """
import resource, sys, time
sys.path.insert(0, "")
def memory_mb():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
before_mb, before_s = memory_mb(), time.process_time()
{imports}
print(time.process_time() - before_s, memory_mb() - before_mb)
"""


def measure(imports: str, compiled: str) -> tuple[float, float]:
    """CPU seconds and megabytes that ``imports`` cost over a bare interpreter.

    Compiled modules are kept in the folder ``compiled``, so that all but the first round are as an
    installed program starts.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(imports=imports)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"PYTHONPYCACHEPREFIX": compiled},
    )
    cpu_s, memory_mb = ended.stdout.split()
    return float(cpu_s), float(memory_mb)


def main() -> None:
    measured: dict[str, list[tuple[float, float]]] = {DAEMON: [], LIBRARIES: []}
    with tempfile.TemporaryDirectory(prefix="bench-import-") as compiled:
        for _ in range(ROUNDS):
            for imports, results in measured.items():
                results.append(measure(imports, compiled))
    best = {imports: tuple(map(min, zip(*results, strict=True))) for imports, results in measured.items()}
    (daemon_s, daemon_mb), (libraries_s, libraries_mb) = best[DAEMON], best[LIBRARIES]
    print(f"imports, best of {ROUNDS}: CPU s, MB")
    peer = LIBRARIES.removeprefix("import ")
    report("importing the daemon: CPU", daemon_s, "s", peer=(peer, libraries_s), ratio_at_most=1.3)
    report("importing the daemon: memory", daemon_mb, "MB", peer=(peer, libraries_mb), ratio_at_most=1.2)


if __name__ == "__main__":
    main()
