"""Placing things in a room so that none overlaps another."""

from __future__ import annotations

import torch
from torch import Tensor

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
        if places.shape[1]:
            gap = torch.cdist(candidates, places) - sizes - radius - clearance
            worst = gap.min(dim=2).values
            # The first candidate that fits keeps the draw uniform over the free space.
            score = torch.where(worst >= 0, 1.0 - torch.arange(CANDIDATES, device=device) / CANDIDATES, worst - 1.0)
            pick = score.argmax(dim=1)
        else:
            pick = torch.zeros(n, dtype=torch.long, device=device)
        chosen = candidates[torch.arange(n, device=device), pick]
        places = torch.cat([places, chosen.unsqueeze(1)], dim=1)
        sizes = torch.cat([sizes, torch.tensor([radius], device=device)])
    return places[:, taken.shape[1] :]
