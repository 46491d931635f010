"""Curves are read from event files as they were told."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from sage_ext.report import Reporter
from sage_ext.report_page.scalars import POINTS, read_curves


def told(folder: Path, values: dict[int, float]) -> None:
    reporter = Reporter(folder, file=io.StringIO())
    for step, value in values.items():
        reporter.scalar("sleep/loss", value, step)
    reporter.close()


def test_each_number_at_its_step(whole: Path) -> None:
    curves = read_curves(whole / "tensorboard")
    loss = curves["sleep/loss"]
    assert loss.steps.tolist() == list(range(1, 41))
    assert loss.values == pytest.approx(9.0 - np.arange(40) / 10)
    assert loss.last == pytest.approx(5.1)
    assert curves["wake/success_rate"].values.tolist() == [0.25, 0.75]
    assert not any(name.startswith("dream/0") for name in curves), "a picture is no curve"


def test_what_a_resumed_run_told_again_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(tmp_path, {1: 5.0, 2: 4.0, 3: 3.0})
    (first,) = tmp_path.iterdir()
    first.rename(tmp_path / "events.out.tfevents.1000000000.before")
    told(tmp_path, {2: 14.0, 3: float("nan"), 4: 2.0})
    curve = read_curves(tmp_path)["sleep/loss"]
    assert curve.steps.tolist() == [1, 2, 3, 4] and curve.values.tolist() == [5.0, 14.0, 3.0, 2.0]


def test_a_long_curve_is_drawn_by_bins_that_keep_its_extremes(tmp_path: Path) -> None:
    told(tmp_path, {step: float(step % 2) + (10.0 if step == 777 else 0.0) for step in range(1000)})
    curve = read_curves(tmp_path)["sleep/loss"]
    assert len(curve.steps) == len(curve.values) == len(curve.trend) == POINTS
    assert curve.high.max() == 11.0 and curve.low.min() == 0.0
    assert curve.values.max() < 11.0
    assert np.ptp(curve.trend) < np.ptp(curve.values)


def test_a_trend_keeps_what_does_not_change(tmp_path: Path) -> None:
    told(tmp_path, dict.fromkeys(range(50), 3.0))
    assert read_curves(tmp_path)["sleep/loss"].trend == pytest.approx(np.full(50, 3.0))


def test_no_folder_and_a_torn_file_are_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "none") == {}
    told(tmp_path, {1: 5.0, 2: 4.0})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert read_curves(tmp_path)["sleep/loss"].values.tolist() == [5.0], "what came before the tear is read"
