"""The page of benchmarks is made from what was measured, and names tests that there are."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench(project: Path) -> Path:
    return project / "tests" / "bench"


@pytest.fixture
def module(bench: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmarks, which stand in a folder of their own."""
    monkeypatch.syspath_prepend(str(bench))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_the_page_is_made_from_the_figures(project: Path, bench: Path, module: Any) -> None:
    kept = json.loads((project / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    pages = module("benchmarks_page")
    titles = {
        path.stem.removeprefix("bench_"): pages.title_of(path) for path in sorted(bench.glob("bench_*.py"))
    }
    assert set(kept) <= set(titles), "a benchmark that is gone: make bench leaves it out"
    text = (project / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text == pages.page(kept, titles), "make bench ARGS=--page-only writes it"


def test_every_promise_that_is_counted_has_its_test(project: Path, module: Any) -> None:
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    for count in module("counted").COUNTED:
        file, _, function = count.test.partition("::")
        source = (project / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), count.test
        assert f"\n{count.command}:" in makefile
        if count.command != "test":
            assert "mark.long" in source or file.startswith("vm/"), count.test


def test_every_benchmark_reports_figures(bench: Path) -> None:
    for path in bench.glob("bench_*.py"):
        source = path.read_text(encoding="utf-8")
        assert re.search(r"\breport(_figures)?\(", source), f"{path.name}: no figure"


def test_a_figure_is_held_against_its_target_and_kept(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = module("figures")
    record = tmp_path / "record"
    monkeypatch.setenv(figures.RECORD, str(record))
    figures.report("speed", 8000.0, "requests/s", peer=("Fastify", 4000.0), ratio_at_least=2.0)
    figures.report("memory", 70.0, "MB", at_most=64.0)
    figures.report("size", 0.123456, "kB")
    figures.report("both", 5.0, "ms", peer=("bare", 10.0), at_most=6.0, ratio_at_most=0.4)
    figures.not_measured("Go", "no Go here")
    kept = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert [one.get("met") for one in kept] == [True, False, None, False, None]
    assert [one.get("target") for one in kept[:4]] == [
        "at least 2 × Fastify", "at most 64 MB", "", "at most 6 ms and at most 0.4 × bare",
    ]  # fmt: skip
    assert kept[0]["ratio"] == 2.0
    assert kept[4] == {"name": "Go", "why": "no Go here"}
    out = capsys.readouterr().out
    assert "8,000 requests/s" in out
    assert "MISSED" in out
    section = {
        "date": "2026-01-01",
        "version": "v",
        "took_s": 1.0,
        "load": 0.1,
        "failed": "",
        "figures": kept[:4],
        "not_measured": kept[4:],
        "machine": {"processor": "P", "cores": 2, "system": "S", "versions": {"Python": "3"}},
    }
    page = module("benchmarks_page").page({"x": section}, {"x": "What x costs", "y": "What y costs"})
    assert "| memory | 70 MB |  |  | at most 64 MB | **missed** |" in page
    assert "Not measured: Go (no Go here)." in page
    assert "Not measured yet: `make bench ARGS=y`." in page
    assert "2 missed" in page


def test_an_unknown_benchmark_is_refused_with_those_there_are(project: Path, bench: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(bench / "run.py"), "stor"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no benchmark stor; there are accuracy" in done.stderr
