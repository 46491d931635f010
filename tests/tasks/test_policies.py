"""Random actions, and how policies are chosen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from sage_tasks import TASKS
from sage_tasks.policies import FORWARD_BIAS, disturbance, make_policy


def stand_in(worlds: int = 8) -> Any:
    """What policies look at of an environment."""
    return SimpleNamespace(num_envs=worlds, action_width=2, step_dt=1 / 30, device="cpu", spec=None)


def drawn(seed: int, steps: int = 60, worlds: int = 8) -> Tensor:
    policy = make_policy("random", stand_in(worlds), seed)
    return torch.stack([policy.act({}) for _ in range(steps)])


def test_random_actions_are_held_for_a_third_of_a_second() -> None:
    changed = (drawn(0).diff(dim=0) != 0).flatten(1).any(dim=1)
    assert (changed.nonzero().squeeze(1) + 1).tolist() == [10, 20, 30, 40, 50]


def test_random_actions_fill_their_range_with_a_bias_forward() -> None:
    actions = drawn(0, worlds=2000)
    assert actions.min() >= 2 * FORWARD_BIAS - 1 - 1e-6
    assert actions.max() <= 1.0
    assert actions.mean().item() == pytest.approx(FORWARD_BIAS, abs=0.02)
    assert actions.std().item() == pytest.approx((1 - FORWARD_BIAS) / 3**0.5, abs=0.02)


def test_a_seed_is_a_policy() -> None:
    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def test_random_actions_do_not_draw_from_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    drawn(1)
    assert torch.equal(torch.rand(3), expected)


def test_each_task_says_how_much_its_demonstrations_are_disturbed() -> None:
    told = {name: disturbance(SimpleNamespace(spec=gym.spec(name))) for name in TASKS}
    assert all(0.0 < much < 1.0 for much in told.values()), told
    assert told["Sage-Lift"] < told["Sage-Reach"] < told["Sage-Navigation"], "the more exact, the less"
    assert disturbance(stand_in()) == 0.0, "nobody registered it"


@pytest.mark.parametrize(
    ("name", "message"),
    [("exprt", "policy=exprt: .*use one of random, expert"), ("expert", "policy=expert: .*has no scripted expert")],
)
def test_what_cannot_be_made_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_policy(name, stand_in())
