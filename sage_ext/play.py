"""Play: let a policy act for whole episodes and count how they went."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from .environment import Environment, Policy, begin_anew


@dataclass(frozen=True)
class Episode:
    """How one episode went.

    Attributes:
        world: World it was in.
        number: Its place among that world's episodes, from 0.
        steps: Environment steps.
        total: Sum of its rewards.
        success: Whether ``extras["success"]`` was true at any step of it; None where the task does not say.
        log: What ``extras["log"]`` held at its last step.
    """

    world: int
    number: int
    steps: int
    total: float
    success: bool | None
    log: dict[str, float] = field(default_factory=dict)


def quotas(episodes: int, worlds: int) -> list[int]:
    """How many episodes of each world count: fixed beforehand, for else the short ones would be counted more often."""
    return [episodes // worlds + (world < episodes % worlds) for world in range(worlds)]


@torch.no_grad()
def play(
    env: Environment,
    policy: Policy,
    episodes: int,
    seed: int,
    before_step: Callable[[dict[str, Any], Tensor], None] = lambda observation, succeeded: None,
    after_step: Callable[[list[Episode]], None] = lambda ended: None,
) -> list[Episode]:
    """Live episodes from a reset on; of each world its first ones count, see :func:`quotas`.

    Args:
        env: The environment. Worlds go on while others have episodes to finish; that is not counted.
        policy: Where actions come from.
        episodes: How many to count, over all worlds.
        seed: Of the reset.
        before_step: Called with each observation that is acted on, and whether each world's episode is a success so
            far (N,) bool.
        after_step: Called after each step of all worlds with the counted episodes that ended in it; raises to stop.

    Returns:
        The episodes, in the order of worlds.
    """
    n = env.num_envs
    quota = torch.tensor(quotas(episodes, n))
    number = torch.zeros(n, dtype=torch.long)
    steps, total = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.float64)
    reached = torch.zeros(n, dtype=torch.bool)
    told = False
    found: list[Episode] = []
    observation, _ = env.reset(seed=seed)
    while bool((number < quota).any()):
        before_step(observation, reached)
        observation, reward, terminated, truncated, extras = env.step(policy.act(observation))
        steps += 1
        total += reward.cpu()
        if "success" in extras:
            told = True
            reached |= extras["success"].cpu()
        begin_anew(policy, terminated | truncated)
        over = (terminated | truncated).cpu()
        ended = [
            Episode(
                world,
                int(number[world]),
                int(steps[world]),
                float(total[world]),
                bool(reached[world]) if told else None,
                _at(extras.get("log", {}), world),
            )
            for world in (over & (number < quota)).nonzero().flatten().tolist()
        ]
        found += ended
        number += over
        steps[over], total[over], reached[over] = 0, 0.0, False
        after_step(ended)
    return sorted(found, key=lambda episode: (episode.world, episode.number))


def summary(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Rates and means over episodes.

    Returns:
        ``episodes``, ``mean_return``, ``mean_length`` (steps), ``log`` (name -> mean); where the task tells successes
        ``successes``, ``success_rate`` and ``success_interval``, the 95 % score interval of Wilson (1927); and each
        episode under ``each``.
    """
    n = len(episodes)
    names = list(dict.fromkeys(name for episode in episodes for name in episode.log))
    result: dict[str, Any] = {"episodes": n}
    if all(episode.success is not None for episode in episodes):
        successes = sum(bool(episode.success) for episode in episodes)
        result |= {
            "successes": successes,
            "success_rate": successes / n,
            "success_interval": list(wilson_interval(successes, n)),
        }
    return result | {
        "mean_return": sum(episode.total for episode in episodes) / n,
        "mean_length": sum(episode.steps for episode in episodes) / n,
        "log": {name: _mean([e.log[name] for e in episodes if name in e.log]) for name in names},
        "each": [asdict(episode) for episode in episodes],
    }


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """95 % score interval of a rate (Wilson 1927), which holds near 0 and 1 as well."""
    z = 1.959964
    rate, share = successes / trials, z * z / trials
    middle, half = rate + share / 2, z * math.sqrt((rate * (1 - rate) + share / 4) / trials)
    return max(0.0, (middle - half) / (1 + share)), min(1.0, (middle + half) / (1 + share))


def _at(log: dict[str, Any], world: int) -> dict[str, float]:
    """A log's numbers for one world: its own entry where there is one a world, else what is said of all of them."""
    found = {}
    for name, value in log.items():
        many = isinstance(value, Tensor) and value.dim() > 0 and value.numel() > 1
        found[name] = float(value[world] if many else value)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
