"""Experience to learn acting from: actions that are disturbed, remembered beside what a teacher wanted.

An expert that is never disturbed never shows how it finds back, and whoever imitates it drifts away from what it saw.
Noise in the actions while the labels stay clean mends that (DART, arXiv 1703.09327); so does letting the learner act
while the expert says what it would have done (DAgger, arXiv 1011.0686).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..config_checks import STEPS_PER_SECOND
from ..environment import Environment, Policy, begin_anew

LASTING_S = 1 / 3
"""How long a disturbance lasts, about [s]: shorter ones a body does not follow."""


class Disturbed:
    """A policy whose actions are disturbed.

    The disturbance is an Ornstein-Uhlenbeck process, of another size in each world.

    Args:
        policy: Where actions come from.
        env: The environment that it acts in.
        scale: Mean over the worlds of the disturbance's standard deviation, which lies in 0..2 ``scale``.
        seed: Seed of the disturbance.
        teacher: Whose wish is remembered as the label: ``policy`` itself, another one, or nobody.

    Attributes:
        label: What the teacher wanted at the last call of :meth:`act` (N, A), or None.
    """

    def __init__(self, policy: Policy, env: Environment, scale: float, seed: int, teacher: Policy | None) -> None:
        self._policy, self._teacher = policy, teacher
        self._generator = torch.Generator(device=env.device).manual_seed(seed)
        self._size = 2.0 * scale * torch.rand(env.num_envs, 1, generator=self._generator, device=env.device)
        self._stays = math.exp(-1.0 / (LASTING_S * STEPS_PER_SECOND))
        self._noise: Tensor | None = None
        self.label: Tensor | None = None

    def act(self, observation: dict[str, Any]) -> Tensor:
        """Actions (N, A) in -1..1, disturbed; see :class:`sage_ext.environment.Policy`."""
        wanted = self._policy.act(observation)
        if self._teacher is not None:
            self.label = wanted if self._teacher is self._policy else self._teacher.act(observation)
        fresh = torch.randn(wanted.shape, generator=self._generator, device=wanted.device)
        before = fresh if self._noise is None else self._noise
        self._noise = self._stays * before + math.sqrt(1.0 - self._stays**2) * fresh
        return (wanted + self._size * self._noise).clamp(-1.0, 1.0)

    def reset(self, mask: Tensor) -> None:
        """See :class:`sage_ext.environment.Stateful`."""
        begin_anew(self._policy, mask)
