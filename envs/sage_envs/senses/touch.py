"""Touch: forces on 128 taxels of an upright cylindrical skin.

The engine gives one force per partner and physics step. Where on the skin it acts follows from
geometry, the same way on every engine: a smooth cylinder is pushed along its normal, so the
force's direction is the azimuth; the height is the middle of the stretch in which the skin and
its partner overlap. Each force is spread over neighbouring taxels by a Gaussian of about one
taxel, whose weights sum to one: the taxels sum to the contact forces' magnitudes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CylinderSkin:
    """A grid of taxels around an upright cylinder.

    Attributes:
        bottom: Lower edge above the body's origin [m].
        top: Upper edge above the body's origin [m].
        sectors: Taxels around; taxel 0 faces forward (+x), counting counter-clockwise.
        rows: Taxels from bottom to top.
    """

    bottom: float
    top: float
    sectors: int = 16
    rows: int = 8

    def taxels(self, force: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Spread contact forces over the taxels.

        Args:
            force: Force of each partner on the skin in the body's frame (N, M, 3) [N].
            low: Lowest point of each partner above the body's origin (N, M) [m].
            high: Highest point of each partner above the body's origin (N, M) [m].

        Returns:
            Force on each taxel (N, sectors * rows) [N], row-major by sector.
        """
        side = force[..., :2].norm(dim=-1)
        azimuth = torch.atan2(-force[..., 1], -force[..., 0])
        middle = 0.5 * (low.clamp(self.bottom, self.top) + high.clamp(self.bottom, self.top))
        # A partner above or below (a box on the lid) touches the nearest rim.
        sector = torch.arange(self.sectors, device=force.device) * (2 * math.pi / self.sectors)
        row = self.bottom + (torch.arange(self.rows, device=force.device) + 0.5) * (self.top - self.bottom) / self.rows
        around = torch.remainder(azimuth.unsqueeze(-1) - sector + math.pi, 2 * math.pi) - math.pi
        w_sector = torch.softmax(-0.5 * (around * self.sectors / (2 * math.pi)) ** 2, dim=-1)
        up = (middle.unsqueeze(-1) - row) * self.rows / (self.top - self.bottom)
        w_row = torch.softmax(-0.5 * up**2, dim=-1)
        magnitude = torch.where(side > 0, force.norm(dim=-1), torch.zeros_like(side))
        return torch.bmm((magnitude.unsqueeze(-1) * w_sector).transpose(1, 2), w_row).flatten(1)
