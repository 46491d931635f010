"""Moments: stretches of memory beside the same stretches lived again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import SleepConfig
from ..environment import Environment, Observation
from ..learning.objective import Batch
from ..memory import Memory
from ..mind import with_speed
from .variations import Draw, draw, schedule


@dataclass
class Moments:
    """M moments of T looks each, remembered and lived again.

    Attributes:
        remembered: Sense -> (M, T, ...).
        varied: The same moments under a variation.
        actions: What was done after each remembered look, and the speed 1 (M, T, A + 1).
        varied_actions: What was done after each varied look, and its speed (M, T, A + 1).
        change: Natural logarithms of the factors on gravity and friction (M, 2).
        asked: Where the change can be read: not where time runs at another speed (M, 2) bool.
        match: For each varied look the remembered look of the same instant, or -1 (M, T).
    """

    remembered: Observation
    varied: Observation
    actions: Tensor
    varied_actions: Tensor
    change: Tensor
    asked: Tensor
    match: Tensor

    def __len__(self) -> int:
        return len(self.actions)

    def batch(self, which: Tensor, device: torch.device) -> Batch:
        """Some moments as a training batch."""
        return Batch(
            remembered={k: v[which].to(device) for k, v in self.remembered.items()},
            varied={k: v[which].to(device) for k, v in self.varied.items()},
            actions=self.actions[which].to(device),
            varied_actions=self.varied_actions[which].to(device),
            change=self.change[which].to(device),
            asked=self.asked[which].to(device),
            match=self.match[which].to(device),
        )


def slice_length(config: SleepConfig) -> int:
    """Steps of memory a moment needs: those before, and those of, its fastest re-living."""
    return 1 + int(config.steps * max(1.0, *config.variations.temporal.speeds))


def relive_moments(
    env: Environment,
    memory: Memory,
    config: SleepConfig,
    count: int,
    first_call: int,
    generator: torch.Generator,
    on_moment: Callable[[int], None] | None = None,
) -> Moments:
    """Take moments from memory back into the simulator.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        memory: Where the moments come from.
        config: What varies, and how long a moment is.
        count: How many moments.
        first_call: Number of the first call of the simulator, counted over the whole sleep.
        generator: Source of chance, on the CPU.
        on_moment: Called with the number of moments just re-lived.

    Raises:
        SageError: Memory holds no stretch that is long enough and begins at a snapshot.
    """
    parts: list[Moments] = []
    calls = -(-count // env.num_envs)
    keys = ["observation", "action", "snapshot"]
    for family in schedule(config.variations, calls, first_call):
        n = min(env.num_envs, count - sum(map(len, parts)))
        stretch = memory.sample_slices(n, slice_length(config), generator, at_snapshot=True, keys=keys)
        parts.append(_relive(env, stretch, draw(config.variations, family, n, generator), config.steps))
        if on_moment is not None:
            on_moment(n)
    return _concatenate(parts)


def _relive(env: Environment, stretch, drawn: Draw, looks: int) -> Moments:
    n, steps = len(stretch), math.ceil(looks * drawn.speed)
    lived = env.relive(
        stretch["snapshot"][:, 0],
        stretch["action"][:, :steps],
        gravity_scale=drawn.gravity,
        friction_scale=drawn.friction,
        viewpoint=drawn.viewpoint,
        speed=drawn.speed,
    )["policy"]
    # Look k (from 0) comes after (k + 1) * speed steps; memory has a look after every step.
    instant = (torch.arange(looks) + 1) * drawn.speed
    whole = instant == instant.round()
    match = torch.where(whole & (instant <= looks), instant.long() - 1, -1)
    acted = stretch["action"]
    following = torch.stack([_between(acted, float(t), drawn.speed) for t in instant], dim=1)
    physical = drawn.family != "temporal"
    return Moments(
        remembered={k: stretch["observation", k][:, 1 : looks + 1] for k in lived},
        varied={k: v[:, :looks].cpu() for k, v in lived.items()},
        actions=with_speed(acted[:, 1 : looks + 1], 1.0),
        varied_actions=with_speed(following, drawn.speed),
        change=torch.stack([drawn.gravity.log(), drawn.friction.log()], dim=1),
        asked=torch.full((n, 2), physical),
        match=match.expand(n, looks),
    )


def _between(actions: Tensor, instant: float, speed: float) -> Tensor:
    """Mean action from an instant (in steps) until the next look (n, A)."""
    first = int(instant)
    last = max(first + 1, round(instant + speed))
    return actions[:, min(first, actions.shape[1] - 1) : last].mean(dim=1)


def _concatenate(parts: list[Moments]) -> Moments:
    def join(name: str) -> Tensor:
        return torch.cat([getattr(p, name) for p in parts])

    senses = parts[0].remembered
    return Moments(
        remembered={k: torch.cat([p.remembered[k] for p in parts]) for k in senses},
        varied={k: torch.cat([p.varied[k] for p in parts]) for k in senses},
        actions=join("actions"),
        varied_actions=join("varied_actions"),
        change=join("change"),
        asked=join("asked"),
        match=join("match"),
    )
