"""``--plot``: a picture that says what the table says, whatever its names hold."""

from __future__ import annotations

import copy
import importlib
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from daemon.errors import UsageError
from daemon.output.plot import check_plot, plot_bytes, plot_svg
from daemon.output.plot_axes import Scale, covering, number, round_step
from lowmaf.document import table_document
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def document():
    random = np.random.default_rng(5)
    t_s = np.arange(0.0, 1500.0, 0.1)
    volts = np.interp(t_s, np.arange(0.0, 1520.0, 20.0), random.uniform(1.2, 2.4, 76))
    maf_v = np.linspace(0.9, 4.5, 31)
    pipeline = Pipeline(MafTable('stock <b>&"\x07', maf_v, 2.0 * maf_v**2.6))
    pipeline.begin(1)
    columns = {
        "maf_v": volts,
        "stft_pct": 5.0 * np.sin(volts) + random.normal(0.0, 0.2, t_s.size),
        "ltft_pct": np.zeros(t_s.size),
        "fuel_loop": np.full(t_s.size, 2.0),
    }
    pipeline.feed(SampleBatch(t_s, columns))
    pipeline.finish()
    return table_document(pipeline.snapshot(pipeline.held_out()), logs=[{"name": "a/b<script>.csv"}])


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_is_well_formed_and_labelled(document) -> None:
    svg = plot_svg(document)
    words = texts(svg)
    for label in ("correction, %", "samples counted, per cell", "air flow, g/s", "MAF sensor voltage, V",
                  "measured", "weak", "in the ECU now", "proposed"):  # fmt: skip
        assert label in words
    assert 'MAF correction: stock <b>&" ' in words
    assert any(word.startswith("b<script>.csv") for word in words)
    assert "<script" not in svg
    assert "href" not in svg
    changed = [cell["maf_v"] for cell in document["cells"] if cell["proposed_gs"] != cell["flow_gs"]]
    assert any(f"nothing changes above {changed[-1]:.3g} V" in word for word in words)


def test_every_mark_lies_within_the_picture(document) -> None:
    root = ElementTree.fromstring(plot_svg(document))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    places = [
        tuple(map(float, pair.split(",")))
        for shape in (*root.iter(f"{SVG}polyline"), *root.iter(f"{SVG}polygon"))
        for pair in (shape.get("points") or "").split()
    ]
    assert len(places) > 60
    assert all(0.0 <= x <= width and 0.0 <= y <= height for x, y in places)
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) >= sum(cell["correction_pct"] is not None for cell in document["cells"])


def test_a_higher_correction_is_drawn_higher(document) -> None:
    def line_of(table) -> list[tuple[float, float]]:
        first = next(ElementTree.fromstring(plot_svg(table)).iter(f"{SVG}polyline"))
        return [tuple(map(float, pair.split(","))) for pair in (first.get("points") or "").split()]

    drawn = line_of(document)
    known = [cell["correction_pct"] for cell in document["cells"] if cell["correction_pct"] is not None]
    highest, lowest = int(np.argmax(known)), int(np.argmin(known))
    assert drawn[highest][1] < drawn[lowest][1]
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)


@pytest.mark.parametrize("estimator", ["curve", "nearest"])
def test_a_table_without_evidence_flow_or_interval_is_drawn(estimator: str) -> None:
    empty = table_document(Pipeline(default_axis(), estimator=estimator).snapshot())
    words = texts(plot_svg(empty))
    assert "no cell has evidence yet" in words
    assert "air flow, g/s" not in words


def test_a_table_of_plain_means_has_no_band(document) -> None:
    plain = copy.deepcopy(document)
    for cell in plain["cells"]:
        cell["ci95_pct"] = cell["stderr_pct"] = None
    assert "<polygon" not in plot_svg(plain)
    assert "<polygon" in plot_svg(document)


def test_png_is_drawn_where_a_rasteriser_is_there(document, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("resvg_py", reason="PNG needs resvg_py, which is not installed")
    png = plot_bytes(document, tmp_path / "table.PNG")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(png[16:20], "big") == 1920


def test_what_cannot_be_drawn_is_refused_before_any_work(monkeypatch, tmp_path: pathlib.Path) -> None:
    for name in ("table.pdf", "table"):
        with pytest.raises(UsageError, match=r"must end in \.svg or \.png"):
            check_plot(tmp_path / name)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r"the extra lowmaf\[png\]"):
        check_plot(tmp_path / "table.png")
    check_plot(tmp_path / "table.svg")


def test_scales_and_ticks() -> None:
    assert [round_step(value) for value in (0.7, 1.0, 1.1, 2.2, 3.0, 6.0)] == [1.0, 1.0, 2.0, 2.5, 5.0, 10.0]
    scale = Scale(0.9, 4.5, 0.0, 100.0)
    assert scale.ticks(8) == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5])
    assert [scale.at(value) for value in (0.0, 0.9, 2.7, 4.5, 9.0)] == pytest.approx([0, 0, 50, 100, 100])
    assert covering([], 4.0) == (-2.0, 2.0)
    assert covering([0.0, 13.0], 1.0) == (0.0, 15.0)
    assert [number(value, signed=True) for value in (-1.0, 0.0, 2.5)] == ["−1", "0", "+2.5"]
