"""The daemon killed in the middle of a drive and started again, as a user would see it."""

from __future__ import annotations

import signal
from pathlib import Path

from test_daemon_run import CONFIG, get, started, until

SESSIONS = "api/v1/sessions"


def test_a_drive_goes_on_after_kill_9_and_keeps_what_the_user_said(tmp_path: Path) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text(CONFIG.replace("speed = 20", "speed = 1"))
    with started("run", "--config", str(config)) as (process, url):
        until(f"{url}api/v1/table", lambda table: table["samples"]["seen"] > 20)
        before = until(f"{url}{SESSIONS}", lambda answer: answer["sessions"][0]["samples"] > 0)["sessions"]
        assert [(session["id"], session["state"]) for session in before] == [(1, "driving")]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with started("run", "--config", str(config)) as (process, url):
        until(f"{url}api/v1/status", lambda status: status["session"] == 1 and status["sample_rate_hz"])
        seen = get(f"{url}api/v1/table")["samples"]
        assert seen["seen"] + seen["pending"] >= before[0]["samples"]
        (drive,) = until(
            f"{url}{SESSIONS}", lambda answer: answer["sessions"][0]["samples"] > before[0]["samples"]
        )["sessions"]
        assert (drive["id"], drive["state"]) == (1, "driving")
        # Changes of the link are written with the next commit, at most two seconds later.
        history = until(
            f"{url}{SESSIONS}/1",
            lambda answer: [change["state"] for change in answer["link"]].count("running") == 2,
        )
        assert history["link"], "both connections are in the drive's history"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
