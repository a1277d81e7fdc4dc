"""``lowmaf run`` and ``lowmaf demo`` as a user starts them: in a process of their own, over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from timing import at_most

LOWMAF = (sys.executable, "-m", "daemon")
CONFIG = """
[source]
driver = "simulator"
speed = 20
ect_start_c = 85

[storage]
database = "kept.sqlite3"
commit_interval_s = 0.5

[web]
port = 0
"""


def read_url(lines: IO[str]) -> str:
    for line in lines:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
            return found.group()
    raise AssertionError("the program ended without telling its address")


@contextmanager
def started(*arguments: str, stream: str = "stderr", **options: Any) -> Iterator[tuple[Any, str]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOWMAF_")}
    process = subprocess.Popen(
        [*LOWMAF, *arguments], **{stream: subprocess.PIPE}, text=True, env=environment, **options
    )
    try:
        yield process, read_url(getattr(process, stream))
    finally:
        process.kill()
        process.wait()
        getattr(process, stream).close()


def get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def until(url: str, wanted: Callable[[dict[str, Any]], bool], limit_s: float = 30.0) -> dict[str, Any]:
    """Polls until the answer is what is wanted; the limit only ends a test that has failed."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = get(url)
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {limit_s} s: {answer}"
        time.sleep(0.05)


def test_demo_learns_says_how_near_it_is_and_ends_by_itself() -> None:
    arguments = ("demo", "--speed", "50", "--seconds", "6", "--port", "0")
    with started(*arguments, stream="stdout") as (process, url):
        table = until(f"{url}api/v1/table", lambda table: table["samples"]["accepted"] > 50)
        assert table["format"] == "lowmaf.table/1"
        samples = table["samples"]
        assert samples["seen"] == samples["accepted"] + sum(samples["rejected"].values())
        status = get(f"{url}api/v1/status")
        assert status["link"]["state"] == "running"
        assert len(status["truth"]["error_pct"]) == len(table["cells"])
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert re.search(r"Stopped\. .* samples counted", rest)


def test_run_survives_kill_9_and_carries_on_where_it_was(tmp_path: Path) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text(CONFIG)
    with started("run", "--config", str(config)) as (process, url):
        until(f"{url}api/v1/table", lambda table: table["samples"]["accepted"] > 200)
        commits = get(f"{url}api/v1/status")["storage"]["commits"]
        before = get(f"{url}api/v1/table")
        until(f"{url}api/v1/status", lambda status: status["storage"]["commits"] > commits + 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with started("run", "--config", str(config)) as (process, url):
        after = get(f"{url}api/v1/table")
        assert after["samples"]["seen"] >= before["samples"]["seen"]
        hits = [
            (then["hits"], now["hits"]) for then, now in zip(before["cells"], after["cells"], strict=True)
        ]
        assert all(now >= then for then, now in hits)
        assert until(f"{url}api/v1/status", lambda status: status["session"] is not None)["session"] == 2
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - begin < at_most(2.0)


def test_a_port_in_use_is_one_line_and_status_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*LOWMAF, "demo", "--port", port], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert port in done.stderr
    assert "choose another port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--speed", "0"], "speed"),
        (["demo", "--speed", "fast"], "invalid float value: 'fast'"),
        (["demo", "--port", "70000"], "--port 70000 is impossible"),
        (["demo", "--seconds", "-1"], "--seconds -1 is impossible"),
        (["demo", "--colour"], "unrecognized arguments: --colour"),
        (["setup", "--yes", "more"], "lowmaf setup: unrecognized arguments: more (see lowmaf setup --help)"),
        (["simulate", "--transport", "kine"], "invalid choice: 'kine'"),
        (["run"], "--config"),
        (["run", "--config", "missing.toml"], "missing.toml"),
        (["rnu"], "rnu"),
        ([], "a command is needed"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*LOWMAF, *arguments], capture_output=True, text=True, timeout=30, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_written_is_one_line_and_status_1() -> None:
    done = subprocess.run(
        [*LOWMAF, "demo", "--port", "0", "--database", "/proc/none/db.sqlite3"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "/proc/none" in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_command_has_help_with_an_example() -> None:
    for command in ("demo", "run", "replay", "check"):
        done = subprocess.run([*LOWMAF, command, "--help"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0
        assert f"lowmaf {command}" in done.stdout
        assert "example" in done.stdout
    done = subprocess.run([*LOWMAF, "--version"], capture_output=True, text=True, timeout=30)
    assert re.fullmatch(r"lowmaf \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("check", "--help")])
@pytest.mark.parametrize("streams", ["> /dev/full", "| true", ">&-", "<&- >&- 2>&-"])
def test_streams_that_fail_give_no_traceback(arguments: tuple[str, ...], streams: str) -> None:
    """``/dev/full`` is only written to by the shell, as a stream."""
    line = " ".join([*LOWMAF, *arguments, streams])
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_control_characters_of_names_are_shown_not_obeyed(tmp_path: Path) -> None:
    name = str(tmp_path / "a\x1b[31mb.toml")
    done = subprocess.run([*LOWMAF, "check", "--config", name], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "a\\x1b[31mb.toml" in done.stderr


def test_a_recorded_log_is_replayed_as_if_live_and_the_dashboard_stays(tmp_path: Path) -> None:
    rows = [f"{50 * n},{n % 5 - 2},1.56,8,{1.2 + n % 40 / 100:.2f},900" for n in range(2000)]
    header = (
        "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
        "Mass Airflow Sensor Voltage (V),Engine Speed (rpm)"
    )
    (tmp_path / "drive.csv").write_text("\n".join([header, *rows, ""]))
    config = tmp_path / "lowmaf.toml"
    config.write_text(
        f'[source]\ndriver = "replay"\nfile = "{tmp_path}/drive.csv"\nspeed = 50\n[web]\nport = 0\n'
    )
    with started("run", "--config", str(config)) as (_, url):
        live = until(f"{url}api/v1/status", lambda status: status["link"]["state"] == "running")
        assert live["link"]["words"] == f"replay of {tmp_path}/drive.csv (romraider), 50 × real time"
        until(f"{url}api/v1/status", lambda status: status["link"]["state"] == "ended")
        samples = get(f"{url}api/v1/table")["samples"]
    assert samples["seen"] == 2000
    assert samples["accepted"] > 1900
    with started("run", "--config", str(config)) as (_, url):
        again = until(f"{url}api/v1/status", lambda status: status["link"]["state"] == "ended")
        assert (
            "not again, or its samples would count twice: the database has them as session 1; "
            in (again["link"]["words"])
        )
        assert get(f"{url}api/v1/table")["samples"] == samples


def test_a_simulated_source_is_announced(tmp_path: Path) -> None:
    config = tmp_path / "empty.toml"
    config.write_text("")
    done = subprocess.run(
        [*LOWMAF, "check", "--config", str(config)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert "SIMULATED" in done.stdout
