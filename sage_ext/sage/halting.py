"""How long to think: Adaptive Computation Time (A. Graves, arXiv 1603.08983).

Each step of thinking says how sure it is to be enough; thinking ends once these sum to one, and its result is their
weighted mean. PonderNet (arXiv 2107.05407) learns where to stop with less bias, but learns from all depths at once and
stops by chance. What is carried on to the next look must be the same while learning and while acting, and equal in two
runs: that is Graves' mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ENOUGH = 0.99
"""Sum at which thinking ends; Graves' 1 - epsilon. Else one step could never be enough."""
_DOUBT = -1.0
"""First bias: a step is a quarter sure, so that in the beginning every step is taken and learns."""


@dataclass
class Thought:
    """What came of thinking.

    Attributes:
        state: ``(N, width)``, the mean of the steps' states.
        depth: Steps taken, ``(N,)`` int64.
        cost: Graves' ponder cost, ``(N,)``: steps and the last one's share. Times a small weight it belongs in a loss.
    """

    state: Tensor
    depth: Tensor
    cost: Tensor


class Halting(nn.Module):
    """Decides after each step but the last, world by world, whether it was enough.

    Args:
        width: Width of the state.
        steps: The most steps.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.sure = nn.ModuleList(nn.Linear(width, 1) for _ in range(steps - 1))
        for unit in self.sure:
            assert isinstance(unit, nn.Linear)
            nn.init.constant_(unit.bias, _DOUBT)

    def forward(self, step: Callable[[int, Tensor], Tensor], state: Tensor) -> Thought:
        """Think until every world has had enough.

        Args:
            step: Number of a step and states ``(N, width)`` -> states after it.
            state: ``(N, width)``.
        """
        left = state.new_ones(len(state))
        thinking = torch.ones_like(left, dtype=torch.bool)
        depth, cost, mean = torch.zeros_like(left, dtype=torch.long), torch.zeros_like(left), torch.zeros_like(state)
        for number in range(self.steps):
            state = step(number, state)
            depth = depth + thinking
            if number == self.steps - 1:
                last, share = thinking, left
            else:
                sure = torch.sigmoid(self.sure[number](state).squeeze(-1))
                last = thinking & (left - sure <= 1.0 - ENOUGH)
                share = torch.where(last, left, sure)
            share = torch.where(thinking, share, 0.0)
            mean = mean + share.unsqueeze(-1) * state
            cost = cost + torch.where(last, left, 0.0)
            left, thinking = left - share, thinking & ~last
            # To ask costs a GPU more than to think on; whoever has had enough is not changed by it.
            if state.device.type == "cpu" and not bool(thinking.any()):
                break
        return Thought(mean, depth, depth + cost)
