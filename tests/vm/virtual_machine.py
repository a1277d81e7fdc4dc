"""A computer of its own, emulated by QEMU: with CAN controllers, a USB port and a power switch.

Nothing of this machine's kernel is used (no KVM, no modules), so it runs wherever QEMU does, an order of
magnitude slower than the real thing.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from debian_machine import until
from vm_image import VmImage

BOOT_LIMIT_S = 600.0
ANSWER_LIMIT_S = 120.0
PORTS = ("agent", "commits")

KERNEL_LINE = (
    "root=/dev/vda console=ttyS0 net.ifnames=0 random.trust_cpu=on mitigations=off quiet "
    "systemd.show_status=no systemd.default_timeout_start_sec=600 no_timer_check tsc=reliable"
)
HARDWARE = (
    "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
    "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", "1024",
    "-object", "can-bus,id=bus",
    "-device", "kvaser_pci,canbus=bus,addr=0x10", "-device", "kvaser_pci,canbus=bus,addr=0x11",
    "-device", "piix3-usb-uhci,id=usb", "-device", "virtio-serial-pci",
)  # fmt: skip
"""Two controllers on one CAN bus: can0 is the Raspberry Pi's, can1 the car's. USB is the old UHCI: with xHCI,
QEMU 7.2 crashes now and then when an adapter is pulled out while bytes come in."""


class JsonSocket:
    """Lines of JSON over a socket that QEMU listens on."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._waiting = b""

    def send(self, document: object) -> None:
        self._socket.sendall(json.dumps(document).encode() + b"\n")

    def receive(self, limit_s: float) -> dict[str, Any]:
        """The next line. ``EOFError`` where the machine is off, ``TimeoutError`` where it says nothing."""
        self._socket.settimeout(limit_s)
        while b"\n" not in self._waiting:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the machine is off")
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._socket.close()


