"""The loss of a run that is over comes from what TensorBoard was told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sage_ext.live.curve import losses
from sage_ext.live.view import View
from sage_ext.report import Reporter


def test_the_whole_curve_is_told_thinned(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "tensorboard")
    for step in range(1, 301):
        reporter.scalar("sleep/loss", 1.0 / step, step)
        reporter.scalar("sleep/skill", 5.0, step)
    reporter.close()
    found = losses(tmp_path / "tensorboard", 50)
    assert len(found) == 50 and found == sorted(found) and found[-1][0] == 300
    assert all(loss == pytest.approx(1.0 / step) for step, loss in found)
    assert found[0][0] < 60 and any(100 < step < 200 for step, _ in found)


def test_a_run_that_never_slept_has_none(tmp_path: Path) -> None:
    assert losses(tmp_path / "tensorboard", 50) == []
    reporter = Reporter(tmp_path / "tensorboard")
    reporter.scalar("wake/success_rate", 0.5, 0)
    reporter.close()
    assert losses(tmp_path / "tensorboard", 50) == []


def test_the_page_shows_it_and_nothing_else(over: Path) -> None:
    view = View(over, port=0)
    try:
        view._tell()
        steps, told = view._page._loss.data
        assert steps.tolist() == list(range(1, len(steps) + 1)) and len(steps) > 3
        assert told.tolist() == [loss for _, loss in losses(over / "tensorboard", 50)]
    finally:
        view.close()
