"""The five signals of GeoPhys on paths whose geometry is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sage_ext.surprise.geometry import SIGNALS, geometric_signals, standard_mean


def signals(*points: tuple[float, float]) -> dict[str, float]:
    path = torch.tensor([points], dtype=torch.float64)
    return dict(zip(SIGNALS, geometric_signals(path)[0].tolist(), strict=True))


def test_a_straight_even_path_is_wholly_plausible() -> None:
    for value in signals((0, 0), (1, 1), (2, 2), (3, 3), (4, 4)).values():
        assert value == pytest.approx(0.0, abs=1e-2)


def test_a_right_angle_by_hand() -> None:
    found = signals((0, 0), (1, 0), (2, 0), (2, 1), (2, 2))
    assert found["speed_variation"] == pytest.approx(0.0)
    assert found["curvature"] == pytest.approx(math.pi / 6)
    assert found["angle_consistency"] == pytest.approx(math.pi / 2 * math.sqrt(2) / 3)
    assert found["acceleration"] == pytest.approx(math.sqrt(2) / 3)


def test_steps_of_uneven_length_vary_in_speed_alone() -> None:
    found = signals((0, 0), (1, 0), (4, 0), (5, 0), (8, 0))
    assert found["speed_variation"] == pytest.approx(1.0)
    assert found["acceleration"] == pytest.approx(2.0)
    assert found["curvature"] == found["angle_consistency"] == pytest.approx(0.0, abs=1e-6)


def test_a_path_that_rests_has_no_direction_to_turn_from() -> None:
    found = signals((1, 1), (1, 1), (1, 1), (1, 1))
    assert all(math.isfinite(value) and abs(value) < 1e-6 for value in found.values())


def test_a_linear_predictor_follows_a_circle_and_not_a_jump() -> None:
    turn = torch.linspace(0, 6.0, 24, dtype=torch.float64)
    circle = torch.stack([turn.cos(), turn.sin()], -1)[None]
    jump = circle.clone()
    jump[:, 12:] += 1.0
    residual = SIGNALS.index("prediction_residual")
    assert float(geometric_signals(jump)[0, residual]) > 5 * float(geometric_signals(circle)[0, residual])


def test_the_mean_is_of_standard_scores() -> None:
    usual: Tensor = torch.tensor([[0.0, 10.0], [2.0, 30.0]])
    assert float(standard_mean(usual.mean(0, keepdim=True), usual)) == pytest.approx(0.0)
    assert float(standard_mean(usual.mean(0, keepdim=True) + usual.std(0), usual)) == pytest.approx(1.0)
