"""H, the slow mind: attends over the groups of the context and over itself, for as long as it needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context.layout import GROUPS
from .halting import Halting, Thought


class Step(nn.Module):
    """One step of thinking: a question to the groups, then a gated perceptron (SwiGLU, arXiv 2002.05202).

    The state is a single row, and the groups' keys and values are made once for all steps. So every weight meets one
    row a world: with a batch of one, reading weights from memory is what takes time.

    Args:
        width: Width of the state.
        read: Width of keys and of values.
        heads: Questions asked at once.
        hidden: Hidden units of the perceptron.
    """

    def __init__(self, width: int, read: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_read, self.before_mix = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, read), nn.Linear(read, width)
        self.widen, self.narrow = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, state: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """State ``(N, width)``, keys and values ``(N, heads, tokens, read / heads)`` -> state after the step."""
        question = self.ask(self.before_read(state)).unflatten(-1, (self.heads, 1, -1))
        found = F.scaled_dot_product_attention(question, keys, values)
        state = state + self.answer(found.flatten(1))
        gate, value = self.widen(self.before_mix(state)).chunk(2, -1)
        out: Tensor = state + self.narrow(F.silu(gate) * value)
        return out


class SlowMind(nn.Module):
    """Thinks about the context of one look.

    Tokens are the 15 groups, its own state, and the report of L. Steps have weights of their own: a thought that ends
    early leaves the others unread, and the longest reads each weight once.

    Args:
        width: Width of the state.
        read: Width of keys and of values.
        heads: Questions asked at once.
        hidden: Hidden units of a step.
        steps: The most steps.
        report: Width of L's report.
    """

    def __init__(self, width: int, read: int, heads: int, hidden: int, steps: int, report: int) -> None:
        super().__init__()
        self.heads = heads
        self.tokens = nn.ModuleDict({name: nn.Linear(g.width, 2 * read) for name, g in GROUPS.items()})
        self.own, self.told = nn.Linear(width, 2 * read), nn.Linear(report, 2 * read)
        self.enter = nn.Linear(report, width)
        self.steps = nn.ModuleList(Step(width, read, heads, hidden) for _ in range(steps))
        self.halting = Halting(width, steps)
        self.after = nn.LayerNorm(width)
        self.keep = nn.Linear(width, 2 * width)
        with torch.no_grad():
            self.keep.bias[:width] = -1.0  # take more of the new thought than is kept of the old

    def forward(self, context: Tensor, state: Tensor, report: Tensor) -> tuple[Tensor, Thought]:
        """Think.

        Args:
            context: Standardised, ``(N, 4096)``.
            state: After the last thought, ``(N, width)``.
            report: L's, ``(N, report)``.

        Returns:
            The state after this thought, within +-1, and the thought.
        """
        parts = torch.split(context, [g.width for g in GROUPS.values()], -1)
        tokens = [layer(part) for layer, part in zip(self.tokens.values(), parts, strict=True)]
        read = torch.stack([*tokens, self.own(state), self.told(report)], 1)
        keys, values = read.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        thought = self.halting(
            lambda number, before: self.steps[number](before, keys, values), state + self.enter(report)
        )
        gate, new = self.keep(self.after(thought.state)).chunk(2, -1)
        return torch.lerp(torch.tanh(new), state, torch.sigmoid(gate)), thought
