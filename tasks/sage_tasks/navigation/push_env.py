"""``Sage-Navigation-Push``: push a crate out of the way to the goal, unless it is too heavy."""

from __future__ import annotations

import torch
from torch import Tensor

from sage_envs.room import OBJECTS

from .navigation_env import ROVER_RADIUS, NavigationEnv
from .placement import outlines, scatter
from .push_env_cfg import CRATES, GAP, GAP_PLACES, PIECES, THICKNESS, PushEnvCfg

CRATE_TURN, CRATE_SHIFT = 0.15, 0.04
"""How far a crate may stand askew [rad] and off the middle of its gap [m]."""


class PushEnv(NavigationEnv):
    """A rover, a wall across its room, and a goal behind the wall.

    Each of the two gaps is blocked by a crate, one of which may be too heavy; which one cannot be
    seen. Masses are drawn at each reset. A reached goal is drawn anew on the other side.
    """

    cfg: PushEnvCfg
    objects = (*CRATES, *OBJECTS[len(CRATES) :])
    obstacles = PIECES
    obstacle_halves = tuple((THICKNESS / 2, piece.radius, piece.height / 2) for piece in PIECES)

    def _setup(self) -> None:
        super()._setup()
        self._mass = self.loose.data.body_mass.torch.reshape(self.num_envs, -1).clone()

    # -- masses --------------------------------------------------------------------------------

    def _set_masses(self, ids: Tensor, masses: Tensor) -> None:
        """Give the loose objects of some worlds their masses (n, B) [kg]."""
        if not torch.equal(self._mass[ids], masses):
            self._mass[ids] = masses
            self.physics.set_object_masses(masses, ids)

    def _draw_masses(self, n: int) -> Tensor:
        """Masses of the loose objects (n, B) [kg]: uniform in their range, of what is no crate as made."""

        def between(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(n, len(CRATES), generator=self.generator, device=self.device)

        light, heavy = between(*self.cfg.light_mass), between(*self.cfg.heavy_mass)
        chance = torch.rand(n, 2, generator=self.generator, device=self.device)
        which = (chance[:, :1] * len(CRATES)).long() == torch.arange(len(CRATES), device=self.device)
        too_heavy = which & (chance[:, 1:] < self.cfg.heavy_share)
        masses = torch.tensor([thing.mass for thing in self.objects], device=self.device).repeat(n, 1)
        masses[:, : len(CRATES)] = torch.where(too_heavy, heavy, light)
        return masses

    def task_state(self) -> dict[str, Tensor]:
        """As of ``Sage-Navigation``, and the masses."""
        return {**super().task_state(), "masses": self._mass}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        super().set_task_state(env_ids, state)
        self._set_masses(env_ids, state["masses"])

    # -- resets ----------------------------------------------------------------------------------

    def _reset_task(self, env_ids: Tensor) -> None:
        self._set_masses(env_ids, self._draw_masses(len(env_ids)))
        super()._reset_task(env_ids)

    def _arrange(self, env_ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rover, walls, objects, velocities = super()._arrange(env_ids)
        n = len(env_ids)
        along = wall_direction(walls)
        angle = torch.atan2(-along[:, 0], along[:, 1]).unsqueeze(1)
        walls[..., 3:] = _turned(angle.expand(n, len(PIECES)))
        crates = slice(len(CRATES))
        objects[:, crates, 2] = self.sizes.edges[env_ids, crates, 2] / 2
        objects[:, crates, 3:] = _turned(angle + CRATE_TURN * self._uniform(n, len(CRATES)))
        velocities[:, crates] = 0.0
        return rover, walls, objects, velocities

    def _places(self, env_ids: Tensor) -> Tensor:
        # Drawn for a wall along y and a rover at negative x, then turned by a quarter, or two, or three.
        n, draw, device = len(env_ids), self._uniform, self.device
        near, far = GAP_PLACES
        gap = (near + (far - near) * (0.5 + 0.5 * draw(n, 2))) * torch.tensor([-1.0, 1.0], device=device)
        off = (GAP / 2 + PIECES[0].radius) * torch.tensor([-1.0, 1.0], device=device)
        walls = torch.zeros(n, len(PIECES), 2, device=device)
        walls[..., 1] = (gap.unsqueeze(2) + off).flatten(1)
        crates = CRATE_SHIFT * draw(n, len(CRATES), 2)
        crates[..., 1] += gap

        # The rest stands on one side, clear of the gaps, and some of it is then folded over to the other.
        middle, half = self._half_room()
        before = torch.stack([torch.full_like(gap, middle), gap], dim=2)
        clutter = self.objects[len(CRATES) :]
        radii = outlines([ROVER_RADIUS], clutter, self.sizes.scale[env_ids, len(CRATES) :])
        rest = scatter(before, torch.full((2,), GAP / 2), radii, half, self.cfg.clearance, self.generator)
        rest[..., 0] -= middle
        rest[:, 1:, 0] *= torch.where(draw(n, len(clutter)) < 0.0, -1.0, 1.0)

        places = torch.cat([rest[:, :1], walls, crates, rest[:, 1:]], dim=1)
        quarters = torch.randint(4, (n,), generator=self.generator, device=device)
        cos = torch.tensor([1.0, 0.0, -1.0, 0.0], device=device)[quarters].unsqueeze(1)
        sin = torch.tensor([0.0, 1.0, 0.0, -1.0], device=device)[quarters].unsqueeze(1)
        x, y = places.unbind(dim=-1)
        return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)

    def _half_room(self) -> tuple[float, tuple[float, float]]:
        """Distance of its middle from the wall's, and half its edges across and along the wall [m]."""
        across = 0.5 * (self.room_half - THICKNESS / 2)
        return THICKNESS / 2 + across, (across, self.room_half)

    def _draw_goal(self, ids: Tensor) -> None:
        along = wall_direction(self._fixture_pose[ids, :-1])
        over = torch.stack([along[:, 1], -along[:, 0]], dim=1)
        rover = self._pose()[ids, :2]
        over = over * torch.where((rover * over).sum(dim=1, keepdim=True) < 0.0, 1.0, -1.0)
        middle, half = self._half_room()
        frame = torch.stack([over, along], dim=1)
        # In the frame of the half room behind the wall.
        taken = torch.einsum("nij,nj->ni", frame, rover).unsqueeze(1)
        taken[..., 0] -= middle
        away = torch.tensor([self.cfg.goal_distance - ROVER_RADIUS - self.cfg.clearance])
        radius = torch.tensor([ROVER_RADIUS])
        place = scatter(taken, away, radius, half, self.cfg.clearance, self.generator)[:, 0]
        place[:, 0] += middle
        self._put_goal(ids, torch.einsum("nij,ni->nj", frame, place))


def wall_direction(pieces: Tensor) -> Tensor:
    """Unit vector along the wall, given places or poses of its pieces (n, F, 2..) -> (n, 2)."""
    return torch.nn.functional.normalize(pieces[:, -1, :2] - pieces[:, 0, :2], dim=1)


def _turned(angle: Tensor) -> Tensor:
    """Quaternions (..., 4) that turn about the vertical by angles [rad]."""
    zero, half = torch.zeros_like(angle), 0.5 * angle
    return torch.stack([zero, zero, half.sin(), half.cos()], dim=-1)
