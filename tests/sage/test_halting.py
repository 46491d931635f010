"""Adaptive halting: the mean is right, worlds stop by themselves, and how long to think can be learned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sage_ext.sage.halting import Halting

from .conftest import make_context, make_core, make_observation


def sure_by_state(steps: int) -> Halting:
    """A world whose number is large is sure at once, one whose number is 0 half sure at each step."""
    halting = Halting(1, steps)
    for unit in halting.sure:
        nn.init.ones_(unit.weight)
        nn.init.zeros_(unit.bias)
    return halting


def test_the_thought_is_the_weighted_mean_and_the_cost_counts_steps() -> None:
    calls: list[int] = []

    def step(number: int, state: Tensor) -> Tensor:
        calls.append(number)
        return state

    thought = sure_by_state(4)(step, torch.tensor([[50.0], [0.0], [-50.0]]))
    assert thought.depth.tolist() == [1, 2, 4]
    # 1 step and the whole share; 0.5 and the 0.5 left; nothing, nothing, nothing and all.
    torch.testing.assert_close(thought.cost, torch.tensor([2.0, 2.5, 5.0]))
    torch.testing.assert_close(thought.state.squeeze(-1), torch.tensor([50.0, 0.0, -50.0]))
    assert calls == [0, 1, 2, 3]


def test_shares_weigh_the_states_of_the_steps() -> None:
    halting = Halting(1, 3)
    for unit, sure in zip(halting.sure, (0.2, 0.3), strict=True):
        nn.init.zeros_(unit.weight)
        nn.init.constant_(unit.bias, torch.logit(torch.tensor(sure)).item())
    thought = halting(lambda number, state: torch.full_like(state, 10.0**number), torch.zeros(1, 1))
    torch.testing.assert_close(thought.state, torch.tensor([[0.2 + 3.0 + 50.0]]))


def test_nothing_is_computed_once_all_have_had_enough() -> None:
    calls: list[int] = []
    sure_by_state(4)(lambda number, state: (calls.append(number), state)[1], torch.full((3, 1), 50.0))
    assert calls == [0]


def test_what_others_need_does_not_change_a_thought() -> None:
    halting, grow = sure_by_state(4), lambda number, state: state + 1.0
    together = halting(grow, torch.tensor([[50.0], [-50.0]]))
    alone = halting(grow, torch.tensor([[50.0]]))
    assert torch.equal(together.state[:1], alone.state) and torch.equal(together.cost[:1], alone.cost)


def test_a_fresh_mind_takes_every_step() -> None:
    core = make_core()
    assert core(make_context(4), make_observation(4))[2].depth.tolist() == [3] * 4


@pytest.mark.parametrize("seed", [0, 1])
def test_hard_cases_are_thought_about_longer_after_training(seed: int) -> None:
    """Easy: the answer is one of the signs. Hard: it is the product of two, which the first step cannot make."""
    torch.manual_seed(seed)

    def cases(count: int) -> tuple[Tensor, Tensor, Tensor]:
        signs = torch.randint(0, 2, (count, 2)).float() * 2 - 1
        hard = torch.rand(count, 1) < 0.5
        answer = torch.where(hard, signs.prod(1, keepdim=True), signs[:, :1])
        return torch.cat([signs, hard.float() * 2 - 1], 1), answer, hard.squeeze(1)

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.read = nn.Linear(3, 32), nn.Linear(32, 1)
            self.steps = nn.ModuleList(
                nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, 32)) for width in (1, 32, 32)
            )
            self.halting = Halting(32, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            thought = self.halting(lambda number, state: state + self.steps[number](state), self.enter(x))
            return self.read(thought.state), thought.cost, thought.depth

    toy = Toy()
    optimizer = torch.optim.Adam(toy.parameters(), lr=1e-2)
    for _ in range(400):
        x, answer, _ = cases(256)
        told, cost, _ = toy(x)
        loss = (told - answer).square().mean() + 0.1 * cost.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, answer, hard = cases(1000)
    with torch.no_grad():
        told, _, depth = toy(x)
    assert (told - answer).square().mean() < 0.1
    assert depth[hard].float().mean() > depth[~hard].float().mean() + 0.3
