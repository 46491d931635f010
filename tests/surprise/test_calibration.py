"""Probabilities mean what they say, and rankings are counted as they are defined."""

from __future__ import annotations

import pytest
import torch

from sage_ext.surprise.calibration import (
    Logistic,
    auroc,
    calibration_curve,
    conformal,
    expected_calibration_error,
    false_alarm_rate,
    pairwise_accuracy,
)


def normal(count: int, mean: float, seed: int) -> torch.Tensor:
    return mean + torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_conformal_is_uniform_over_what_is_possible() -> None:
    found = conformal(normal(2000, 0.0, 1), normal(2000, 0.0, 2))
    for share in (0.1, 0.5, 0.9):
        assert float((found < share).double().mean()) == pytest.approx(share, abs=0.04)
    assert float(conformal(torch.tensor([9.0]), normal(99, 0.0, 2))) == pytest.approx(0.005, abs=1e-4)


def test_the_logistic_fit_is_the_true_posterior() -> None:
    """Two normals of deviation 1, d apart: the log-odds fall by d a unit and are 0 half-way."""
    fitted = Logistic.fit(normal(20_000, 0.0, 1), normal(20_000, 2.0, 2))
    for score in (-1.0, 0.0, 1.0, 2.0, 3.0):
        want = torch.sigmoid(torch.tensor(2.0 * (1.0 - score)))
        assert float(fitted(torch.tensor(score))) == pytest.approx(float(want), abs=0.02)


def test_the_logistic_fit_weighs_classes_alike_and_stays_finite() -> None:
    uneven = Logistic.fit(normal(20_000, 0.0, 1), normal(200, 2.0, 2))
    assert float(uneven(torch.tensor(1.0))) == pytest.approx(0.5, abs=0.05)
    apart = Logistic.fit(torch.linspace(0, 1, 20), torch.linspace(5, 6, 20))
    said = apart(torch.tensor([0.0, 3.0, 6.0]))
    assert 0.9 < float(said[0]) < 1 and 0 < float(said[2]) < 0.1


def test_more_surprise_never_makes_a_scene_more_possible() -> None:
    fitted = Logistic.fit(normal(200, 2.0, 1), normal(200, 0.0, 2))
    assert fitted.slope == 0.0
    assert fitted(torch.tensor([-5.0, 5.0])).tolist() == [0.5, 0.5]


def test_the_calibration_curve_and_its_error_by_hand() -> None:
    said = torch.tensor([0.05, 0.05, 0.95, 0.95, 1.0])
    was = torch.tensor([False, True, True, True, False])
    mean, share, count = calibration_curve(said, was)
    assert count.tolist() == [2] + [0] * 8 + [3]
    assert float(share[0]) == 0.5 and float(share[9]) == pytest.approx(2 / 3) and bool(share[1:9].isnan().all())
    assert float(mean[9]) == pytest.approx(2.9 / 3)
    want = (2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5
    assert expected_calibration_error(said, was) == pytest.approx(want)


def test_the_error_is_small_for_the_truth_and_large_for_the_overconfident() -> None:
    truth = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    was = torch.rand(20_000, generator=torch.Generator().manual_seed(1)) < truth
    assert expected_calibration_error(truth, was) < 0.02
    assert expected_calibration_error((truth > 0.5).double(), was) > 0.2


def test_rankings_by_hand() -> None:
    assert pairwise_accuracy(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 2.0])) == pytest.approx(0.5)
    assert auroc(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 2.0])) == pytest.approx((1.5 + 3) / 6)
    impossible = torch.linspace(0, 1, 101)
    assert false_alarm_rate(impossible, torch.tensor([0.0, 0.04, 0.06, 0.9])) == 0.5
