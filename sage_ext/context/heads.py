"""Heads: what reads the groups that no sense has for itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import stems
from .layout import GROUPS, Group, family, untold
from .streamed import StreamedLinear

READ: dict[str, tuple[Group, ...]] = {
    "objects": (GROUPS["objects"],),
    "semantic": family("semantic")[1:],
    "physical": family("physical"),
    **{group.name: (group,) for group in family("temporal")},
}
"""Head -> the groups it reads, in the order of the layout."""


def numbers_of(head: str) -> list[int]:
    """Which numbers of a context a head gives: those of its groups that are not told."""
    return [number for group in READ[head] for number in range(untold(group).start, untold(group).stop)]


class Head(nn.Module):
    """A perceptron with one normalised hidden layer and a linear, un-normalised output."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(StreamedLinear(inputs, hidden), nn.LayerNorm(hidden), nn.SiLU())
        self.last = StreamedLinear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., inputs)`` -> ``(..., outputs)``."""
        out: Tensor = self.last(self.layers(x))
        return out

    @torch.no_grad()
    def even(self, x: Tensor) -> None:
        """Make what is read weigh alike, on experience ``(N, inputs)``."""
        first = self.layers.get_submodule("0")
        assert isinstance(first, nn.Linear)
        first.weight.mul_(stems.gain(x.std(0)))
        first.bias.sub_(first.weight @ x.mean(0))
