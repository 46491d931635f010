"""Learning from re-lived moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor

from ..config import SleepConfig
from ..context.calibration import calibrate
from ..environment import Observation
from ..learning.batch import Batch
from ..mind import Mind

CALIBRATION_FRAMES = 512
"""Frames on which an untrained mind finds its scale."""
WARM = 0.05
"""Share of a sleep in which the learning rate rises."""
SINGLE = 4 / 3
"""Single looks in a batch, for each moment of several looks in one: larger batches teach less in the same time."""
LAST = 0.02
"""Share of the learning rate that is left at the end of a sleep."""


class Learnable(Protocol):
    """Moments as learning takes them; see :class:`~sage_ext.sleep.moments.Moments`."""

    looks: Tensor

    def __len__(self) -> int:
        """How many."""

    def batch(self, which: Tensor, device: torch.device) -> Batch:
        """Some, which have as many looks each."""

    def seen(self, frames: int) -> Observation:
        """What was sensed in some of them."""


def consolidate(
    mind: Mind,
    moments: Learnable,
    config: SleepConfig,
    generator: torch.Generator,
    on_update: Callable[[int, dict[str, float]], None] | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
    most: int | None = None,
) -> dict[str, float]:
    """Learn from each moment ``config.passes`` times.

    Args:
        mind: Learns in place.
        moments: Remembered and lived again.
        config: How many at once, how many batches an update, how often each.
        generator: Order of the moments, dropped senses and projections.
        on_update: Called with the moments that each update finished with, and its losses.
        stretch: Which part of the whole sleep this is; see :func:`pace`.
        most: Updates of the weights at most.

    Returns:
        Mean of each loss over the updates, and ``collapsed``: the least loss a constant encoder
        could have reached on the same moments.
    """
    objective = mind.objective
    if not mind.learned["calibrated"]:
        calibrate(objective.encoder, {k: v.to(mind.device) for k, v in moments.seen(CALIBRATION_FRAMES).items()})
        mind.learned["calibrated"] = True
    objective.train()
    seen: dict[str, list[float]] = {}
    learner = mind.learner if config.accumulate == 1 else objective
    chosen = list(islice(updates(moments.looks, config, generator), most))
    for number, pieces in enumerate(chosen):
        mind.set_rate(config.lr * pace(stretch[0] + (stretch[1] - stretch[0]) * number / len(chosen)))
        mind.optimizer.zero_grad(set_to_none=True)
        parts: dict[str, list[tuple[float, int]]] = {}
        count = sum(map(len, pieces))
        for which in pieces:
            part = moments.batch(which, mind.device)
            share = len(which) / count
            with mind.precision():
                losses = learner(part, generator)
            (losses["loss"] * share).backward()
            losses |= {"collapsed": objective.collapsed(part)["loss"]}
            # All at once: each number that is read makes a GPU wait.
            told = torch.stack([value.detach() for value in losses.values()]).tolist()
            for key, value in zip(losses, told, strict=True):
                parts.setdefault(key, []).append((value, len(which)))
            # What is left of this batch would disturb the recording of the next one's graph.
            del losses
        mind.optimizer.step()
        mind.average.update_parameters(objective)
        # Not every batch has every term.
        scalars = {k: sum(v * n for v, n in some) / sum(n for _, n in some) for k, some in parts.items()}
        for key, value in scalars.items():
            seen.setdefault(key, []).append(value)
        mind.learned["updates"] += 1
        if on_update is not None:
            on_update(count, scalars)
    mind.learned["consolidations"] += len(moments)
    return {key: fmean(values) for key, values in seen.items()}


def pace(progress: float) -> float:
    """Share of the learning rate when so much of a sleep has passed: it rises, then falls as a cosine.

    Each sleep rises anew, so that every cycle's has the same to learn with (warm restarts, arXiv 1608.03983).

    Args:
        progress: 0 at the beginning of a sleep, 1 at its end.
    """
    if progress < WARM:
        return LAST + (1.0 - LAST) * progress / WARM
    return LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (progress - WARM) / (1.0 - WARM))))


def updates(looks: Tensor, config: SleepConfig, generator: torch.Generator) -> Iterator[list[Tensor]]:
    """Batches of each update: moments of a batch have as many looks each, and short ones make larger batches.

    Args:
        looks: Of the moments (M,).
        config: Size of a batch, batches an update, passes.
        generator: Source of their order.

    Yields:
        The batches of one update, as indices of moments.
    """
    for _ in range(config.passes):
        pieces: list[Tensor] = []
        for kind in looks.unique().tolist():
            alike = (looks == kind).nonzero().squeeze(1)
            alike = alike[torch.randperm(len(alike), generator=generator)]
            # As many frames as a batch of the longest has.
            frames = config.batch * (config.history + 2 * config.steps)
            size = max(1, round(SINGLE * config.batch)) if kind == 1 else frames // (config.history + 2 * kind)
            parts = list(alike.split(size))
            if len(parts) > 1 and len(parts[-1]) < size // 2:
                # A handful of moments is too few for a statistic of their distribution.
                parts[-2:] = [torch.cat(parts[-2:])]
            pieces += parts
        order = list(range(len(pieces)))
        if len(looks.unique()) > 1:
            order = torch.randperm(len(pieces), generator=generator).tolist()
        for first in range(0, len(pieces), config.accumulate):
            yield [pieces[i] for i in order[first : first + config.accumulate]]
