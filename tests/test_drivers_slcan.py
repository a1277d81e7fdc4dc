"""CAN over serial adapters: the text, the bus, and everything that an adapter may do to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing

import can
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_benches import ECT_C, idling_car, standing
from timing import at_most

from drivers.base import DeviceUnavailableError, DriverOptionError, FrameError
from drivers.can_link import open_bus
from drivers.can_port import BusPort
from drivers.clock import WallClock
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.link_faults import LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.slcan_adapter import SlcanAdapterBus
from drivers.slcan_bus import SlcanBus
from drivers.slcan_frames import SlcanFrame, SlcanScanner
from drivers.ssm_can import SsmCan

LINE = b"t7E8802E87D0000000000\r"
FRAME = SlcanFrame(0x7E8, bytes.fromhex("02E87D0000000000"))


def frames() -> st.SearchStrategy[SlcanFrame]:
    data = st.binary(max_size=8)
    return st.one_of(
        st.builds(SlcanFrame, st.integers(0, 0x7FF), data),
        st.builds(SlcanFrame, st.integers(0, 0x1FFFFFFF), data, st.just(True)),
    )


def test_a_frame_as_adapters_write_it() -> None:
    assert FRAME.to_bytes() == LINE
    assert SlcanFrame.from_bytes(LINE[:-1]) == FRAME
    assert SlcanFrame.from_bytes(LINE[:-1] + b"1F3A") == FRAME, "with a time stamp"
    assert SlcanFrame.from_bytes(b"T18DAF110204aB") == SlcanFrame(0x18DAF110, b"\x04\xab", True)
    assert SlcanFrame.from_bytes(b"t1000") == SlcanFrame(0x100, b"")


@pytest.mark.parametrize(
    "line", [b"t7E", b"t7E8", b"t7E89", b"t7E882", b"t8008" + b"00" * 8, b"tXYZ0", b"r7E80", b"V1013", b"x"]
)
def test_what_is_no_frame(line: bytes) -> None:
    with pytest.raises(FrameError, match="slcan line"):
        SlcanFrame.from_bytes(line)


@given(st.lists(frames(), max_size=12), st.integers(1, 40))
def test_frames_are_found_in_any_chunking(sent: list[SlcanFrame], size: int) -> None:
    stream = b"".join(frame.to_bytes() for frame in sent)
    scanner = SlcanScanner()
    found = [frame for at in range(0, len(stream), size) for frame in scanner.feed(stream[at : at + size])]
    assert found == sent
    assert scanner.bad_lines == 0


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_are_borne(chunks: list[bytes]) -> None:
    scanner = SlcanScanner()
    for chunk in chunks:
        scanner.feed(chunk)
    assert scanner.feed(b"\r" + LINE)[-1] == FRAME


def test_a_byte_that_is_no_text_costs_at_most_its_own_line() -> None:
    """It stops python-can's reader for good."""
    scanner = SlcanScanner()
    assert scanner.feed(b"\xff" + LINE + LINE[:6] + b"\xff" + LINE[6:] + LINE) == [FRAME, FRAME]
    assert scanner.bad_lines == 1


def test_answers_to_commands_are_no_frames() -> None:
    scanner = SlcanScanner()
    assert scanner.feed(b"\r\r\az\r" + LINE + b"Z\r") == [FRAME]
    assert (scanner.refused, scanner.bad_lines) == (1, 0)


@pytest.fixture
def port() -> Iterator[PtyPort]:
    port = PtyPort()
    yield port
    port.close()


def test_the_channel_is_opened_and_closed_with_its_bitrate(port: PtyPort) -> None:
    bus = open_bus("slcan", f"{port.path}@230400", 500_000)
    assert isinstance(bus, SlcanBus)
    assert port.read(1.0) == b"\r\r\rC\rS6\rO\r"
    bus.send(can.Message(arbitration_id=0x7E0, data=b"\x01\xaa", is_extended_id=False))
    assert port.read(1.0) == b"t7E0201AA\r"
    bus.shutdown()
    bus.shutdown()
    assert port.read(1.0) == b"C\r"


def test_frames_are_received_whole_and_in_order_behind_garbage(port: PtyPort) -> None:
    bus = open_bus("slcan", port.path, 0)
    port.write(
        b"\xff\xff\x00junk\r" + b"".join(SlcanFrame(0x100, bytes((n,))).to_bytes() for n in range(100))
    )
    received = [bus.recv(1.0) for _ in range(100)]
    assert [message.data[0] for message in received if message] == list(range(100))
    assert bus.recv(0.0) is None
    bus.shutdown()


