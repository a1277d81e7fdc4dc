"""Shell completion and the manual page: made from the parser, so that they know every command and option."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from daemon import cli
from daemon.cli import main
from daemon.man_page import man_page


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (flag for flag in action.option_strings if flag.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from options_of(subparser)


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return cli.parser_with(cli.COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_completed(
    shell: str, parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script, _ = capsys.readouterr()
    assert [command for command in cli.COMMANDS if command not in script] == []
    assert [option for option in set(options_of(parser)) if option.lstrip("-") not in script] == []


def complete(script: str, *words: str) -> list[str]:
    """What bash offers after these words."""
    program = f"""{script}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_shtab_lowmaf lowmaf '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=30, check=True)
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


def test_bash_completes_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    main(["completion", "bash"])
    script, _ = capsys.readouterr()
    assert complete(script, "lowmaf", "do") == ["doctor"]
    assert complete(script, "lowmaf", "simulate", "--transport", "k") == ["kline"]
    assert complete(script, "lowmaf", "sessions", "exp") == ["export"]
    assert "--json" in complete(script, "lowmaf", "doctor", "--")


def test_the_manual_page_tells_every_command_and_option(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["manual"]) == 0
    page, _ = capsys.readouterr()
    for command in cli.COMMANDS:
        assert f'.SS "lowmaf {command}"' in page
    missing = set(options_of(parser)) - {"--help"}
    assert [option for option in missing if option.replace("-", "\\-") not in page] == []


def test_troff_finds_nothing_wrong_with_the_page(parser: argparse.ArgumentParser) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    page = man_page(parser, "1.0")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-Kutf8"],
        input=page.encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.decode() == ""
    assert "lowmaf doctor" in done.stdout.decode()


def test_no_text_of_ours_becomes_a_request() -> None:
    parser = argparse.ArgumentParser(prog="lowmaf", description=".so /etc/passwd")
    parser.add_argument("file", help="'quoted\n.sy reboot")
    page = man_page(parser, "1.0")
    assert not [line for line in page.splitlines() if line.startswith((".so", ".sy", "'"))]
