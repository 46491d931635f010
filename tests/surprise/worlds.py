"""Contexts of a toy world: a point that coasts, whose place alone is told, by 4096 numbers with a little noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS

LOOKS, ACTION = 16, 2
VIEW = torch.randn(2, CONTEXT_WIDTH, generator=torch.Generator().manual_seed(9))
"""How the place shows in the context."""


@dataclass
class Stretch:
    """Scenes: contexts (n, T, 4096) and actions (n, T, 2)."""

    context: Tensor
    actions: Tensor


def stretches(count: int, seed: int, looks: int = LOOKS, still: int | None = None) -> Stretch:
    """Scenes of a point that actions push a little.

    Args:
        count: How many.
        seed: Of all that is drawn.
        looks: Of each.
        still: Look from which on it stands still all at once, as an object that hangs in the air; None never.
    """
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randn(count, looks, ACTION, generator=generator)
    first = 0.3 * torch.randn(count, 1, generator=generator)
    velocity = torch.cat([first, 0.03 * actions[:, :-1, 0]], 1).cumsum(1)
    place = torch.randn(count, 1, generator=generator) + velocity.cumsum(1)
    noise = 0.05 * torch.randn(count, looks, CONTEXT_WIDTH, generator=generator)
    if still is not None:
        place[:, still:] = place[:, still - 1 : still]
    return Stretch(torch.stack([place, place.square() / 8], -1) @ VIEW + noise, actions)


def swapped(stretch: Stretch, at: int, group: str) -> Stretch:
    """From a look on one group shows another scene."""
    context, where = stretch.context.clone(), GROUPS[group].slice
    context[:, at:, where] = context[:, at:, where].roll(1, 0)
    return Stretch(context, stretch.actions)
