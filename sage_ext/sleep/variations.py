"""What is other when a moment is lived again: drawn per call of the simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import VariationsConfig

FAMILIES = ("physical", "spatial", "temporal")


@dataclass
class Draw:
    """One variation a moment.

    Attributes:
        family: One of :data:`FAMILIES`, the same for all moments of the call.
        gravity: Factor on gravity (n,).
        friction: Factor on friction (n,).
        viewpoint: Yaw, pitch [rad], forward, left, up [m] of the camera (n, 5).
        speed: Of watching; 2 looks half as often.
    """

    family: str
    gravity: Tensor
    friction: Tensor
    viewpoint: Tensor
    speed: float


def draw(config: VariationsConfig, family: str, n: int, generator: torch.Generator) -> Draw:
    """Draw the variations of n moments.

    Args:
        config: Ranges.
        family: Which family varies.
        n: Moments.
        generator: Source of chance, on the CPU.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    gravity, friction, viewpoint, speed = torch.ones(n), torch.ones(n), torch.zeros(n, 5), 1.0
    if family == "physical":
        gravity = uniform(*config.physical.gravity_scale, n)
        friction = uniform(*config.physical.friction_scale, n)
    elif family == "spatial":
        yaw = math.radians(config.spatial.yaw_deg)
        viewpoint[:, 0] = uniform(-yaw, yaw, n)
        viewpoint[:, 2:] = uniform(-config.spatial.shift_m, config.spatial.shift_m, n, 3)
    elif family == "temporal":
        speeds = config.temporal.speeds
        speed = speeds[int(torch.randint(len(speeds), (), generator=generator))]
    else:
        raise ValueError(f"family={family}: use one of {', '.join(FAMILIES)}")
    return Draw(family, gravity, friction, viewpoint, speed)


def schedule(config: VariationsConfig, calls: int, start: int) -> list[str]:
    """Family of each call, so that the shares hold over any stretch of calls.

    Args:
        config: Shares.
        calls: How many calls.
        start: Number of the first of them, counted over the whole sleep.
    """
    shares = [config.physical.share, config.spatial.share, config.temporal.share]
    chosen: list[str] = []
    counts = [0] * len(shares)
    for number in range(start + calls):
        # The family that lags its share the most comes next.
        lag = [share * (number + 1) - count for share, count in zip(shares, counts, strict=True)]
        best = max(range(len(shares)), key=lambda i: lag[i])
        counts[best] += 1
        chosen.append(FAMILIES[best])
    return chosen[start:]
