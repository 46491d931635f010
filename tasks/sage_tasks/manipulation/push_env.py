"""``Sage-Push``: slide an object to a mark."""

from __future__ import annotations

import torch
from torch import Tensor

from sage_envs.physics import FRICTION

from .manipulation_env import ManipulationEnv
from .push_env_cfg import LINE, PushEnvCfg

SLIDERS = (0, 2, 4)
"""Objects that can be asked for, of wood, metal and plastic: the ball would not stop, the tall glass box rocks."""
LANE, LANE_STEPS = 0.07, 6
"""Half the width of the way that is kept free [m], and how many discs stand for it."""


class PushEnv(ManipulationEnv):
    """The fingers may touch the object up to the line; from there it has to slide by itself.

    How far it slides depends on how slippery everything is, which differs from episode to episode and is not told. Once
    it lies still beyond the line nothing may be mended, and the episode ends.

    Attributes:
        fouled: Whether the object was touched beyond the line: no success any more in this episode (N,) bool.
    """

    cfg: PushEnvCfg

    def _setup(self) -> None:
        self.fouled = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._distance = torch.zeros(self.num_envs, device=self.device)
        super()._setup()

    def _to_mark(self) -> Tensor:
        return (self.chosen_position() - self.goal)[:, :2].norm(dim=1)

    def _still(self) -> Tensor:
        return self.chosen_velocity()[:, :3].norm(dim=1) < self.cfg.at_rest

    def _beyond(self) -> Tensor:
        return self.chosen_position()[:, 1] < LINE

    def _touched(self) -> Tensor:
        return self._of_chosen(self.touch.forces(1)[:, 0, :, :-1].norm(dim=-1).sum(dim=1)) > 0.0

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        terminated, out_of_time = super()._get_dones()
        return terminated | (self._still() & self._beyond() & ~self._touched()), out_of_time

    def _get_rewards(self) -> Tensor:
        distance = self._to_mark()
        self.fouled |= self._touched() & self._beyond()
        first = self._succeed(self._still() & (distance < self.cfg.goal_reach) & ~self.fouled)
        reward = (
            self.cfg.progress_reward * (self._distance - distance)
            + self.cfg.goal_reward * first
            - self.cfg.action_cost * self.last_action.square().mean(dim=1)
        )
        self._distance = distance
        return reward

    def task_state(self) -> dict[str, Tensor]:
        """Whether it was a foul, beside what the family keeps."""
        return {**super().task_state(), "fouled": self.fouled.float().unsqueeze(1)}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        super().set_task_state(env_ids, state)
        self.fouled[env_ids] = state["fouled"][:, 0] > 0.5

    def _put_goal(self, ids: Tensor, goal: Tensor) -> None:
        super()._put_goal(ids, goal)
        self._distance[ids] = self._to_mark()[ids]

    def _reset_task(self, env_ids: Tensor) -> None:
        n = len(env_ids)
        pick = torch.randint(len(SLIDERS), (n,), generator=self.generator, device=self.device)
        self.chosen[env_ids] = torch.tensor(SLIDERS, device=self.device)[pick]
        self.fouled[env_ids] = False
        slickness = self._between(self.cfg.slickness, n)
        # On top of what was drawn for the world, which would else have no effect.
        known = {name: self.physics.get(name)[env_ids] for name in FRICTION if name in self.physics.per_world}
        self.physics.put({name: scale * slickness for name, scale in known.items()}, env_ids)
        super()._reset_task(env_ids)
        self._put_goal(env_ids, self.goal[env_ids])

    def _draw_places(self, env_ids: Tensor) -> Tensor:
        """The chosen object at one end of a free lane with the mark at the other, the others beside it."""
        n = len(env_ids)
        start = torch.stack([self._between(bounds, n) for bounds in self.cfg.start], dim=1)
        angle = self.cfg.bearing * self._uniform(n)
        way = self._between(self.cfg.distance, n).unsqueeze(1) * torch.stack([angle.sin(), -angle.cos()], dim=1)
        self.goal[env_ids] = torch.nn.functional.pad(start + way, (0, 1), value=0.001)
        along = torch.linspace(-0.3, 1.0, LANE_STEPS, device=self.device).view(1, -1, 1)
        lane = start.unsqueeze(1) + along * way.unsqueeze(1)
        places = self._scatter(lane, torch.full((LANE_STEPS,), LANE), env_ids)
        places[torch.arange(n, device=self.device), self.chosen[env_ids]] = start
        return places

    def _between(self, bounds: tuple[float, float], n: int) -> Tensor:
        """Numbers (n,) between two bounds."""
        return bounds[0] + (bounds[1] - bounds[0]) * (0.5 + 0.5 * self._uniform(n))
