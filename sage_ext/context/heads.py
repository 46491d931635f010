"""Heads: what reads the groups that no sense has for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import stems
from .layout import GROUPS, Group, family, untold, width
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


def padded(values: Tensor, told: slice) -> Tensor:
    """Numbers ``(..., n)`` that are told, as they stand in the context; where there are fewer, the rest is 0."""
    return F.pad(values, (0, width(told) - values.shape[-1]))


def grouped(read: Sequence[Tensor], told: Mapping[str, Tensor]) -> list[Tensor]:
    """What heads gave and what is told, in the order of the context, from the group after ``objects`` on.

    Args:
        read: Of each head after that of ``objects`` ``(..., numbers_of(head))``.
        told: Group -> the numbers it begins with ``(..., n)``.
    """
    parts = []
    for name, values in zip(list(READ)[1:], read, strict=True):
        free = [width(untold(group)) for group in READ[name]]
        for group, part in zip(READ[name], values.split(free, -1), strict=True):
            if group.name in told:
                parts.append(padded(told[group.name], slice(group.start, untold(group).start)).to(part.dtype))
            parts.append(part)
    return parts


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
