"""What a server has used of the processors, to the nanosecond: one request is seen."""

from __future__ import annotations

from pathlib import Path


def threads_cpu_s(pid: int) -> float:
    """CPU time of the threads that a process has now, and of those of the processes it started, s."""
    process = Path("/proc") / str(pid)
    spent_s = 0.0
    for thread in (process / "task").iterdir():
        spent_s += 1e-9 * int((thread / "schedstat").read_text().split()[0])
        spent_s += sum(threads_cpu_s(int(child)) for child in (thread / "children").read_text().split())
    return spent_s
