"""``Sage-Social-Follow``: accompany one person among others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sage_envs.crowd import BODY_RADIUS

from ..navigation.navigation_env import BURIED
from ..navigation.placement import first_free
from .follow_env_cfg import FollowEnvCfg
from .social_env import CANDIDATES, SocialEnv


class FollowEnv(SocialEnv):
    """A rover that accompanies the first person, who is orange and walks slowly.

    The goal in proprioception and ground truth is where that person is. An episode lasts until its time is up, and is
    a success if the rover spent :attr:`FollowEnvCfg.band_share` of it in the band without touching anyone.

    Attributes:
        in_band_s: Time spent in the band in this episode (N,) [s].
    """

    cfg: FollowEnvCfg
    post_height = -BURIED

    def _setup(self) -> None:
        self.in_band_s = torch.zeros(self.num_envs, device=self.device)
        self._in_band = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        super()._setup()

    def _walk(self) -> None:
        super()._walk()
        self.goal = self.crowd.position[:, 0].clone()

    def task_state(self) -> dict[str, Tensor]:
        """What ``Sage-Social`` adds, and the time in the band."""
        return {**super().task_state(), "band": self.in_band_s.unsqueeze(1)}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        super().set_task_state(env_ids, state)
        self.in_band_s[env_ids] = state["band"][:, 0]

    def _arrived(self) -> Tensor:
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def _get_rewards(self) -> Tensor:
        near, far = self.cfg.band
        distance = (self.goal - self._pose()[:, :2]).norm(dim=1)
        self._in_band = (distance >= near) & (distance <= far)
        self.in_band_s += self.step_dt * self._in_band
        share = self.in_band_s / (self.max_episode_length * self.step_dt)
        success = self.reset_time_outs & ~self.reset_terminated & (share >= self.cfg.band_share)
        self._report(success)
        lived = self.episode_length_buf.clamp(min=1) * self.step_dt
        self.extras["log"]["band_share"] = (self.in_band_s / lived).mean()
        action = self.cfg.action_cost * self.last_action.square().mean(dim=1)
        return self.cfg.band_reward * self.step_dt * self._in_band - action - self._social_cost()

    def _reset_task(self, env_ids: Tensor) -> None:
        super()._reset_task(env_ids)
        self.in_band_s[env_ids] = 0.0
        self._put_goal(env_ids, self.crowd.position[env_ids, 0])

    def _starts(self, ids: Tensor) -> Tensor:
        start = super()._starts(ids)
        rover = self._pose()[ids, None, :2]
        near, far = self.cfg.start_distance, self.cfg.band[1]
        draw = self._uniform(len(ids), CANDIDATES, 2)
        angle, distance = math.pi * draw[..., 0], near + (far - near) * (0.5 + 0.5 * draw[..., 1])
        candidates = rover + distance.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], dim=-1)
        inside = self.room_half - 2 * BODY_RADIUS
        # Outside the room is as far from free as can be.
        candidates = torch.where((candidates.abs() < inside).all(dim=-1, keepdim=True), candidates, start[:, 1:2])
        standing, radii = self._standing(ids)
        taken = torch.cat([standing, start[:, 1:]], dim=1)
        distances = torch.cat([radii + 2 * BODY_RADIUS, torch.full((start.shape[1] - 1,), 4 * BODY_RADIUS).to(radii)])
        start[:, 0] = first_free(candidates, taken, distances)
        return start

    def _walking_speeds(self, n: int) -> Tensor:
        speeds = super()._walking_speeds(n)
        low, high = self.cfg.led_speed
        speeds[:, 0] = low + (high - low) * (0.5 + 0.5 * self._uniform(n))
        return speeds
