"""What an action was worth: returns, an honest expectation, and weights."""

from __future__ import annotations

import pytest
import torch

from sage_ext.act.value import LIMIT, awr_weights, returns, values


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_returns_are_discounted_sums() -> None:
    assert returns(torch.tensor([1.0, 0.0, 2.0]), 0.5).tolist() == [1.5, 1.0, 2.0]


def test_a_value_is_what_a_context_foretells_and_no_more() -> None:
    n, width = 3000, 40
    contexts = torch.randn(n, width, generator=seeded())
    foretold = contexts[:, 0]
    luck = torch.randn(n, generator=seeded(1))
    episode = torch.arange(n) // 30
    found = values(contexts, 3.0 + foretold + luck, episode, seeded())
    assert torch.corrcoef(torch.stack([found, foretold]))[0, 1] > 0.95
    assert abs(float(torch.corrcoef(torch.stack([found, luck]))[0, 1])) < 0.1
    assert found.mean().item() == pytest.approx(3.0, abs=0.15)


def test_an_episode_known_by_heart_does_not_foretell_itself() -> None:
    # More numbers than steps: a readout fitted to the same steps would leave no luck at all.
    contexts, luck = torch.randn(200, 1000, generator=seeded()), torch.randn(200, generator=seeded(1))
    found = values(contexts, luck, torch.arange(200) // 20, seeded())
    assert (luck - found).std() > 0.9


def test_better_than_usual_counts_more() -> None:
    advantage = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) * 7
    weight = awr_weights(advantage, 0.5)
    assert weight.mean().item() == pytest.approx(1.0)
    assert weight.diff().min() > 0
    # One standard deviation better counts e^2 times as much at a temperature of one half.
    assert (weight[3] / weight[2]).item() == pytest.approx(torch.e ** (2 / 2**0.5), rel=1e-4)
    assert awr_weights(torch.cat([advantage, torch.tensor([1e4])]), 0.1).max() <= LIMIT * 6
    assert torch.equal(awr_weights(torch.zeros(4), 0.5), torch.ones(4))
