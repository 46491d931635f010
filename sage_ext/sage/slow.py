"""H, the slow mind: attends over the groups of the context and over itself, for as long as it needs."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context.layout import GROUPS
from ..context.side_by_side import side_by_side
from ..context.streamed import StreamedLinear
from .halting import Halting, Thought


class Gated(nn.Module):
    """A gated perceptron (SwiGLU, arXiv 2002.05202).

    Args:
        width: Numbers taken and given.
        hidden: Hidden units.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.widen, self.narrow = StreamedLinear(width, 2 * hidden), StreamedLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width)`` -> ``(N, width)``."""
        gate, value = self.widen(x).chunk(2, -1)
        out: Tensor = self.narrow(F.silu(gate) * value)
        return out


class Step(nn.Module):
    """One step of thinking: a question to the groups, then a perceptron.

    The state is a single row, and the groups' keys and values are made once for all steps. So every weight meets one
    row a world: with a batch of one, reading weights from memory is what takes time. The perceptron is in two halves,
    which two cores can read.

    Args:
        width: Width of the state.
        read: Width of keys and of values.
        heads: Questions asked at once.
        hidden: Hidden units of the perceptron, an even number.
    """

    def __init__(self, width: int, read: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_read, self.before_mix = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = StreamedLinear(width, read), StreamedLinear(read, width)
        self.mix = nn.ModuleList(Gated(width, hidden // 2) for _ in range(2))

    def forward(self, state: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """State ``(N, width)``, keys and values ``(N, heads, tokens, read / heads)`` -> state after the step."""
        question = self.ask(self.before_read(state)).unflatten(-1, (self.heads, 1, -1))
        found = F.scaled_dot_product_attention(question, keys, values)
        state = state + self.answer(found.flatten(1))
        mixed = self.before_mix(state)
        one, other = side_by_side(state.device, *(partial(half, mixed) for half in self.mix))
        out: Tensor = state + one + other
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
        self.tokens = nn.ModuleDict({name: StreamedLinear(g.width, 2 * read) for name, g in GROUPS.items()})
        self.own, self.told = StreamedLinear(width, 2 * read), StreamedLinear(report, 2 * read)
        self.enter = StreamedLinear(report, width)
        self.steps = nn.ModuleList(Step(width, read, heads, hidden) for _ in range(steps))
        self.halting = Halting(width, steps)
        self.after = nn.LayerNorm(width)
        self.keep = StreamedLinear(width, 2 * width)
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
        layers = [*self.tokens.values(), self.own, self.told]
        pairs = list(zip(layers, (*parts, state, report), strict=True))
        # Which token comes first does not matter to attention.
        one, other = side_by_side(context.device, partial(_each, pairs[::2]), partial(_each, pairs[1::2]))
        read = torch.stack([*one, *other], 1)
        keys, values = read.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        thought = self.halting(
            lambda number, before: self.steps[number](before, keys, values), state + self.enter(report)
        )
        # The state keeps its own precision, whatever products are kept in.
        gate, new = self.keep(self.after(thought.state)).to(state.dtype).chunk(2, -1)
        return torch.lerp(torch.tanh(new), state, torch.sigmoid(gate)), thought


def _each(pairs: list[tuple[nn.Module, Tensor]]) -> list[Tensor]:
    return [layer(x) for layer, x in pairs]
