"""``Sage-Lift``: grasp and lift one of several objects."""

from __future__ import annotations

import torch
from torch import Tensor

from sage_envs.table import OBJECTS

from .lift_env_cfg import LiftEnvCfg
from .manipulation_env import ManipulationEnv


class LiftEnv(ManipulationEnv):
    """Which object is meant is told as one of five; where it is has to be seen.

    Attributes:
        held: For how many steps in a row the object has been high enough (N,).
    """

    cfg: LiftEnvCfg

    def _setup(self) -> None:
        self.held = torch.zeros(self.num_envs, device=self.device)
        self._distance, self._height = torch.zeros_like(self.held), torch.zeros_like(self.held)
        super()._setup()

    def _instruction(self) -> dict[str, Tensor]:
        return {"goal_object": self._which()}

    def _to_object(self) -> Tensor:
        return (self.chosen_position() - self.arm.pads_pose()[:, :3]).norm(dim=1)

    def _lifted(self) -> Tensor:
        """How far the object is above where it rests (N,) [m]."""
        return self.chosen_position()[:, 2] - self._of_chosen(self.sizes.edges)[:, 2] / 2

    def _get_rewards(self) -> Tensor:
        distance, height = self._to_object(), self._lifted()
        self.held = torch.where(height >= self.cfg.lift_height, self.held + 1.0, 0.0)
        first = self._succeed(self.held * self.step_dt >= self.cfg.hold_s)
        capped = height.clamp(max=self.cfg.lift_height)
        reward = (
            self.cfg.approach_reward * (self._distance - distance)
            + self.cfg.lift_reward * (capped - self._height)
            + self.cfg.goal_reward * first
            - self.cfg.action_cost * self.last_action.square().mean(dim=1)
        )
        self._distance, self._height = distance, capped
        return reward

    def task_state(self) -> dict[str, Tensor]:
        """How long it has been held, beside what the family keeps."""
        return {**super().task_state(), "held": self.held.unsqueeze(1)}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        super().set_task_state(env_ids, state)
        self.held[env_ids] = state["held"][:, 0]
        self._look_back(env_ids)

    def _look_back(self, ids: Tensor) -> None:
        """Take the present as what progress is measured from."""
        self._distance[ids] = self._to_object()[ids]
        self._height[ids] = self._lifted()[ids].clamp(max=self.cfg.lift_height)

    def _reset_task(self, env_ids: Tensor) -> None:
        self.chosen[env_ids] = torch.randint(
            len(OBJECTS), (len(env_ids),), generator=self.generator, device=self.device
        )
        super()._reset_task(env_ids)
        self.held[env_ids] = 0.0
        self._look_back(env_ids)
