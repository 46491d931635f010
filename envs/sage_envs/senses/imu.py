"""An inertial measurement unit on one link of the robot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

if TYPE_CHECKING:
    from ..sage_env import SageEnv


class Imu:
    """Specific force and angular velocity in the link's frame.

    Args:
        env: The environment, its simulation started.
        link: Name of the link it sits on.

    Attributes:
        reading: Specific force, mean over the last look [m/s^2], and angular velocity at its end [rad/s] (N, 6).
    """

    def __init__(self, env: SageEnv, link: str) -> None:
        self._env, self._body = env, env.robot.body_names.index(link)
        self._last = self._velocity()
        self.reading = torch.zeros(env.num_envs, 6, device=env.device)

    def _velocity(self) -> Tensor:
        return self._env.robot.data.body_com_vel_w.torch[:, self._body].clone()

    def _quat(self) -> Tensor:
        return self._env.robot.data.body_link_pose_w.torch[:, self._body, 3:].contiguous()

    def feel(self, seconds: float, fresh: Tensor) -> None:
        """Take a reading over the time since the last one.

        Args:
            seconds: That time [s].
            fresh: Worlds whose state was just written (N,) bool: no velocity before is known there.
        """
        velocity, quat = self._velocity(), self._quat()
        change = torch.where(fresh.unsqueeze(1), 0.0, (velocity[:, :3] - self._last[:, :3]) / seconds)
        force = quat_apply_inverse(quat, change - self._env.physics.gravity)
        self.reading = torch.cat([force, quat_apply_inverse(quat, velocity[:, 3:].contiguous())], dim=1)
        self._last = velocity

    def state(self) -> dict[str, Tensor]:
        """What later readings depend on, each (N, k)."""
        return {"imu_velocity": self._last}

    def set_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state` for some worlds."""
        self._last[env_ids] = state["imu_velocity"]

    def forget(self, env_ids: Tensor) -> None:
        """At rest in some worlds."""
        self._last[env_ids] = self._velocity()[env_ids]
        self.reading[env_ids, :3] = quat_apply_inverse(
            self._quat()[env_ids], -self._env.physics.gravity[env_ids].contiguous()
        )
        self.reading[env_ids, 3:] = 0.0
