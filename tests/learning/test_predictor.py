"""The predictor of contexts."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS
from sage_ext.errors import SageError
from sage_ext.learning.diagnostics import effective_rank, group_ranks
from sage_ext.learning.predictor import ContextPredictor, Prediction, group_mean


def _stirred(horizons: tuple[int, ...] = (1, 2, 4)) -> ContextPredictor:
    predictor = ContextPredictor(3, horizons, hidden=32, seed=0)
    g = torch.Generator().manual_seed(0)
    for p in predictor.parameters():
        p.data.add_(0.05 * torch.randn(p.shape, generator=g))
    return predictor


def test_default_is_about_5_million_parameters() -> None:
    assert 4e6 < sum(p.numel() for p in ContextPredictor(4).parameters()) < 5.5e6


def test_it_starts_from_nothing_changes() -> None:
    context = torch.randn(2, 4096)
    prediction = ContextPredictor(3)(context, torch.randn(2, 2, 3))
    assert torch.equal(prediction.mean, context) and prediction.log_variance.shape == (2, 15)


def test_unroll_gives_every_horizon_that_fits_and_equals_single_predictions() -> None:
    predictor, context, actions = _stirred(), torch.randn(2, 4, 4096), torch.randn(2, 4, 3)
    found = predictor.unroll(context, actions)
    assert list(found) == [1, 2]
    for h, prediction in found.items():
        assert prediction.mean.shape == (2, 4 - h, 4096) and prediction.log_variance.shape == (2, 4 - h, 15)
        for t in range(4 - h):
            single = predictor(context[:, t], actions[:, t : t + h])
            torch.testing.assert_close(prediction.mean[:, t], single.mean)
            torch.testing.assert_close(prediction.log_variance[:, t], single.log_variance)


def test_only_the_actions_in_between_matter() -> None:
    predictor, context, actions = _stirred((2,)), torch.randn(1, 5, 4096), torch.randn(1, 5, 3)
    before = predictor.unroll(context, actions)[2].mean
    for step in range(5):
        other = actions.clone()
        other[:, step] += 1
        changed = (predictor.unroll(context, other)[2].mean != before).any(-1)[0]
        assert changed.tolist() == [t <= step < t + 2 for t in range(3)]


def test_surprise_is_the_normal_likelihood() -> None:
    mean, target, log_variance = torch.randn(3, 4096), torch.randn(3, 4096), torch.randn(3, 15)
    widths = torch.tensor([g.width for g in GROUPS.values()])
    spread = log_variance.repeat_interleave(widths, -1).mul(0.5).exp()
    expected = group_mean(-Normal(mean, spread).log_prob(target)) - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(Prediction(mean, log_variance).surprise(target), expected)


def test_variance_stays_within_bounds() -> None:
    predictor = ContextPredictor(3, hidden=32)
    predictor.log_variance.bias.data.fill_(-1e4)
    found = predictor(torch.randn(1, 4096), torch.randn(1, 1, 3)).log_variance
    assert found.detach().min() == -8.0


def test_bad_input_is_named() -> None:
    predictor = ContextPredictor(3, (1, 2), hidden=32)
    with pytest.raises(SageError, match="horizon=3: was not trained; use one of"):
        predictor(torch.randn(1, 4096), torch.randn(1, 3, 3))
    with pytest.raises(SageError, match=r"actions.shape=\(1, 4, 2\): must end in 3"):
        predictor.unroll(torch.randn(1, 4, 4096), torch.randn(1, 4, 2))
    with pytest.raises(SageError, match=r"horizons=\[0\]"):
        ContextPredictor(3, [0])


def test_config_builds_it_again() -> None:
    predictor = _stirred()
    twin = ContextPredictor.from_config(predictor.config())
    twin.load_state_dict(predictor.state_dict())
    context, actions = torch.randn(2, 4096), torch.randn(2, 4, 3)
    assert torch.equal(twin(context, actions).mean, predictor(context, actions).mean)


def test_effective_rank_counts_directions() -> None:
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(500, 5, generator=g) @ torch.linalg.qr(torch.randn(64, 5, generator=g))[0].T
    assert 4.5 < effective_rank(flat + 100.0) <= 5.01
    assert effective_rank(torch.randn(500, 64, generator=g)) > 55
    assert effective_rank(torch.full((50, 64), 3.3)) == 0.0


def test_the_rank_of_touch_is_that_of_what_was_felt() -> None:
    context = torch.randn(600, CONTEXT_WIDTH, generator=torch.Generator().manual_seed(0))
    felt = torch.zeros(600, 128)
    felt[::2, 3] = 1.0
    context[1::2, GROUPS["tactile"].slice] = 50.0
    plain, told = group_ranks(context), group_ranks(context, felt)
    assert set(plain) == set(told) == set(GROUPS)
    assert told["tactile"] > 0.5 > plain["tactile"]
    assert all(told[name] == plain[name] for name in GROUPS if name != "tactile")
    assert "tactile" not in group_ranks(context, torch.zeros(600, 128))
