"""Which program holds a TCP port, read from /proc."""

from __future__ import annotations

from pathlib import Path

_LISTEN = "0A"


def port_owner(port: int, proc: Path = Path("/proc")) -> str | None:
    """The program that listens on ``port``, such as ``python3 -m http.server (pid 4711)``.

    None where nobody does, where the program belongs to another user, or without /proc.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not sockets:
        return None
    for process in proc.glob("[0-9]*"):
        try:
            held = any(str(link.readlink()) in sockets for link in (process / "fd").iterdir())
            if held:
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return f"{' '.join(words).strip()[:80]} (pid {process.name})"
        except OSError:
            continue  # another user's process, or one that has just ended
    return None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
