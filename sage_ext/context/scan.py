"""How near the nearest thing is, direction by direction, as a laser scanner would tell it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from .stems import nearness

COLUMNS, BANDS = 16, 4
"""Directions from left to right, and bands of the picture from top to bottom: as many numbers as ``layout.ROOM``."""


def scan(depth: Tensor) -> Tensor:
    """Nearness ``1 / (1 + metres)`` of the nearest thing in each part of a picture.

    So few numbers tell where there is room, and are too few to know a room by.

    Args:
        depth: ``(N, H, W, 1)`` [m]; 0 where nothing was hit, or where there is no picture.

    Returns:
        ``(N, 64)``, band by band; 0 where nothing was hit.
    """
    return F.adaptive_max_pool2d(nearness(depth), (BANDS, COLUMNS)).flatten(1)
