"""The examples of the analysis service in the README do what it says."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import log_samples
import pytest
from analysis_benches import analysing
from fakes import FakeBoard, serving

from web.app import create_app


def examples(project: Path) -> list[str]:
    """The commands of the section, one line each."""
    text = (project / "README.md").read_text(encoding="utf-8")
    section = text.partition("### Analyses over HTTP")[2].partition("\n## ")[0]
    block = re.search(r"(?m)^    curl .*(\n    .*)*", section)
    assert block is not None
    return [line.strip() for line in block[0].replace("\\\n", " ").splitlines()]


async def test_the_examples_work_one_after_another(project: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    async with analysing(tmp_path / "car.sqlite3") as bench:
        app = create_app(
            FakeBoard(), version="1", logs=bench.service.uploads, analyses=bench.service.analyses
        )
        ids = {"LOG": "LOG", "RUN": "RUN"}
        answers: list[str] = []
        runs: list[str] = []
        async with serving(app) as url:
            for example in examples(project):
                if "DELETE" in example:
                    for run in runs:
                        await bench.until(run, "completed")
                command = example.replace("http://127.0.0.1:8000/", url)
                for placeholder, known in ids.items():
                    command = re.sub(rf"\b{placeholder}\b", known, command)
                shell = await asyncio.create_subprocess_shell(  # noqa: TID251 - README is for a shell
                    f"{command} --silent --show-error --fail-with-body --max-time 30",
                    cwd=tmp_path,
                    stdout=asyncio.subprocess.PIPE,
                )
                answer, _ = await shell.communicate()
                assert shell.returncode == 0, f"{command}\n{answer.decode()}"
                answers.append(answer.decode())
                if "ids" in answers[-1][:10]:
                    runs = json.loads(answers[-1])["ids"]
                    ids["RUN"] = runs[0]
                elif ids["LOG"] == "LOG":
                    ids["LOG"] = json.loads(answers[-1])["id"]
        _, _, looked_at, events, listed, deleted = answers
        assert json.loads(looked_at)["id"] == ids["RUN"]
        assert '"status":"completed"' in events.rpartition("data: ")[2]
        assert ids["RUN"] in {run["id"] for run in json.loads(listed)["analyses"]}
        assert deleted == ""
