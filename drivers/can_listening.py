"""Frames of a CAN bus, by listening alone: nothing in here can send.

The interface is opened in the mode in which its controller does not even acknowledge, where python-can
can ask for that (slcan, pcan, kvaser). A socketcan interface has the mode it was brought up with:
``ip link set can0 type can bitrate 500000 listen-only on``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import can

from drivers.base import DeviceUnavailableError, LinkCounts
from drivers.can_link import open_bus
from drivers.clock import Clock
from drivers.handoff import Handoff, from_thread

_LISTEN_S = 0.05
_DELIVER_S = 0.04
_QUEUE_ITEMS = 256
_SILENT_MODE: Mapping[str, Mapping[str, Any]] = {
    "slcan": {"listen_only": True},
    "pcan": {"state": can.BusState.PASSIVE},
    "kvaser": {"driver_mode": False},
}
"""What asks python-can for a controller that does not acknowledge."""


@dataclass(frozen=True, slots=True)
class HeardFrame:
    """A data frame and the clock's time at which it came."""

    identifier: int
    is_extended: bool
    data: bytes
    at_s: float


def open_listening(interface: str, channel: str, bitrate: int) -> can.BusABC:
    """Opens a bus that refuses to send.

    Raises:
        DeviceUnavailableError: it cannot be had.
    """
    bus = open_bus(interface, channel, bitrate, **_SILENT_MODE.get(interface, {}))
    bus.send = bus.send_periodic = _refuse  # type: ignore[method-assign]
    return bus


def _refuse(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a passive source does not send")


class CanListener:
    """What comes on one bus, heard in a thread of its own while :meth:`frames` is iterated over.

    ``identifiers`` are those wanted, as (identifier, is extended). ``silent_s`` is how long the bus may say
    nothing of them before the link counts as lost.
    """

    def __init__(
        self,
        place: tuple[str, str, int],
        identifiers: Collection[tuple[int, bool]],
        clock: Clock,
        counts: LinkCounts,
        silent_s: float,
    ) -> None:
        """``place`` is interface, channel and bitrate."""
        self._place = place
        self._identifiers = frozenset(identifiers)
        self._clock = clock
        self._counts = counts
        self._silent_s = silent_s

    async def frames(self) -> AsyncGenerator[list[HeardFrame], None]:
        """Opens the bus and yields wanted frames as they come, some at a time.

        Raises:
            DeviceUnavailableError: the bus cannot be opened, is gone, or has fallen silent.
        """
        handoff: Handoff[list[HeardFrame]] = Handoff(_QUEUE_ITEMS)
        async with aclosing(from_thread(handoff, partial(self._listen, handoff), "can-listener")) as heard:
            async for frames in heard:
                self._counts.dropped_batches = handoff.dropped
                yield frames

    def _listen(self, handoff: Handoff[list[HeardFrame]], stop: threading.Event) -> None:
        """The thread: opens the bus, hears, and closes the bus whatever happens."""
        bus = open_listening(*self._place)
        try:
            self._hear(bus, handoff, stop)
        finally:
            bus.shutdown()

    def _hear(self, bus: can.BusABC, handoff: Handoff[list[HeardFrame]], stop: threading.Event) -> None:
        bus.set_filters(
            [
                {"can_id": number, "can_mask": 0x1FFFFFFF if extended else 0x7FF, "extended": extended}
                for number, extended in sorted(self._identifiers)
            ]
        )
        waiting: list[HeardFrame] = []
        heard_s = delivered_s = time.monotonic()
        while not stop.is_set():
            frame = self._next(bus)
            now_s = time.monotonic()
            if frame is not None:
                heard_s = now_s
                waiting.append(frame)
            elif now_s - heard_s > self._silent_s:
                interface, channel, _ = self._place
                raise DeviceUnavailableError(
                    f"nothing that is wanted came on CAN {channel} ({interface}) for {self._silent_s:g} s: "
                    f"is the ignition on, is the bitrate right?"
                )
            if waiting and now_s - delivered_s >= _DELIVER_S:
                handoff.put(waiting)
                waiting, delivered_s = [], now_s

    def _next(self, bus: can.BusABC) -> HeardFrame | None:
        """The next wanted data frame, or None after a short while."""
        try:
            message = bus.recv(_LISTEN_S)
        except (can.CanError, OSError) as error:
            raise DeviceUnavailableError(f"CAN bus {bus.channel_info} is gone: {error}") from error
        except (ValueError, IndexError):
            # serial adapters: python-can's parser meets bytes that are no frame
            self._counts.bad_frames += 1
            return None
        if message is None or message.is_error_frame or message.is_remote_frame:
            return None
        if (message.arbitration_id, message.is_extended_id) not in self._identifiers:
            return None
        return HeardFrame(
            message.arbitration_id, message.is_extended_id, bytes(message.data), self._clock.now()
        )
