"""What an encoder that looks at nothing reaches of the seed's loss, and what it knows."""

from __future__ import annotations

import torch

from bench.ablation_arms import cosine_loss
from bench.seed_objective import _blind, matched


def test_who_looks_at_nothing_reaches_the_figure_and_knows_nothing() -> None:
    like = (torch.zeros(200, 4096),) * 2
    blind = _blind(like, torch.Generator().manual_seed(0))
    assert blind[0].shape == (200, 4096) and float(cosine_loss(*blind)) < 0.002
    assert matched(*blind) < 0.05


def test_halves_that_belong_together_are_matched() -> None:
    one = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    assert matched(one, one + 0.1) == 1.0
    assert matched(one, one.roll(1, 0)) == 0.0
