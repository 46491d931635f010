"""Which remembered moments are lived again: all alike, or those that surprise more often.

The chance of a moment is its surprise to a power, after prioritized experience replay (Schaul et al., arXiv 1511.05952,
its proportional variant). There are no importance weights: nothing here has to be an expectation over memory, and what
is seldom lived again is known already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from ..config import SleepConfig
from ..environment import Observation
from ..memory import Memory
from ..mind import Mind, with_speed
from .moments import slice_length

CANDIDATES = 1024
"""Moments of memory that are looked at as a sleep begins."""
CHUNK = 64


class Priorities:
    """Surprises of some remembered moments, measured once, as a sleep begins.

    What is measured is kept with the checkpoint, so that a sleep that goes on draws from the same.

    Args:
        measured: From :meth:`measure`.
        exponent: 0 draws all alike, 1 in proportion to their surprise.
    """

    def __init__(self, measured: dict[str, Any], exponent: float) -> None:
        self._episode, self._step = (torch.tensor(measured[key]) for key in ("episode", "step"))
        self._chance = chances(torch.tensor(measured["surprise"], dtype=torch.float64), exponent)

    @staticmethod
    def measure(mind: Mind, memory: Memory, config: SleepConfig, generator: torch.Generator) -> dict[str, Any]:
        """Episode, step and surprise of moments of chance, as plain JSON types.

        Args:
            mind: Who is surprised.
            memory: Where the moments come from.
            config: How long a moment is.
            generator: Source of chance, on the CPU.
        """
        found: dict[str, list[Any]] = {"episode": [], "step": [], "surprise": []}
        past, keys = config.history, ["observation", "action"]
        for start in range(0, CANDIDATES, CHUNK):
            n = min(CHUNK, CANDIDATES - start)
            some = memory.sample_slices(n, slice_length(config), generator, snapshot_at=past, keys=keys)
            senses = {k: some["observation", k][:, : past + config.steps] for k in some["observation"].keys()}  # noqa: SIM118
            found["surprise"] += surprises(mind, senses, some["action"][:, : past + config.steps]).tolist()
            for key in ("episode", "step"):
                found[key] += some[key][:, 0].tolist()
        return found

    def draw(self, memory: Memory, n: int, length: int, generator: torch.Generator, keys: Sequence[str]) -> TensorDict:
        """As :meth:`~sage_ext.memory.Memory.sample_slices`, by priority."""
        which = torch.multinomial(self._chance, n, replacement=True, generator=generator)
        return memory.slices_at(self._episode[which], self._step[which], length, keys)


def chances(surprise: Tensor, exponent: float) -> Tensor:
    """Chance of each moment (n,), from its surprise (n,)."""
    weight = (surprise / surprise.mean().clamp(min=1e-12)).clamp(min=1e-6) ** exponent
    return weight / weight.sum()


@torch.no_grad()
def surprises(mind: Mind, observation: Observation, actions: Tensor) -> Tensor:
    """Squared errors of predicting the context, mean over looks, horizons and groups (n,).

    Args:
        mind: Who is surprised.
        observation: Sense -> (n, T, ...).
        actions: What was done after each look (n, T, A).
    """
    context = mind.encode(observation)
    found = mind.acting.predictor.unroll(context, with_speed(actions, 1.0).to(context))
    return torch.stack([p.error(context[:, h:]).mean((1, 2)) for h, p in found.items()]).mean(0).cpu()
