"""Questions of ``lowmaf setup`` on any terminal: one line asked, one line answered, Enter for the default."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from daemon.errors import UsageError
from daemon.output.printable import printable


class Interview:
    """Asks a person; with ``ask`` False every answer is its default, and one without is an error.

    Every question names the ``option`` of the command line that answers it.

    Raises:
        UsageError: the answers ended, or there is neither an answer nor a default.
    """

    def __init__(self, *, ask: bool, read: Callable[[str], str] = input) -> None:
        self._ask = ask
        self._read = read

    @property
    def asks(self) -> bool:
        """Whether there is a person to ask."""
        return self._ask

    def say(self, text: str = "") -> None:
        """Tells something; what came from outside cannot move the cursor."""
        print(printable(text, keep="\n"), flush=True)

    def text(
        self, question: str, option: str, default: str | None, refuse: Callable[[str], str | None]
    ) -> str:
        """A text. ``refuse`` says what is wrong with one, None where nothing is; else it is asked again."""
        if not self._ask:
            return self._default(question, option, default)
        shown = "" if default is None else f" [{default or 'none'}]"
        while True:
            answer = self._line(f"{question}{shown}: ", option).strip()
            if not answer and default is not None:
                return default
            complaint = refuse(answer) if answer else "an answer is needed"
            if complaint is None:
                return answer
            self.say(f"  {complaint}")

    def yes(self, question: str, option: str, *, default: bool) -> bool:
        """Yes or no."""
        if not self._ask:
            return default
        shown = "Y/n" if default else "y/N"
        while True:
            answer = self._line(f"{question} [{shown}]: ", option).strip().lower()
            if not answer:
                return default
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            self.say("  y or n is needed")

    def choice(self, question: str, option: str, choices: Sequence[str], default: int | None) -> int | str:
        """The index of one of ``choices``, or what was written instead of a number."""
        for number, words in enumerate(choices, 1):
            self.say(f"  {number}  {words}")
        shown = None if default is None else str(default + 1)

        def refuse(answer: str) -> str | None:
            if answer.isdecimal() and not 1 <= int(answer) <= len(choices):
                return f"there is no {answer}: a number up to {len(choices)} is needed" if choices else None
            return None

        answer = self.text(question, option, shown, refuse)
        return int(answer) - 1 if answer.isdecimal() else answer

    def _line(self, question: str, option: str) -> str:
        try:
            return self._read(printable(question))
        except EOFError:
            raise UsageError(
                f"the answers ended at {question.strip()!r}: say it with {option}, or take every default "
                "with --yes"
            ) from None
        except UnicodeDecodeError:
            raise UsageError(f"the answer to {question.strip()!r} is not UTF-8") from None

    def _default(self, question: str, option: str, default: str | None) -> str:
        if default is None:
            raise UsageError(f"{option} is needed: nobody can be asked {question!r} with --yes")
        return default
