"""Learning from re-lived moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..config import SleepConfig
from ..mind import Mind
from .moments import Moments

CALIBRATION_FRAMES = 512
"""Frames on which an untrained mind finds its scale."""


def consolidate(
    mind: Mind,
    moments: Moments,
    config: SleepConfig,
    generator: torch.Generator,
    on_update: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Learn from each moment ``config.passes`` times.

    Args:
        mind: Learns in place.
        moments: Remembered and lived again.
        config: How many at once, how many batches an update, how often each.
        generator: Order of the moments, dropped senses and projections.
        on_update: Called with the moments that each update finished with, and its losses.

    Returns:
        Mean of each loss over the updates, and ``collapsed``: the least loss a constant encoder
        could have reached on the same moments.
    """
    objective = mind.objective
    if not mind.learned["calibrated"]:
        few = max(2, min(len(moments), CALIBRATION_FRAMES // moments.actions.shape[1]))
        objective.encoder.calibrate({k: v[:few].to(mind.device) for k, v in moments.varied.items()})
        mind.learned["calibrated"] = True
    objective.train()
    total: dict[str, float] = {}
    updates = list(_updates(len(moments), config, generator))
    for pieces in updates:
        mind.optimizer.zero_grad(set_to_none=True)
        scalars: dict[str, float] = {}
        count = sum(map(len, pieces))
        for which in pieces:
            part = moments.batch(which, mind.device)
            share = len(which) / count
            with mind.precision():
                losses = objective(part, generator)
            (losses["loss"] * share).backward()
            losses |= {"collapsed": objective.collapsed(part)["loss"]}
            for key, value in losses.items():
                scalars[key] = scalars.get(key, 0.0) + share * float(value.detach())
        mind.optimizer.step()
        mind.average.update_parameters(objective)
        for key, value in scalars.items():
            total[key] = total.get(key, 0.0) + value / len(updates)
        mind.learned["updates"] += 1
        if on_update is not None:
            on_update(count, scalars)
    mind.learned["consolidations"] += len(moments)
    return total


def _updates(count: int, config: SleepConfig, generator: torch.Generator) -> Iterator[list[Tensor]]:
    """Batches of each update."""
    for _ in range(config.passes):
        order = torch.randperm(count, generator=generator)
        pieces = list(order.split(config.batch))
        if len(pieces) > 1 and len(pieces[-1]) < config.batch // 2:
            # A handful of moments is too few for a statistic of their distribution.
            pieces[-2:] = [torch.cat(pieces[-2:])]
        for first in range(0, len(pieces), config.accumulate):
            yield pieces[first : first + config.accumulate]
