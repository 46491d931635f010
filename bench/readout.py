"""Linear probes: what can be read from a context by one linear map, in closed form.

Ridge regression to standardised numbers; for classes to one number a class, each class weighing the same. How much to
shrink is chosen on the last fifth of the fitted episodes, the score is taken on episodes that took no part.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHRINKAGES = (1e-2, 1e-1, 1.0, 10.0)
"""Of ridge regression, relative to standardised features."""
MOST = 8000
"""Samples fitted at most."""
FAR = 10.0
"""Standard deviations from the mean beyond which a feature is cut off."""
FEW = 200
"""Fewer samples to fit or 50 to judge give no score."""


def score(fit: Tensor, target: Tensor, held_out: Tensor, truth: Tensor, seed: int = 0) -> float:
    """Fit a linear probe and judge it on held-out samples.

    Args:
        fit: Features of the fitted samples (n, d), in the order of their episodes.
        target: Numbers (n, k), or classes (n,) int64.
        held_out: Features of the held-out samples (m, d).
        truth: Their numbers or classes.
        seed: Which samples are taken where there are more than :data:`MOST`.

    Returns:
        R2, the mean over the numbers, or balanced accuracy; NaN where there are too few samples.
    """
    if len(fit) < FEW or len(held_out) < 50:
        return float("nan")
    if len(fit) > MOST:
        some = torch.randperm(len(fit), generator=torch.Generator().manual_seed(seed))[:MOST].sort().values
        fit, target = fit[some], target[some]
    mean, scale = fit.mean(0), fit.std(0).clamp(min=1e-4)

    def standard(values: Tensor) -> Tensor:
        # A number that hardly varied in the fitted samples must not run away in others.
        return ((values - mean) / scale).clamp(-FAR, FAR)

    features, weights = standard(fit), torch.ones(len(fit))
    if target.dtype == torch.int64:
        wanted = torch.nn.functional.one_hot(target, int(max(target.max(), truth.max())) + 1).float()
        weights = (wanted / wanted.sum(0).clamp(min=1)).sum(1)
        weights = weights / weights.mean()
    else:
        wanted = target.float()
    middle, spread = wanted.mean(0), wanted.std(0).clamp(min=1e-6)
    wanted = (wanted - middle) / spread
    kept = int(0.8 * len(fit))
    known = [_ridge(features[:kept], wanted[:kept], weights[:kept], s) for s in SHRINKAGES]
    judged = [_judge(features[kept:] @ w * spread + middle, target[kept:]) for w in known]
    best = max(range(len(known)), key=lambda i: judged[i])
    final = _ridge(features, wanted, weights, SHRINKAGES[best])
    return _judge(standard(held_out) @ final * spread + middle, truth)


def _ridge(features: Tensor, wanted: Tensor, weights: Tensor, shrinkage: float) -> Tensor:
    n, d = features.shape
    root = weights.sqrt().unsqueeze(1)
    x, y = features * root, wanted * root
    if n < d:
        return x.T @ torch.linalg.solve(x @ x.T / n + shrinkage * torch.eye(n), y / n)
    return torch.cholesky_solve(x.T @ y / n, torch.linalg.cholesky(x.T @ x / n + shrinkage * torch.eye(d)))


def _judge(read: Tensor, truth: Tensor) -> float:
    if truth.dtype == torch.int64:
        right = read.argmax(-1) == truth
        return float(torch.stack([right[truth == c].float().mean() for c in truth.unique()]).mean())
    left = (read - truth).square().mean(0)
    return float((1 - left / truth.var(0, unbiased=False).clamp(min=1e-12)).mean())
