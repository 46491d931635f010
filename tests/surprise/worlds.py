"""Contexts of a toy world: a point that moves evenly in each group, told by 4096 numbers with a little noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS

LOOKS, ACTION = 16, 2
VIEW = torch.randn(3, CONTEXT_WIDTH, generator=torch.Generator().manual_seed(9))
"""How place, velocity and what was done show in the context."""


@dataclass
class Stretch:
    """Scenes: contexts (n, T, 4096) and actions (n, T, 2)."""

    context: Tensor
    actions: Tensor


def stretches(count: int, seed: int, looks: int = LOOKS, noise: float = 0.05) -> Stretch:
    """Undisturbed: the first action pushes the point."""
    place, velocity, actions = hidden(count, seed, looks)
    return Stretch(shown(place, velocity, seed, noise), actions)


def hidden(count: int, seed: int, looks: int = LOOKS) -> tuple[Tensor, Tensor, Tensor]:
    """Places (n, T), velocities (n, T) and actions (n, T, 2)."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randn(count, looks, ACTION, generator=generator)
    push = torch.cat([torch.randn(count, 1, generator=generator), 0.1 * actions[:, :-1, 0]], 1)
    velocity = push.cumsum(1)
    return (torch.randn(count, 1, generator=generator) + 0.3 * velocity.cumsum(1)), velocity, actions


def shown(place: Tensor, velocity: Tensor, seed: int = 0, noise: float = 0.05) -> Tensor:
    """As contexts (n, T, 4096)."""
    generator = torch.Generator().manual_seed(seed + 1000)
    told = torch.stack([place, velocity, place.square() / 4], -1) @ VIEW
    return told + noise * torch.randn(told.shape, generator=generator)


def frozen(stretch: Stretch, at: int) -> Stretch:
    """From a look on nothing changes any more, as an object that hangs in the air."""
    context = stretch.context.clone()
    context[:, at:] = context[:, at - 1 : at]
    return Stretch(context, stretch.actions)


def swapped(stretch: Stretch, at: int, group: str) -> Stretch:
    """From a look on one group shows another scene."""
    context, where = stretch.context.clone(), GROUPS[group].slice
    context[:, at:, where] = context[:, at:, where].roll(1, 0)
    return Stretch(context, stretch.actions)
