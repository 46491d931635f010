"""Rounds: while the mind learns from one, the next is lived again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch

from ..config import SleepConfig
from ..environment import Environment
from ..memory import Memory
from .kept import Rehearsal
from .moments import Moments, joined, relive_moments
from .priority import Priorities


class Rounds:
    """The rounds of one sleep.

    Each draws from a seed of its own and is learned from in its turn, so that the same is learned whether the next one
    is lived again meanwhile or afterwards.

    Args:
        env: The environment; only the thread that lives again may touch it while a sleep goes on.
        memory: Where moments come from.
        config: How many moments, and whether to live ahead.
        seed: Seed of a round by its number.
        rehearsal: What earlier runs kept; follows what was lived again in each round.
        priorities: Which moments are lived again more often; None draws all alike.
    """

    def __init__(
        self,
        env: Environment,
        memory: Memory,
        config: SleepConfig,
        seed: Callable[[int], int],
        rehearsal: Rehearsal | None = None,
        priorities: Priorities | None = None,
    ) -> None:
        self._env, self._memory, self._config, self._seed = env, memory, config, seed
        self._rehearsal = rehearsal or Rehearsal()
        self._stretches = None if priorities is None else partial(priorities.draw, memory)

    def lived_again(self, count: int) -> int:
        """How many of a round's moments are lived again; the rest is rehearsed."""
        return count - self._rehearsal.count(count)

    @contextmanager
    def ahead(self, number: int, slept: int) -> Iterator[Iterator[tuple[int, Moments]]]:
        """Go through the rounds that are left; at the end of the block the one under way is waited for.

        Args:
            number: Of the first round.
            slept: Moments of the rounds before it.

        Yields:
            Number and moments of each round.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="relive") as pool:
            yield self._go(pool, number, slept)

    def _go(self, pool: ThreadPoolExecutor, number: int, slept: int) -> Iterator[tuple[int, Moments]]:
        upcoming: Future[Moments] | None = None
        while slept < self._config.consolidations:
            count = self._count(slept)
            moments = (upcoming or pool.submit(self._live, number, count)).result()
            slept += count
            more = slept < self._config.consolidations
            upcoming = None
            if self._config.background and more:
                upcoming = pool.submit(self._live, number + 1, self._count(slept))
            yield number, moments
            number += 1

    def _count(self, slept: int) -> int:
        return min(self._config.round, self._config.consolidations - slept)

    def _live(self, number: int, count: int) -> Moments:
        # Threads are counted by thread: the tensors of a step are too small to share out.
        torch.set_num_threads(1)
        config, generator = self._config, torch.Generator().manual_seed(self._seed(number))
        self._env.reseed(self._seed(number))
        first = number * -(-self.lived_again(config.round) // self._env.num_envs)
        lived = self.lived_again(count)
        moments = relive_moments(self._env, self._memory, config, lived, first, generator, self._stretches)
        return joined([moments, *self._rehearsal.draw(count - lived, generator)])
