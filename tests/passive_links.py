"""What sends by itself, simulated: an ECU that broadcasts on CAN, and wideband controllers."""

from __future__ import annotations

import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import can

from drivers.can_link import open_bus
from drivers.clock import Clock
from drivers.simulator.link_faults import NO_FAULTS, FaultyOutput, LinkFaults
from drivers.simulator.pty_port import PtyPort
from lowmaf.samples import FuelLoop

DBC = Path(__file__).parent / "recordings" / "broadcast.dbc"
SIGNALS = (
    "maf_v=MafVoltage, maf_gs=MafFlow, rpm=Engine.EngineSpeed, fuel_loop=LoopState:closed, "
    "stft_pct=ShortTrim, ltft_pct=LongTrim, lambda=Mixture, lambda_target=Wanted, "
    "ect_c=Coolant, iat_c=Intake, speed_kmh=Speed"
)
ENGINE, TRIMS, SLOW = (0x360, False), (0x380, True), (0x362, False)
_PERIOD_S = 0.01

Frame = tuple[int, bool, bytes]


def engine_frame(rpm: float, maf_v: float, maf_gs: float, loop: int) -> Frame:
    """Engine speed, air flow and the state of the loop, as the DBC file describes them."""
    return (*ENGINE, struct.pack(">HHHBx", round(rpm * 4), round(maf_v * 1000), round(maf_gs * 100), loop))


def trims_frame(stft_pct: float, ltft_pct: float, lambda_: float, target: float) -> Frame:
    raw = (round(stft_pct * 100), round(ltft_pct * 100), round(lambda_ * 1000), round(target * 1000))
    return (*TRIMS, struct.pack(">hhHH", *raw))


def slow_frame(part: int, raw: float) -> Frame:
    """Part 0 is the coolant, °C + 40, 1 the intake air, K, and 2 the speed, mph."""
    return (*SLOW, struct.pack(">BH5x", part, round(raw * 10)))


class Broadcaster:
    """Sends frames by turns, as an ECU does, on a bus of its own until it is stopped."""

    def __init__(self, bus: can.BusABC, frames: Callable[[], Sequence[Frame]], faults: LinkFaults) -> None:
        self._bus = bus
        self._frames = frames
        self._stop = threading.Event()
        self._output = FaultyOutput(faults, self._stop)
        self.heard: list[can.Message] = []
        self._thread = threading.Thread(target=self._run, name="broadcaster")
        self._thread.start()

    def mute(self) -> None:
        """Sends no more; the bus stays."""
        self._stop.set()

    def stop(self) -> None:
        """Ends it; a second time nothing happens."""
        self._stop.set()
        self._thread.join()
        self._bus.shutdown()

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD_S):
            for identifier, extended, data in self._frames():
                if self._output.has_company():
                    self._send(0x123, False, b"\xff\x00\x80\xf0A9")
                for piece in self._output.frames(data):
                    self._send(identifier, extended, piece)
            while (message := self._bus.recv(0.0)) is not None:
                self.heard.append(message)

    def _send(self, identifier: int, extended: bool, data: bytes) -> None:
        self._bus.send(can.Message(arbitration_id=identifier, is_extended_id=extended, data=data))


def car_frames(car: object, clock: Clock) -> Callable[[], Sequence[Frame]]:
    """What the ECU of a simulated car broadcasts: the slow frame has one part at a time."""
    began_s, started_s = car.t_s, clock.now()
    turn = 0

    def frames() -> Sequence[Frame]:
        nonlocal turn
        turn += 1
        car.advance_to(began_s + clock.now() - started_s)
        loop = int(car.fuel_loop == FuelLoop.CLOSED)
        slow = (round(car.ect_c) + 40.0, car.iat_c + 273.15, car.speed_kmh / 1.609344)
        return (
            slow_frame(turn % 3, slow[turn % 3]),
            trims_frame(car.stft_pct, car.ltft_pct, car.lambda_, car.lambda_target),
            engine_frame(car.rpm, car.maf_v, car.maf_gs, loop),
        )

    return frames


@contextmanager
def broadcasting(
    frames: Callable[[], Sequence[Frame]], faults: LinkFaults = NO_FAULTS
) -> Iterator[tuple[str, Broadcaster]]:
    """A virtual bus on which frames are broadcast; yields its channel."""
    channel = f"broadcast-{uuid.uuid4().hex}"
    broadcaster = Broadcaster(open_bus("virtual", channel, 0), frames, faults)
    try:
        yield channel, broadcaster
    finally:
        broadcaster.stop()


class SerialController:
    """A wideband controller on a pty: sends ``packet()`` every period, or answers each byte it is asked."""

    def __init__(self, packet: Callable[[], bytes], *, period_s: float = 0.02, asked: bool = False) -> None:
        self.port = PtyPort()
        self.heard = b""
        self._packet = packet
        self._period_s = period_s
        self._asked = asked
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controller")
        self._thread.start()

    def mute(self) -> None:
        """Says no more; its port stays."""
        self._stop.set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.port.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            data = self.port.read(self._period_s)
            self.heard += data
            if data or not self._asked:
                self.port.write(self._packet())


@contextmanager
def controller(
    packet: Callable[[], bytes], *, period_s: float = 0.02, asked: bool = False
) -> Iterator[SerialController]:
    made = SerialController(packet, period_s=period_s, asked=asked)
    try:
        yield made
    finally:
        made.stop()
