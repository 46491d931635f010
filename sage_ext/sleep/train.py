"""Learning from re-lived moments."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..mind import Mind
from .moments import Moments

CALIBRATION_FRAMES = 512
"""Frames on which an untrained mind finds its scale."""


def consolidate(
    mind: Mind,
    moments: Moments,
    batch: int,
    generator: torch.Generator,
    on_update: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Learn from each moment once.

    Args:
        mind: Learns in place.
        moments: Remembered and lived again.
        batch: Moments an update.
        generator: Order of the moments, dropped senses and projections.
        on_update: Called with the moments of each update and its losses.

    Returns:
        Mean of each loss over the updates, and ``collapsed``: the least loss a constant encoder
        could have reached on the same moments.
    """
    objective = mind.objective
    if not mind.learned["calibrated"]:
        few = max(1, min(len(moments), CALIBRATION_FRAMES // moments.actions.shape[1]))
        objective.encoder.calibrate({k: v[:few].to(mind.device) for k, v in moments.remembered.items()})
        mind.learned["calibrated"] = True
    objective.train()
    total: dict[str, float] = {}
    order = torch.randperm(len(moments), generator=generator)
    pieces = [order[i : i + batch] for i in range(0, len(order), batch)]
    if len(pieces) > 1 and len(pieces[-1]) < batch // 2:
        # A handful of moments is too few for a statistic of their distribution.
        pieces[-2:] = [torch.cat(pieces[-2:])]
    for which in pieces:
        part = moments.batch(which, mind.device)
        losses = objective(part, generator)
        mind.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        mind.optimizer.step()
        scalars = {k: float(v.detach()) for k, v in losses.items()}
        scalars["collapsed"] = float(objective.collapsed(part)["loss"])
        for key, value in scalars.items():
            total[key] = total.get(key, 0.0) + value / len(pieces)
        mind.learned["updates"] += 1
        mind.learned["consolidations"] += len(which)
        if on_update is not None:
            on_update(len(which), scalars)
    return total