def test_filters_let_through_what_python_can_would(port: PtyPort) -> None:
    sent = [SlcanFrame(identifier, b"\x01", extended) for extended in (False, True)
            for identifier in (0x100, 0x101, 0x7E8, 0x7E9)]  # fmt: skip
    bus = open_bus("slcan", port.path, 0)
    for wanted in (
        None,
        [],
        [{"can_id": 0x7E8, "can_mask": 0x7FF, "extended": False}],
        [{"can_id": 0x100, "can_mask": 0x7FE}, {"can_id": 0x7E9, "can_mask": 0x1FFFFFFF, "extended": True}],
    ):
        bus.set_filters(wanted)
        port.write(b"".join(frame.to_bytes() for frame in sent))
        messages = [
            can.Message(arbitration_id=frame.identifier, is_extended_id=frame.is_extended) for frame in sent
        ]
        expected = [(m.arbitration_id, m.is_extended_id) for m in messages if bus._matches_filters(m)]
        received = [bus.recv(1.0) for _ in expected]
        assert [(m.arbitration_id, m.is_extended_id) for m in received if m] == expected
        assert bus.recv(0.0) is None
    bus.shutdown()


def test_a_filter_holds_for_what_has_come_already(port: PtyPort) -> None:
    bus = open_bus("slcan", port.path, 0)
    port.write(b"".join(SlcanFrame(identifier, b"").to_bytes() for identifier in (0x100, 0x7E8, 0x101)))
    assert bus.recv(1.0) is not None
    bus.set_filters([{"can_id": 0x101, "can_mask": 0x7FF, "extended": False}])
    message = bus.recv(0.0)
    assert message is not None
    assert message.arbitration_id == 0x101
    bus.shutdown()


def test_frames_of_one_transfer_leave_in_one_piece(port: PtyPort) -> None:
    link = BusPort(open_bus("slcan", port.path, 0), WallClock())
    port.read(1.0)
    link.send(0x7E0, [b"\x21\xa8", b"\x22\x00"])
    assert port.read(1.0) == b"t7E0221A8\rt7E022200\r"
    port.write(SlcanFrame(0x7E8, b"\x30", is_extended=True).to_bytes() + LINE)
    assert link.receive(1.0) is None, "a frame with a long identifier is nobody's here"
    assert link.receive(1.0) == (0x7E8, FRAME.data)
    link.close()


def test_unplugged_it_raises_and_does_not_turn_endlessly() -> None:
    port = PtyPort()
    bus = open_bus("slcan", port.path, 0)
    port.close()
    spent_s = time.thread_time()
    for _ in range(3):
        with pytest.raises(can.CanOperationError):
            bus.recv(0.2)
    with pytest.raises(can.CanOperationError):
        bus.send(can.Message(arbitration_id=0x7E0, data=b"\x01", is_extended_id=False))
    assert time.thread_time() - spent_s < 0.1
    bus.shutdown()


def test_silence_is_waited_for_and_no_longer(port: PtyPort) -> None:
    bus = open_bus("slcan", port.path, 0)
    started_s = time.monotonic()
    assert bus.recv(0.05) is None
    assert 0.04 < time.monotonic() - started_s < at_most(0.5)
    bus.shutdown()


def test_an_adapter_that_takes_nothing_is_given_up(port: PtyPort) -> None:
    bus = open_bus("slcan", port.path, 0)
    message = can.Message(arbitration_id=0x7E0, data=bytes(8), is_extended_id=False)

    def send_without_end() -> None:
        for _ in range(10_000):
            bus.send(message, timeout=0.05)

    with pytest.raises(can.CanOperationError, match="takes nothing"):
        send_without_end()
    bus.shutdown()


def test_a_port_that_is_not_there_or_in_use(port: PtyPort) -> None:
    with pytest.raises(DeviceUnavailableError, match="CAN bus /dev/nosuchport7"):
        open_bus("slcan", "/dev/nosuchport7", 500_000)
    bus = open_bus("slcan", port.path, 0)
    with pytest.raises(
        DeviceUnavailableError, match=r"\(slcan\) cannot be opened: another program has it open"
    ):
        open_bus("slcan", port.path, 0)
    bus.shutdown()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bitrate": 499_999}, "slcan has no bitrate 499999; there are 10000, 20000"),
        ({"channel": "/dev/ttyACM0@fast"}, "after @ stands the baud rate, met 'fast'"),
        ({"channel": "/dev/ttyACM0@0"}, "after @ stands the baud rate"),
    ],
)
def test_places_that_cannot_be_are_refused_before_anything_is_opened(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(DriverOptionError) as caught:
        SsmCan({"interface": "slcan", **options}, WallClock())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "faults",
    [LinkFaults(), LinkFaults(garbage=0.3, corrupt=0.05, split=5.0)],
    ids=["good link", "bad link"],
)
async def test_an_ecu_is_read_through_an_adapter(faults: LinkFaults) -> None:
    port = PtyPort()
    ecu = SimulatedEcu(SlcanAdapterBus(port, faults), idling_car(), standing())
    ecu.start()
    try:
        source = SsmCan(
            {"interface": "slcan", "channel": port.path, "rate_hz": 100.0, "timeout_s": 0.1}, WallClock()
        )
        samples = 0
        async with aclosing(source.batches()) as batches:
            async for batch in batches:
                assert np.all(batch["ect_c"] == ECT_C)
                samples += len(batch)
                if samples >= 20:
                    break
    finally:
        ecu.stop()
