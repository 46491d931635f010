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
from typing import TYPE_CHECKING, Protocol

import torch
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from ..observations import TACTILE_WIDTH

if TYPE_CHECKING:
    from ..sage_env import SageEnv


class Touch(Protocol):
    """A robot's sense of touch.

    Attributes:
        links: Links of the robot that feel, in the order of the ``skin_contacts`` sensor.
        width: Taxels.
    """

    links: tuple[str, ...]
    width: int

    def feel(self, ticks: int) -> Tensor:
        """Force on each taxel, mean over the last physics steps (N, width) [N]."""


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


class SkinTouch:
    """Touch of a robot whose one link wears a cylindrical skin.

    The ``skin_contacts`` sensor names the partners: first the loose objects, then whatever else; what it does not name,
    the walls, is the last partner.

    Args:
        env: The environment, its simulation started.
        link: The link.
        skin: Its skin.
    """

    def __init__(self, env: SageEnv, link: str, skin: CylinderSkin) -> None:
        self._env, self._skin = env, skin
        self.links: tuple[str, ...] = (link,)
        self.width = skin.sectors * skin.rows
        if self.width != TACTILE_WIDTH:
            raise ValueError(f"skin={skin.sectors}x{skin.rows} taxels: must be {TACTILE_WIDTH} in all")
        self._body = env.robot.body_names.index(link)
        self._horizontal = torch.tensor([1.0, 1.0, 0.0], device=env.device)
        self._half = torch.tensor([t.height / 2 for t in env.objects], device=env.device)
        self._partners = len(env.scene["skin_contacts"].cfg.filter_prim_paths_expr) + 1

    def feel(self, ticks: int) -> Tensor:
        """See :meth:`Touch.feel`."""
        pose = self._env.robot.data.body_link_pose_w.torch[:, self._body]
        force = self.forces(ticks).mean(dim=1)
        quat = pose[:, None, 3:].expand(-1, force.shape[1], -1).contiguous()
        low, high = self._partner_heights(pose)
        return self._skin.taxels(quat_apply_inverse(quat, force), low, high)

    def forces(self, ticks: int) -> Tensor:
        """Force of each partner on the skin, newest physics step first (N, ticks, M, 3) [N].

        Of the last partner, the walls, only the horizontal part counts, because the floor carries the casters under
        the same body.
        """
        data = self._env.scene["skin_contacts"].data
        named = data.normal_force_matrix_w_history.torch[:, :ticks, 0]
        rest = data.net_normal_forces_w_history.torch[:, :ticks] - named.sum(dim=2, keepdim=True)
        rest = rest * self._horizontal
        # Below this the difference of large forces is rounding, not touch.
        rest = torch.where(rest.norm(dim=-1, keepdim=True) > 1e-3, rest, 0.0)
        return torch.cat([named, rest], dim=2)

    def _partner_heights(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest point of each partner above the link's origin (N, M) [m]; without end where unknown."""
        high = torch.full((len(pose), self._partners), torch.inf, device=pose.device)
        low = torch.full_like(high, -torch.inf)
        centre = self._env.loose.data.body_link_pose_w.torch[..., 2] - pose[:, 2:3]
        known = len(self._half)
        half = self._half * self._env.sizes.scale
        low[:, :known], high[:, :known] = centre - half, centre + half
        return low, high
