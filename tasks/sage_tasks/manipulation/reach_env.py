"""``Sage-Reach``: bring the hand to a goal in the air."""

from __future__ import annotations

import torch
from torch import Tensor

from .manipulation_env import ManipulationEnv
from .reach_env_cfg import ReachEnvCfg


class ReachEnv(ManipulationEnv):
    """A goal that is reached is drawn anew, so an episode goes on until its time is up."""

    cfg: ReachEnvCfg

    def _setup(self) -> None:
        self._distance = torch.zeros(self.num_envs, device=self.device)
        super()._setup()

    def _instruction(self) -> dict[str, Tensor]:
        return {"goal_position": self.goal}

    def sought(self) -> Tensor:
        """From the pads to the goal."""
        return self.goal - self.arm.pads_pose()[:, :3]

    def meant(self) -> Tensor:
        """No object."""
        return torch.full_like(self.chosen, -1)

    def _to_goal(self) -> Tensor:
        return self.sought().norm(dim=1)

    def _get_rewards(self) -> Tensor:
        distance = self._to_goal()
        reached = distance < self.cfg.goal_reach
        reward = (
            self.cfg.progress_reward * (self._distance - distance)
            + self.cfg.goal_reward * reached
            - self.cfg.action_cost * self.last_action.square().mean(dim=1)
        )
        self._distance = distance
        self._succeed(reached)
        if bool(reached.any()):
            self._draw_goal(reached.nonzero().squeeze(1))
        return reward

    def _draw_goal(self, ids: Tensor) -> None:
        low, high = (torch.tensor(v, device=self.device) for v in (self.cfg.goal_low, self.cfg.goal_high))
        self._put_goal(ids, low + (high - low) * (0.5 + 0.5 * self._uniform(len(ids), 3)))

    def _put_goal(self, ids: Tensor, goal: Tensor) -> None:
        super()._put_goal(ids, goal)
        self._distance[ids] = self._to_goal()[ids]

    def _reset_task(self, env_ids: Tensor) -> None:
        super()._reset_task(env_ids)
        self._draw_goal(env_ids)
