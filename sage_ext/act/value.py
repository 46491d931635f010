"""What an action was worth: advantages over a value that is read from the context.

Advantage-weighted regression (AWR, arXiv 1910.00177): imitate what was done, the more the better it turned out than
was to be expected. The value is a linear readout of frozen contexts in closed form; each half of the episodes is
judged by the readout of the other half, for a readout that knows an episode by heart finds nothing better than usual.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHRINKAGE = 1.0
"""Of ridge regression, relative to standardised features."""
MOST = 6000
"""Steps that a readout is fitted to at most."""
LIMIT = 20.0
"""Largest weight of a step, as in the paper."""


def returns(reward: Tensor, discount: float) -> Tensor:
    """Discounted sums of an episode's rewards (T,) from each step on (T,)."""
    found = torch.empty_like(reward)
    total = torch.zeros((), dtype=reward.dtype)
    for t in range(len(reward) - 1, -1, -1):
        total = reward[t] + discount * total
        found[t] = total
    return found


def values(contexts: Tensor, targets: Tensor, episode: Tensor, generator: torch.Generator) -> Tensor:
    """What is to be expected at each step, as the other half of the episodes tells.

    Args:
        contexts: (n, 4096), any floating type.
        targets: Returns (n,).
        episode: Number of each step's episode (n,).
        generator: Which steps are fitted where there are too many.
    """
    half, found = episode % 2, torch.empty_like(targets)
    for part in (0, 1):
        judged, fitted = (half == part).nonzero().squeeze(1), (half != part).nonzero().squeeze(1)
        if not len(fitted):
            found[judged] = targets.mean()
            continue
        if len(fitted) > MOST:
            fitted = fitted[torch.randperm(len(fitted), generator=generator)[:MOST]]
        known = contexts[fitted].float()
        mean, scale, middle = known.mean(0), known.std(0).clamp(min=1e-4), targets[fitted].mean()
        known = (known - mean) / scale
        gram = known @ known.T / known.shape[1]
        dual = torch.linalg.solve(gram + SHRINKAGE * torch.eye(len(gram)), targets[fitted] - middle)
        weight = known.T @ dual / known.shape[1]
        for some in judged.split(MOST):
            found[some] = ((contexts[some].float() - mean) / scale).clamp(-10.0, 10.0) @ weight + middle
    return found


def awr_weights(advantage: Tensor, temperature: float) -> Tensor:
    """Weights of steps (n,) of mean 1, given by how much better than usual each turned out.

    Args:
        advantage: Return less what was to be expected (n,).
        temperature: In standard deviations of the advantage.
    """
    standard = (advantage - advantage.mean()) / advantage.std(correction=0).clamp(min=1e-6)
    weight = (standard / temperature).exp().clamp(max=LIMIT)
    return weight / weight.mean()
