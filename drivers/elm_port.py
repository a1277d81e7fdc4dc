"""Commands to an ELM327 and its responses, on the event loop.

This is where bytes leave for the car, so this is where what may leave is checked: what sets up the
adapter and what reads, and nothing else.
"""

from __future__ import annotations

from drivers.byte_link import BytePort
from drivers.can_link import NoAnswerError
from drivers.elm_frames import check_allowed, response_lines

_PROMPT = b">"
_BLANK = b"\r\n\0 "
_WAKE = b"\x7f\x7f\r"  # bytes that are no command, whatever the baud rate; answered by a prompt
_QUIET_S = 0.05
_INTERRUPT_S = 1.0  # a longer wait for a prompt that did not come before would be of no use
_LONGEST_RESPONSE = 4096


class ElmPort:
    """One adapter. Adapters do one thing at a time: the next command goes out after the prompt."""

    def __init__(self, link: BytePort) -> None:
        self._link = link

    @property
    def arrived_s(self) -> float:
        """The source's time at which the newest byte came, s since the link was opened."""
        return self._link.arrived_s

    @property
    def sent_s(self) -> float:
        """The source's time at which the newest command was sent."""
        return self._link.sent_s

    async def wakes(self, wait_s: float) -> bool:
        """Whether something that shows a prompt is there."""
        self._link.write(_WAKE)
        try:
            await self._until_prompt(wait_s, blank_counts=True)
        except NoAnswerError:
            return False
        await self._link.settle(_QUIET_S, wait_s)
        return True

    async def command(self, command: str, wait_s: float) -> list[str]:
        """Sends a command; returns the lines of its response, without echo and prompt.

        Raises:
            ValueError: the command is not on the allow-list.
            NoAnswerError: no prompt in time; the adapter was brought back to its prompt, if it has one.
            DeviceUnavailableError: the link is gone.
        """
        check_allowed(command)
        await self._link.read(1, 0.0)  # a second prompt, or the rest of what was given up
        self._link.write(command.encode("ascii") + b"\r")
        try:
            return response_lines(await self._until_prompt(wait_s), command)
        except NoAnswerError:
            await self._interrupt(min(wait_s, _INTERRUPT_S))
            raise

    async def _until_prompt(self, wait_s: float, *, blank_counts: bool = False) -> bytes:
        """What came up to the prompt. A prompt with nothing before it is the second of two, and none."""
        deadline_s = self._link.now_s() + wait_s
        text = b""
        while True:
            response, prompt, text_after = text.partition(_PROMPT)
            if prompt:
                if blank_counts or response.strip(_BLANK):
                    return response
                text = text_after
                continue
            left_s = deadline_s - self._link.now_s()
            if left_s <= 0.0 or len(text) > _LONGEST_RESPONSE:
                raise NoAnswerError(f"the adapter shows no prompt within {wait_s:.2g} s")
            text += await self._link.read(1, left_s)

    async def _interrupt(self, wait_s: float) -> None:
        """Any byte ends what a busy adapter does; one that is idle repeats a read. Both show a prompt."""
        self._link.write(b"\r")
        try:
            await self._until_prompt(wait_s, blank_counts=True)
        except NoAnswerError:
            return
        await self._link.settle(_QUIET_S, wait_s)
