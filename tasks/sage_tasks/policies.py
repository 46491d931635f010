"""Where actions come from: one interface for scripted, random and learned sources."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from . import TASKS

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

POLICIES = ("random", "expert")
HOLD_S = 1 / 3
"""How long a random action is held [s]: shorter ones cancel out and lead nowhere."""
FORWARD_BIAS = 0.2
"""Mean of random actions: a body that only trembles meets little."""


class Policy(Protocol):
    """Gives actions for all worlds of an environment at once."""

    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """Choose actions.

        Args:
            observation: What the environment gave, with the groups ``policy`` and ``critic``.

        Returns:
            Actions (N, A) in -1..1.
        """


class RandomPolicy:
    """Uniform actions, each held for :data:`HOLD_S`.

    Args:
        env: The environment; its size, time step and device are used.
        seed: Seed of a generator of its own, so that nothing else's randomness is disturbed.
    """

    def __init__(self, env: SageEnv, seed: int = 0) -> None:
        self._generator = torch.Generator(device=env.device).manual_seed(seed)
        self._hold = max(1, round(HOLD_S / env.step_dt))
        self._step = 0
        self._action = torch.zeros(env.num_envs, env.action_width, device=env.device)

    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`Policy.act`; the observation is not looked at."""
        if self._step % self._hold == 0:
            share = torch.rand(self._action.shape, generator=self._generator, device=self._action.device)
            low = 2.0 * FORWARD_BIAS - 1.0
            self._action = low + (1.0 - low) * share
        self._step += 1
        return self._action.clone()


def disturbance(env: SageEnv) -> float:
    """How much demonstrations of a task are disturbed where nothing else is said; see :class:`sage_tasks.Task`.

    Args:
        env: An environment of a task; for any other it is 0.
    """
    task = TASKS.get(env.spec.id) if env.spec else None
    return 0.0 if task is None else task.disturbance


def make_policy(name: str, env: SageEnv, seed: int = 0) -> Policy:
    """Make a source of actions by its name.

    Args:
        name: One of :data:`POLICIES`.
        env: The environment it shall act in.
        seed: Seed of what it draws.

    Raises:
        ValueError: Unknown name, or a task without an expert.
    """
    if name == "random":
        return RandomPolicy(env, seed)
    if name == "expert":
        target = env.spec.kwargs.get("expert_entry_point") if env.spec else None
        if target is None:
            raise ValueError(f"policy=expert: {type(env).__name__} has no scripted expert; use random")
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)(env)
    raise ValueError(f"policy={name}: unknown source of actions; use one of {', '.join(POLICIES)}")
