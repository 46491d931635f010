"""Touch: forces on 128 taxels of an upright cylindrical skin.

The engine gives one force per partner and physics step. Where on the skin it acts follows from
geometry, the same way on every engine: a smooth cylinder is pushed along its normal, so the
force's direction is the azimuth; the height is the middle of the stretch in which the skin and
its partner overlap. Each force is spread over neighbouring taxels by a Gaussian of about one
taxel, whose weights sum to one: the taxels sum to the contact forces' magnitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from ..observations import TACTILE_WIDTH
from .skin import partner_forces, spread

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

    def feel(self, ticks: int) -> Tensor:
        """See :meth:`Touch.feel`."""
        skin, pose = self._skin, self._env.robot.data.body_link_pose_w.torch[:, self._body]
        height = self._env.loose.data.body_link_pose_w.torch[..., 2] - pose[:, 2:3]
        edges = (skin.bottom, skin.top, skin.sectors, skin.rows)
        return spread(self.forces(ticks), pose[:, 3:], height, self._env.sizes.half_height, *edges)

    def forces(self, ticks: int) -> Tensor:
        """Force of each partner on the skin, newest physics step first (N, ticks, M, 3) [N].

        Of the last partner, the walls, only the horizontal part counts, because the floor carries the casters under
        the same body.
        """
        data = self._env.scene["skin_contacts"].data
        named, net = data.normal_force_matrix_w_history, data.net_normal_forces_w_history
        return partner_forces(named.torch, net.torch, ticks)
