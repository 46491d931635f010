"""What is other when a moment is lived again: drawn per call of the simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..config import VariationsConfig

RESIZED = 0.5
"""Share of the single looks in which things look larger or smaller than they are."""
FAMILIES = tuple(f.name for f in fields(VariationsConfig))


@dataclass
class Draw:
    """One variation a moment.

    Attributes:
        family: One of :data:`FAMILIES`, the same for all moments of the call.
        gravity: Factor on gravity (n,).
        friction: Factor on friction (n,).
        mass: Factor on the masses of loose objects (n,).
        viewpoint: Yaw, pitch [rad], forward, left, up [m] of the camera (n, 5).
        speed: Of watching; 2 looks half as often.
        color: Share of a random colour in that of each shape (n,), drawn for each branch; None leaves colours alone.
        light: Brightness beside it, as a factor (n,).
        elsewhere: Whether both branches begin with the loose objects elsewhere, each in its own way, some pushed.
    """

    family: str
    gravity: Tensor
    friction: Tensor
    mass: Tensor
    viewpoint: Tensor
    speed: float
    color: Tensor | None
    light: Tensor | None
    elsewhere: bool


def draw(config: VariationsConfig, family: str, n: int, generator: torch.Generator) -> Draw:
    """Draw the variations of n moments.

    Args:
        config: Ranges.
        family: Which family varies.
        n: Moments.
        generator: Source of chance, on the CPU.
    """
    gravity, friction, mass = torch.ones(n), torch.ones(n), torch.ones(n)
    viewpoint, speed, elsewhere = torch.zeros(n, 5), 1.0, family == "rearranged"
    if family == "physical":
        elsewhere = bool(torch.rand((), generator=generator) < config.physical.elsewhere)
        gravity, friction, mass = (
            factors(getattr(config.physical, f"{name}_scale"), (n,), generator)
            for name in ("gravity", "friction", "mass")
        )
    elif family == "spatial":
        yaw, shift = math.radians(config.spatial.yaw_deg), config.spatial.shift_m
        viewpoint[:, 0] = yaw * (2 * torch.rand(n, generator=generator) - 1)
        viewpoint[:, 2:] = shift * (2 * torch.rand(n, 3, generator=generator) - 1)
    elif family == "temporal":
        speeds = config.temporal.speeds
        speed = speeds[int(torch.randint(len(speeds), (), generator=generator))]
    elif family not in FAMILIES:
        raise ValueError(f"family={family}: use one of {', '.join(FAMILIES)}")
    color = light = None
    if elsewhere and config.rearranged.color > 0:
        # Where nothing is as it was remembered, colours may differ as well.
        low, high = config.rearranged.light
        color = config.rearranged.color * torch.rand(n, generator=generator)
        light = low + (high - low) * torch.rand(n, generator=generator)
    return Draw(family, gravity, friction, mass, viewpoint, speed, color, light, elsewhere)


def shown_sizes(span: tuple[float, float], n: int, bodies: int, generator: torch.Generator) -> Tensor:
    """How much larger each loose object looks than it is in n pairs of single looks (2, n, bodies).

    In half of the looks all are seen as they are: size helps to know a thing.
    """
    some = torch.rand(2, n, 1, generator=generator) < RESIZED
    return torch.where(some, factors(span, (2, n, bodies), generator), 1.0)


def factors(span: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Factors of a range, uniform in the logarithm: x0.5 is as likely as x2."""
    low, high = span
    return (math.log(low) + math.log(high / low) * torch.rand(shape, generator=generator)).exp()


def schedule(config: VariationsConfig, calls: int, start: int) -> list[str]:
    """Family of each call, so that the shares hold over any stretch of calls.

    Args:
        config: Shares.
        calls: How many calls.
        start: Number of the first of them, counted over the whole sleep.
    """
    shares = [getattr(config, family).share for family in FAMILIES]
    chosen: list[str] = []
    counts = [0] * len(shares)
    for number in range(start + calls):
        # The family that lags its share the most comes next.
        lag = [share * (number + 1) - count for share, count in zip(shares, counts, strict=True)]
        best = max(range(len(shares)), key=lambda i: lag[i])
        counts[best] += 1
        chosen.append(FAMILIES[best])
    return chosen[start:]