class LineRecorder:
    """Keeps every line that the machine writes to a port."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def _record(self) -> None:
        with suppress(OSError), self._socket.makefile("r", encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    self.lines.append(line.rstrip("\n"))

    def close(self) -> None:
        """What QEMU had passed on before it ended is recorded when this returns."""
        self._thread.join(timeout=10.0)
        self._socket.close()


class VirtualMachine:
    """A machine that is on. ``folder`` has its console's text, ``console.txt``."""

    def __init__(
        self,
        image: VmImage,
        folder: Path,
        *options: str,
        kernel_line: str = "rw",
        root_option: str = "snapshot=on",
    ) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        sockets = {name: folder / f"{name}.socket" for name in (*PORTS, "qmp")}
        devices = itertools.chain.from_iterable(
            ("-chardev", f"socket,id={name},path={sockets[name]},server=on,wait=off",
             "-device", f"virtserialport,chardev={name},name={name}")
            for name in PORTS
        )  # fmt: skip
        self.console = folder / "console.txt"
        self.began_s = time.monotonic()
        with (folder / "qemu.txt").open("wb") as output:
            self._qemu = subprocess.Popen(
                ["qemu-system-x86_64", *HARDWARE,
                 "-kernel", image.kernel, "-initrd", image.initrd, "-append", f"{KERNEL_LINE} {kernel_line}",
                 "-drive", f"file={image.root},format=raw,if=virtio,{root_option}",
                 "-serial", f"file:{self.console}",
                 "-qmp", f"unix:{sockets['qmp']},server=on,wait=off",
                 "-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:8000",
                 *devices, *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(folder)},
            )  # fmt: skip
        try:
            until(lambda: self._ended() or all(path.exists() for path in sockets.values()), 30.0)
            assert not self._ended(), (folder / "qemu.txt").read_text()
            self._qmp = JsonSocket(sockets["qmp"])
            self._qmp.receive(10.0)
            self.monitor("qmp_capabilities")
            self._agent = JsonSocket(sockets["agent"])
            self.commits = LineRecorder(sockets["commits"])
        except BaseException:
            self._qemu.kill()
            self._qemu.wait()
            raise

    def _ended(self) -> bool:
        return self._qemu.poll() is not None

    def wait_until_up(self) -> float:
        """Seconds from power on until commands can be run."""
        waiting: list[dict[str, Any]] = []

        def up() -> bool:
            with suppress(TimeoutError):
                waiting.append(self._agent.receive(5.0))
            said = self.console.read_text(encoding="utf-8", errors="replace")
            assert "emergency mode" not in said, said
            return bool(waiting)

        until(up, BOOT_LIMIT_S)
        assert waiting == [{"ready": True}]
        return time.monotonic() - self.began_s

    def ask(self, *command: str, limit_s: float = ANSWER_LIMIT_S) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine as root."""
        self._agent.send({"command": command, "limit_s": limit_s})
        said = self._agent.receive(limit_s + 30.0)
        return subprocess.CompletedProcess(command, said["code"], said["out"], said["err"])

    def run(self, *command: str, limit_s: float = ANSWER_LIMIT_S) -> str:
        """Like :meth:`ask`, for a command that must succeed; what it printed."""
        done = self.ask(*command, limit_s=limit_s)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        self.run(
            "/usr/bin/python3", "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", path, text
        )

    def show(self, unit: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        lines = self.run("systemctl", "show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def wait_until_ready(self) -> float:
        """Seconds from power on until the service is ready; it may not fail on the way there."""
        self.wait_until_up()

        def ready() -> bool:
            shown = self.show("lowmaf")
            assert shown["NRestarts"] == "0", self.journal("lowmaf")
            return shown["ActiveState"] == "active"

        eventually(ready, BOOT_LIMIT_S)
        return time.monotonic() - self.began_s

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def get(self, path: str) -> Any:
        """A document of the dashboard, over the forwarded port."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers={"Accept": "application/json"})
        with urlopen(request, timeout=60.0) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers["Content-Type"] else body.decode()

    def answers(self, path: str) -> bool:
        """Whether the dashboard answers there."""
        try:
            self.get(path)
        except OSError:
            return False
        return True

    def monitor(self, execute: str, **arguments: object) -> Any:
        """A command to the hardware: QEMU's machine protocol."""
        self._qmp.send(
            {"execute": execute, "arguments": {key.rstrip("_"): value for key, value in arguments.items()}}
        )
        while True:
            said = self._qmp.receive(30.0)
            assert "error" not in said, said["error"]
            if "return" in said:
                return said["return"]

    def cut_power(self) -> None:
        """Off, at once."""
        assert self.is_on, f"QEMU ended by itself: {self._qemu.returncode}"
        self._qemu.send_signal(signal.SIGKILL)
        self._qemu.wait()

    def close(self) -> None:
        """What the machine said until it was off is known when this returns."""
        self._qemu.kill()
        self._qemu.wait()
        self._qmp.close()
        self._agent.close()
        self.commits.close()

    @property
    def is_on(self) -> bool:
        return not self._ended()


@contextmanager
def powered(
    image: VmImage, folder: Path, *options: str, kernel_line: str = "rw", root_option: str = "snapshot=on"
) -> Iterator[VirtualMachine]:
    """A machine that is on until the block ends.

    By default it may write to its root file system, and what it wrote is forgotten;
    ``root_option="readonly=on"`` with a ``kernel_line`` that has ``ro`` makes it read-only.
    """
    folder.mkdir(exist_ok=True)
    machine = VirtualMachine(image, folder, *options, kernel_line=kernel_line, root_option=root_option)
    try:
        yield machine
    finally:
        machine.close()


def disk_option(path: Path) -> tuple[str, ...]:
    """A disk on a file; what the machine has written is on it, synced or not."""
    return ("-drive", f"file={path},format=raw,if=virtio")


def eventually(wanted: Callable[[], object], limit_s: float) -> float:
    """Like :func:`until` but asks seldom: every question costs the emulated machine time."""
    began_s = time.monotonic()
    while not wanted():
        assert time.monotonic() - began_s < limit_s, f"not within {limit_s} s"
        time.sleep(1.0)
    return time.monotonic() - began_s
