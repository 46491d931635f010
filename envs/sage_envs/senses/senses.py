"""All that a body senses between two looks beside its pictures: hearing, touch and balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .hearing import Hearing
from .imu import Imu

if TYPE_CHECKING:
    from ..sage_env import SageEnv


class Senses:
    """Hearing, touch and IMU of all worlds, from the contact forces that the engine's sensors kept.

    Args:
        env: The environment, its simulation started and its touch made.
        seed: Of the noise of rubbing.

    Attributes:
        hearing: The ears.
        imu: The IMU.
        taxels: Force on the skin's taxels, mean over the last look (N, 128) [N].
    """

    def __init__(self, env: SageEnv, seed: int) -> None:
        self._env, self._seed = env, seed
        self.hearing, self.imu = Hearing(env, seed), Imu(env, env.imu_link)
        self.taxels = torch.zeros(env.num_envs, env.touch.width, device=env.device)
        self._fresh = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        self._last_velocity = self._velocity()

    def _velocity(self) -> Tensor:
        """Velocities of the loose objects (N, O, 6)."""
        return self._env.loose.data.body_com_vel_w.torch.clone()

    def update(self, ticks: int) -> None:
        """Hear and feel what happened since the last look.

        Args:
            ticks: Physics steps since then; the sensors keep no more than their history.
        """
        env, fresh = self._env, self._fresh
        objects, skin = env.scene["object_contacts"].data, env.scene["skin_contacts"].data
        ticks = min(ticks, env.scene["object_contacts"].cfg.history_length)

        def steps(history: Tensor) -> Tensor:
            # History is newest first; the senses want it in the order of time.
            return history[:, :ticks].flip(1)

        live = (~fresh).float().view(-1, 1, 1, 1)
        forces = objects.net_normal_forces_w_history.torch, skin.net_normal_forces_w_history.torch
        normal = torch.cat([steps(force) for force in forces], dim=2) * live
        friction = steps(objects.net_friction_forces_w_history.torch) * live

        velocity = self._velocity()
        before = torch.where(fresh.view(-1, 1, 1), velocity, self._last_velocity)
        blend = torch.arange(1, ticks + 1, device=env.device).view(1, -1, 1, 1) / ticks
        path = torch.lerp(before.unsqueeze(1), velocity.unsqueeze(1), blend)
        self.hearing.listen(normal, friction, path, fresh)
        self.taxels = env.touch.feel(ticks) * live[:, :, 0, 0]
        self.imu.feel(ticks * env.physics_dt, fresh)
        self._last_velocity = velocity

    def retime(self) -> None:
        """Follow a changed physics step; what sounds goes on."""
        state = self.hearing.state()
        self.hearing = Hearing(self._env, self._seed)
        self.hearing.set_state(torch.arange(self._env.num_envs, device=self._env.device), state)

    def looked(self) -> None:
        """Every world was observed: from here on there is a before."""
        self._fresh[:] = False

    def state(self) -> dict[str, Tensor]:
        """What the senses carry from look to look, each (N, k)."""
        return {**self.hearing.state(), **self.imu.state(), "velocity": self._last_velocity.flatten(1)}

    def set_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state` for some worlds."""
        self.hearing.set_state(env_ids, state)
        self.imu.set_state(env_ids, state)
        self._last_velocity[env_ids] = state["velocity"].view(len(env_ids), -1, 6)
        self._fresh[env_ids] = False

    def forget(self, env_ids: Tensor) -> None:
        """Silence and stillness in worlds whose state was just written."""
        self.hearing.forget(env_ids)
        self.imu.forget(env_ids)
        self.taxels[env_ids] = 0.0
        self._last_velocity[env_ids] = self._velocity()[env_ids]
        self._fresh[env_ids] = True
