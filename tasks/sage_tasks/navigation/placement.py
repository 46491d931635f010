"""Placing things in a room so that none overlaps another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sage_envs.scene_parts import Thing

CANDIDATES = 64
"""Places tried for each thing; with none free, the freest is taken."""


def scatter(
    taken: Tensor,
    taken_radii: Tensor,
    radii: Tensor,
    half: float | tuple[float, float],
    clearance: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw places one after the other, keeping clear of what stands already.

    Args:
        taken: Places already taken (n, T, 2) [m].
        taken_radii: Their radii (T,) [m].
        radii: Radii of what is to be placed (P,) [m].
        half: Half the edge of the square room, or half the edges of an oblong one [m].
        clearance: Gap to keep [m].
        generator: Source of randomness.

    Returns:
        Places (n, P, 2) [m].
    """
    n, device = taken.shape[0], taken.device
    places, sizes = taken, taken_radii.to(device)
    extent = torch.tensor(half, device=device)
    for radius in radii.tolist():
        room = extent - radius - clearance
        candidates = (2.0 * torch.rand(n, CANDIDATES, 2, generator=generator, device=device) - 1.0) * room
        chosen = first_free(candidates, places, sizes + radius + clearance)
        places = torch.cat([places, chosen.unsqueeze(1)], dim=1)
        sizes = torch.cat([sizes, torch.tensor([radius], device=device)])
    return places[:, taken.shape[1] :]


def first_free(candidates: Tensor, taken: Tensor, distances: Tensor) -> Tensor:
    """Of some candidates the first that is far enough from all places taken; the freest if none is.

    Args:
        candidates: (n, C, 2) [m].
        taken: (n, T, 2) [m].
        distances: Least distance from each place (T,) [m].

    Returns:
        (n, 2) [m].
    """
    n, count = candidates.shape[:2]
    if not taken.shape[1]:
        return candidates[:, 0]
    worst = (torch.cdist(candidates, taken) - distances).min(dim=2).values
    # The first candidate that fits keeps the draw uniform over the free space.
    score = torch.where(worst >= 0, 1.0 - torch.arange(count, device=worst.device) / count, worst - 1.0)
    return candidates[torch.arange(n, device=worst.device), score.argmax(dim=1)]


def round_radius(thing: Thing) -> float:
    """Radius of the circle around a thing seen from above [m]."""
    return thing.radius * (math.sqrt(2.0) if thing.kind == "box" else 1.0)
