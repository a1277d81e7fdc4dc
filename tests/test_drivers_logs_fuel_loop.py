"""The state of the fuel loop: each coding by its own meaning, and an inference that is only that."""

from __future__ import annotations

import math
import pathlib

import numpy as np
import pytest

from drivers.logs.fuel_loop import (
    LoopCoding,
    LoopInference,
    code_of_text,
    coding_from_values,
    decoded_loop,
)
from drivers.logs.reader import LogReader
from lowmaf.samples import FuelLoop, SampleBatch

SHARED = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "logs"
NAN = float("nan")


def decoded(coding: LoopCoding, values: list[float], target: list[float] | None = None) -> list[float]:
    words = np.zeros(len(values), dtype=np.bool_)
    return decoded_loop(
        coding, np.array(values), words, None if target is None else np.array(target)
    ).tolist()


def test_subaru_status_8_is_closed_and_obd_8_is_open_by_fault() -> None:
    assert decoded(LoopCoding.SUBARU, [7, 8, 10, 14, 22]) == [
        FuelLoop.OPEN_COLD, FuelLoop.CLOSED, FuelLoop.OPEN_LOAD, FuelLoop.OPEN_FAULT, FuelLoop.CLOSED_FAULT,
    ]  # fmt: skip
    assert decoded(LoopCoding.OBD, [1, 2, 4, 8, 16]) == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(("coding", "code"), [(LoopCoding.SUBARU, 2.0), (LoopCoding.OBD, 10.0),
(LoopCoding.OBD, 0.0),
                                              (LoopCoding.SUBARU, NAN),
                                              (LoopCoding.SWITCH, NAN)])  # fmt: skip
def test_a_code_of_another_coding_is_no_state(coding: LoopCoding, code: float) -> None:
    assert math.isnan(decoded(coding, [code])[0])


def test_a_switch_is_believed_only_near_stoichiometric() -> None:
    switch = [1.0, 1.0, 1.0, 0.0, 1.0]
    target = [1.0, 0.96, 0.72, 1.0, NAN]
    states = decoded(LoopCoding.SWITCH, switch, target)
    assert states[:4] == [FuelLoop.CLOSED, FuelLoop.CLOSED, FuelLoop.OPEN_LOAD, FuelLoop.OPEN_LOAD]
    assert math.isnan(states[4])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("on", FuelLoop.CLOSED), ("OFF", FuelLoop.OPEN_LOAD), ("CL", FuelLoop.CLOSED), ("OL",
        FuelLoop.OPEN_LOAD),
        ("CL: normal", FuelLoop.CLOSED), ("OL-Drive", FuelLoop.OPEN_LOAD), ("OL-Fault", FuelLoop.OPEN_FAULT),
        ("CL-Fault", FuelLoop.CLOSED_FAULT),
        ("Closed loop, using oxygen sensor feedback to determine fuel mix", FuelLoop.CLOSED),
        ("Closed loop, using at least one oxygen sensor but there is a fault", FuelLoop.CLOSED_FAULT),
        ("Open loop due to insufficient engine temperature", FuelLoop.OPEN_COLD),
        ("Open loop due to engine load OR fuel cut due to deceleration", FuelLoop.OPEN_LOAD),
        ("Open loop due to system failure", FuelLoop.OPEN_FAULT),
    ],
)  # fmt: skip
def test_words_for_the_state(text: str, code: FuelLoop) -> None:
    assert code_of_text(text) == code


def test_a_word_that_says_nothing_is_no_state() -> None:
    assert math.isnan(code_of_text("maybe"))
    assert math.isnan(code_of_text(""))


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([7, 8, 10], LoopCoding.SUBARU), ([10.0], LoopCoding.SUBARU), ([2, 4], LoopCoding.OBD),
        ([1, 2, 8, 16], LoopCoding.OBD), ([0, 1], LoopCoding.SWITCH), ([1.0], LoopCoding.SWITCH),
        ([8.0], None), ([2, 10], None), ([3.5], None), ([NAN], None), ([], None),
    ],
)  # fmt: skip
def test_the_coding_of_a_chosen_column_comes_from_values_that_fit_one_only(values, coding) -> None:
    assert coding_from_values(np.array(values, dtype=np.float64)) is coding


def test_a_chosen_column_may_say_the_state_in_words(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "words.csv"
    rows = [f"{n / 10:.1f},1.5,{n % 3},2,{'open' if n % 4 else 'closed'}" for n in range(40)]
    log.write_text("\n".join(["Time (s),MAF (V),STFT (%),LTFT (%),Loop", *rows, ""]), encoding="utf-8")
    reader = LogReader(log, columns={"fuel_loop": "Loop"})
    samples = SampleBatch.concatenate(reader.batches())
    assert np.all((samples["fuel_loop"] == FuelLoop.CLOSED) == (np.arange(40) % 4 == 0))
    assert reader.summary.inferred == ("Loop: open or closed loop, in words",)


def test_inference_needs_a_living_trim_a_lean_enough_target_and_a_throttle_that_is_not_open() -> None:
    t_s = np.arange(0.0, 4.0, 0.25)
    stft = np.where((t_s >= 1.0) & (t_s < 2.0), 0.78, 0.0)
    closed = LoopInference().infer(t_s, stft, None, None) == FuelLoop.CLOSED
    assert t_s[closed].tolist() == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25]
    rich = np.where(t_s < 1.5, 1.0, 0.8)
    closed = LoopInference().infer(t_s, stft, rich, None) == FuelLoop.CLOSED
    assert t_s[closed].tolist() == [1.0, 1.25]
    open_throttle = np.where(t_s < 1.25, 10.0, 90.0)
    closed = LoopInference().infer(t_s, stft, None, open_throttle) == FuelLoop.CLOSED
    assert t_s[closed].tolist() == [1.0]


def test_inference_carries_its_memory_from_chunk_to_chunk() -> None:
    t_s = np.arange(0.0, 6.0, 0.1)
    stft = np.where(np.arange(60) % 17 == 0, 1.5, 0.0)
    whole = LoopInference().infer(t_s, stft, None, None)
    inference = LoopInference()
    parts = [inference.infer(t_s[i : i + 7], stft[i : i + 7], None, None) for i in range(0, 60, 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert inference.infer(np.empty(0), np.empty(0), None, None).size == 0


@pytest.mark.shared_logs
@pytest.mark.skipif(not SHARED.is_dir(), reason="recorded logs are not part of the project")
def test_inference_agrees_with_the_flag_of_real_logs() -> None:
    """Measured: of the rows called closed 93.2 to 97.8 % are, and 87.0 to 93.7 % of the closed are found."""
    paths = [*sorted((SHARED / "subaru-tactrix").glob("*.csv")), SHARED / "ecutek" / "proecu_bom_crlf.csv"]
    for path in paths:
        batch = SampleBatch.concatenate(LogReader(path).batches())
        closed = batch["fuel_loop"] == FuelLoop.CLOSED
        called = LoopInference().infer(
            batch.t_s, batch["stft_pct"], batch["lambda_target"], batch["throttle_pct"]
        )
        right = np.count_nonzero(closed & (called == FuelLoop.CLOSED))
        assert right / np.count_nonzero(called == FuelLoop.CLOSED) > 0.92, path.name
        assert right / np.count_nonzero(closed) > 0.86, path.name
