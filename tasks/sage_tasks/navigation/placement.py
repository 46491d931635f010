"""Placing things in a room so that none overlaps another."""

from __future__ import annotations

from collections.abc import Sequence

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
        radii: Radii of what is to be placed (P,), or of each world's (n, P) [m].
        half: Half the edge of the square room, or half the edges of an oblong one [m].
        clearance: Gap to keep [m].
        generator: Source of randomness.

    Returns:
        Places (n, P, 2) [m].
    """
    n, device = taken.shape[0], taken.device
    places, sizes = taken, taken_radii.to(device)
    extent, each = torch.tensor(half, device=device), radii.dim() == 2
    if each:
        sizes = sizes.expand(n, -1)
    for radius in radii.to(device).split(1, dim=1) if each else radii.tolist():
        room = (extent - radius - clearance).view(n, 1, -1).clamp(min=0.0) if each else extent - radius - clearance
        candidates = (2.0 * torch.rand(n, CANDIDATES, 2, generator=generator, device=device) - 1.0) * room
        chosen = first_free(candidates, places, sizes + radius + clearance)
        places = torch.cat([places, chosen.unsqueeze(1)], dim=1)
        sizes = torch.cat([sizes, radius if each else torch.tensor([radius], device=device)], dim=-1)
    return places[:, taken.shape[1] :]


def first_free(candidates: Tensor, taken: Tensor, distances: Tensor) -> Tensor:
    """Of some candidates the first that is far enough from all places taken; the freest if none is.

    Args:
        candidates: (n, C, 2) [m].
        taken: (n, T, 2) [m].
        distances: Least distance from each place (T,) or (n, T) [m].

    Returns:
        (n, 2) [m].
    """
    n, count = candidates.shape[:2]
    if not taken.shape[1]:
        return candidates[:, 0]
    worst = (torch.cdist(candidates, taken) - distances.unsqueeze(-2)).min(dim=2).values
    # The first candidate that fits keeps the draw uniform over the free space.
    score = torch.where(worst >= 0, 1.0 - torch.arange(count, device=worst.device) / count, worst - 1.0)
    return candidates[torch.arange(n, device=worst.device), score.argmax(dim=1)]


def outlines(first: Sequence[float], things: Sequence[Thing], scale: Tensor) -> Tensor:
    """Radii of the circles around what is to be placed, seen from above.

    Args:
        first: Radii of what comes first [m].
        things: What comes then.
        scale: How large each of these is (n, B), as a factor.

    Returns:
        Radii (P,) where all worlds' are of size 1, else (n, P) [m].
    """
    radii = torch.tensor([*first, *(thing.outline for thing in things)])
    if bool((scale == 1.0).all()):
        return radii
    return radii.to(scale) * torch.nn.functional.pad(scale, (len(first), 0), value=1.0)
