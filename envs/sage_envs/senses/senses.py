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

    def update(self, ticks: int) -> None:
        """Hear and feel what happened since the last look.

        Args:
            ticks: Physics steps since then; the sensors keep no more than their history.
        """
        env, fresh = self._env, self._fresh
        ticks = min(ticks, env.scene["object_contacts"].cfg.history_length)
        self.hearing.listen(ticks, fresh)
        self.taxels = env.touch.feel(ticks).masked_fill_(fresh.unsqueeze(1), 0.0)
        self.imu.feel(ticks * env.physics_dt, fresh)

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
        return {**self.hearing.state(), **self.imu.state()}

    def set_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state` for some worlds."""
        self.hearing.set_state(env_ids, state)
        self.imu.set_state(env_ids, state)
        self._fresh[env_ids] = False

    def forget(self, env_ids: Tensor) -> None:
        """Silence and stillness in worlds whose state was just written."""
        self.hearing.forget(env_ids)
        self.imu.forget(env_ids)
        self.taxels[env_ids] = 0.0
        self._fresh[env_ids] = True
