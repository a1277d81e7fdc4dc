"""A simulated ELM327 on a pty, with the habits of real ones and of clones."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from drivers.isotp import IsoTp
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.link_faults import NO_FAULTS, FaultyOutput, LinkFaults
from drivers.simulator.pty_port import PtyPort

_LISTEN_S = 0.05
_ECU = "7E8"
_FLOW_CONTROL = bytes((0x30, 0, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class ElmHabits:
    """How this one differs from the book. ``settle_s`` is waited for more lines where none were announced."""

    version: str = "ELM327 v1.5"
    latency_s: float = 0.02
    settle_s: float = 0.03
    knows_counts: bool = True
    knows_many_pids: bool = True
    keeps_echo: bool = False
    double_prompts: bool = False
    nuls: bool = False


class ElmAdapter:
    """Serves ``port`` in a thread of its own until :meth:`stop`, which closes the port."""

    def __init__(
        self,
        port: PtyPort,
        answers: EcuAnswers,
        habits: ElmHabits = ElmHabits(),
        faults: LinkFaults = NO_FAULTS,
    ) -> None:
        self._port = port
        self._answers = answers
        self._habits = habits
        self._stopping = threading.Event()
        self._output = FaultyOutput(faults, self._stopping)
        self._thread = threading.Thread(target=self._run, name="simulated ELM327", daemon=True)
        self._reset()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the port; returns when both are done."""
        self._stopping.set()
        self._thread.join()
        self._port.close()

    def _reset(self) -> None:
        self._echo = True
        self._headers = False
        self._spaces = True
        self._searched = False
        self._last = ""

    def _run(self) -> None:
        typed = b""
        while not self._stopping.is_set():
            typed += self._port.read(_LISTEN_S)
            while b"\r" in typed:
                line, _, typed = typed.partition(b"\r")
                self._serve(line.replace(b"\0", b"").replace(b"\n", b"").decode("latin-1"))

    def _serve(self, typed: str) -> None:
        command = typed.replace(" ", "").upper() or self._last
        self._last = command
        echo = f"{typed}\r" if self._echo or self._habits.keeps_echo else ""
        body = self._setting(command[2:]) if command.startswith("AT") else self._reading(command)
        prompt = "\r\r>\r>" if self._habits.double_prompts else "\r\r>"
        text = (echo + body + prompt).encode("latin-1", "replace")
        if self._habits.nuls:
            text = text.replace(b"\r", b"\0\r\0")
        for piece in self._output.pieces(text, is_text=True):
            self._port.write(piece)

    def _setting(self, name: str) -> str:
        if name == "Z":
            self._reset()
            return f"\r\r{self._habits.version}"
        if name == "I":
            return self._habits.version
        if name == "DPN":
            return "A6"
        if name[:1] in {"E", "H", "S", "L"} and name[1:] in {"0", "1"}:
            on = name[1] == "1"
            self._echo = on if name[0] == "E" else self._echo
            self._headers = on if name[0] == "H" else self._headers
            self._spaces = on if name[0] == "S" else self._spaces
            return "OK"
        if name.startswith("SP"):
            self._searched = name != "SP0"
            return "OK"
        return "OK" if name in {"CAF1", "AT1", "AT2"} or name.startswith("SH7E") else "?"

    def _reading(self, command: str) -> str:
        digits, count = command, 0
        if len(command) % 2 and self._habits.knows_counts and command[-1] in "123456789ABCDEF":
            digits, count = command[:-1], int(command[-1], 16)
        try:
            request = bytes.fromhex(digits)
        except ValueError:
            return "?"
        if not request:
            return "?"
        searching = "" if self._searched else "SEARCHING...\r"
        self._searched = True
        self._stopping.wait(self._habits.latency_s + (0.0 if count else self._habits.settle_s))
        too_many = len(request) > 2 and not self._habits.knows_many_pids
        payload = self._answers.answer(request)
        if payload[0] == 0x7F or too_many:
            return searching + "NO DATA"
        lines = [self._line(frame) for frame in _frames(payload)]
        return searching + "\r".join(lines[:count] if count else lines)

    def _line(self, frame: bytes) -> str:
        header = _ECU if self._headers else ""
        if not self._spaces:
            return header + frame.hex().upper()
        return f"{header} {frame.hex(' ').upper()} ".lstrip()


def _frames(payload: bytes) -> list[bytes]:
    """The CAN frames of a payload; a single one as long as it is."""
    transport = IsoTp()
    frames = transport.send(payload, 0.0)
    if len(payload) <= 7:
        return [frames[0][: 1 + len(payload)]]
    return frames + transport.receive(_FLOW_CONTROL, 0.0)[1]
