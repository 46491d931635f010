"""Linear probes: what can be read from a context by one linear map, in closed form.

Ridge regression to standardised numbers; for classes to one number a class, each class weighing the same. How much to
shrink is chosen on the last fifth of the fitted samples, which are of other episodes than the first four; the score is
taken on episodes that took no part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHRINKAGES = (1e-2, 1e-1, 1.0, 10.0)
"""Of ridge regression, relative to standardised features."""
MOST = 6000
"""Samples fitted at most."""
FEW, FEWEST = 200, 50
"""Fewer samples to fit, or to judge, give no score."""
STILL = 1e-8
"""Variance below which a number is the same in all samples: there is nothing to tell, and no score."""
FAR = 10.0
"""Standard deviations from the mean beyond which a feature is cut off."""


class Readout:
    """Probes on one set of features; what all of them share is worked out once.

    Args:
        fit: Features of the fitted samples (n, d), in the order of their episodes.
        held_out: Features of the samples to judge (m, d).
        seed: Which samples are taken where there are more than :data:`MOST`.
    """

    def __init__(self, fit: Tensor, held_out: Tensor, seed: int = 0) -> None:
        self._some = torch.arange(len(fit))
        if len(fit) > MOST:
            self._some = torch.randperm(len(fit), generator=torch.Generator().manual_seed(seed))[:MOST].sort().values
        self._told = len(self._some) >= FEW and len(held_out) >= FEWEST
        if not self._told:
            return
        mean, scale = fit.mean(0), fit.std(0).clamp(min=1e-4)

        def standard(values: Tensor) -> Tensor:
            # A number that hardly varied in the fitted samples must not run away in others.
            return ((values - mean) / scale).clamp(-FAR, FAR)

        features, self._judged = standard(fit[self._some]), standard(held_out)
        kept = int(0.8 * len(features))
        self._known, self._tried = features[:kept], features[kept:]
        self._plain = _factors(self._known)

    def score(self, target: Tensor, truth: Tensor) -> float:
        """Fit and judge one probe.

        Args:
            target: Numbers (n, k), or classes (n,) int64, of the fitted samples.
            truth: Those of the samples to judge.

        Returns:
            R2, the mean over the numbers, or balanced accuracy; NaN where there are too few samples or nothing to tell.
        """
        if not self._told:
            return math.nan
        target, count = target[self._some], len(self._known)
        known, factors, root = self._known, self._plain, torch.ones(count, 1)
        if target.dtype == torch.int64:
            wanted = torch.nn.functional.one_hot(target, int(max(target.max(), truth.max())) + 1).float()
            weights = (wanted[:count] / wanted[:count].sum(0).clamp(min=1)).sum(1, keepdim=True)
            root = (weights / weights.mean()).sqrt()
            known = known * root
            factors = _factors(known)
        else:
            wanted = target.float()
        middle, spread = wanted.mean(0), wanted.std(0).clamp(min=1e-6)
        goal = (wanted[:count] - middle) / spread * root
        maps = [_solve(factor, known, goal) for factor in factors]
        tried = [_judge(self._tried @ m * spread + middle, target[count:]) for m in maps]
        if any(map(math.isnan, tried)):
            return math.nan
        best = max(range(len(maps)), key=lambda i: tried[i])
        return _judge(self._judged @ maps[best] * spread + middle, truth)


def _factors(features: Tensor) -> list[Tensor]:
    """Cholesky factors of the smaller Gram matrix, one a shrinkage."""
    n, d = features.shape
    gram = (features @ features.T if n < d else features.T @ features) / n
    return [torch.linalg.cholesky(gram + s * torch.eye(len(gram))) for s in SHRINKAGES]


def _solve(factor: Tensor, features: Tensor, wanted: Tensor) -> Tensor:
    n, d = features.shape
    if n < d:
        return features.T @ torch.cholesky_solve(wanted / n, factor)
    return torch.cholesky_solve(features.T @ wanted / n, factor)


def _judge(read: Tensor, truth: Tensor) -> float:
    if truth.dtype == torch.int64:
        right = read.argmax(-1) == truth
        return float(torch.stack([right[truth == c].float().mean() for c in truth.unique()]).mean())
    spread = truth.var(0, unbiased=False)
    if bool((spread < STILL).any()):
        return math.nan
    return float((1 - (read - truth).square().mean(0) / spread).mean())
