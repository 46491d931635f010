"""What should come is foretold, with the error to be expected, and only from what was before."""

from __future__ import annotations

import pytest
import torch

from sage_ext.context.layout import GROUPS
from sage_ext.surprise.forecast import HORIZONS, Forecast, Forecaster
from sage_ext.surprise.judge import Judge

from .worlds import ACTION, LOOKS, stretches


def test_untrained_it_foretells_that_nothing_changes() -> None:
    some = stretches(2, 0)
    found = Forecaster(ACTION).unroll(some.context, some.actions)
    assert list(found) == list(HORIZONS)
    for h, forecast in found.items():
        assert torch.equal(forecast.mean, some.context[:, :-h])


def test_it_takes_away_most_of_the_error_at_every_horizon(judge: Judge) -> None:
    fresh = stretches(40, 2)
    for h, forecast in judge.forecaster.unroll(fresh.context, fresh.actions).items():
        came = fresh.context[:, h:]
        wrong, still = (came - forecast.mean).square().mean(), (came - fresh.context[:, :-h]).square().mean()
        assert float(wrong) < 0.5 * float(still), h


def test_the_error_it_expects_is_the_error_it_makes(judge: Judge) -> None:
    fresh = stretches(40, 3)
    for h, forecast in judge.forecaster.unroll(fresh.context, fresh.actions).items():
        assert float(forecast.surprise(fresh.context[:, h:]).mean()) == pytest.approx(0.0, abs=0.4), h


def test_only_the_past_and_the_actions_in_between_count(judge: Judge) -> None:
    some = stretches(3, 4)
    before = judge.forecaster.unroll(some.context, some.actions)
    later, acts = some.context.clone(), some.actions.clone()
    later[:, 9:] = 7.0
    acts[:, 12:] = 7.0
    after = judge.forecaster.unroll(later, acts)
    for h in HORIZONS:
        # What is foretold from look 8, and from every look before it, of looks up to 12.
        last = min(8, 12 - h) + 1
        torch.testing.assert_close(before[h].mean[:, :last], after[h].mean[:, :last])
        if 8 + h < LOOKS:
            assert not torch.allclose(before[h].mean[:, 9:], after[h].mean[:, 9:])


def test_what_is_done_matters(judge: Judge) -> None:
    some = stretches(3, 5)
    other = judge.forecaster.unroll(some.context, some.actions + 1.0)[4].mean
    assert not torch.allclose(other, judge.forecaster.unroll(some.context, some.actions)[4].mean, atol=0.1)


def test_stillness_is_a_likelihood_ratio_by_hand() -> None:
    now, mean = torch.zeros(4096), torch.ones(4096)
    forecast = Forecast(now, mean, torch.full((15,), 0.25).log())
    assert forecast.stillness(now).tolist() == pytest.approx([4.0] * 15), "change was due and did not come"
    assert forecast.stillness(mean).tolist() == pytest.approx([-4.0] * 15)
    assert forecast.surprise(now).tolist() == pytest.approx([torch.tensor(4.0).log().item()] * 15)


def test_fitting_is_deterministic() -> None:
    some = stretches(12, 6)
    one, two = Forecaster(ACTION, numbers=4), Forecaster(ACTION, numbers=4)
    one.fit(some.context, some.actions)
    torch.manual_seed(99)
    two.fit(some.context, some.actions)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key


def test_a_group_that_stands_still_can_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In single precision LAPACK did not converge on a skin that nothing touched."""
    solve = torch.linalg.eigh

    def eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if matrix.dtype == torch.float32 and float(matrix.abs().max()) < 1e-12:
            raise torch.linalg.LinAlgError("failed to converge")
        return solve(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    stretch = stretches(6, seed=0)
    context, actions = stretch.context.clone(), stretch.actions
    still = GROUPS["tactile"].slice
    context[..., still] = 0.5 + 1e-7 * (torch.arange(context.shape[1]) == 3).unsqueeze(1)
    forecaster = Forecaster(actions.shape[-1])
    forecaster.fit(context, actions)
    told = forecaster.unroll(context, actions)
    assert all(bool(f.mean.isfinite().all() and f.log_error.isfinite().all()) for f in told.values())
