"""Linear probes: what can be read from a context by one linear map, in closed form.

Ridge regression to standardised numbers; for classes to one number a class, each class weighing the same. How much to
shrink is chosen on the last fifth of the fitted samples, which are of other episodes than the first four; the score is
taken on episodes that took no part. The whole context is read from the groups that tell most by themselves: from the
best, the best two, four, eight or all, whichever does best on that fifth. Few samples would otherwise drown a group
that tells everything among 3840 numbers that tell nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

SHRINKAGES = (1e-2, 1e-1, 1.0, 10.0)
"""Of ridge regression, relative to standardised features."""
TOGETHER = (1, 2, 4, 8)
"""How many groups are read together, beside all."""
MOST = 6000
"""Samples fitted at most."""
FEW, FEWEST = 200, 50
"""Fewer samples to fit, or to judge, give no score."""
STILL = 1e-8
"""Variance below which a number is the same in all samples: there is nothing to tell, and no score."""
FAR = 10.0
"""Standard deviations from the mean beyond which a feature is cut off."""
WHOLE = "whole"
"""Name of the reading from all groups."""


class Readout:
    """Probes on one set of features; what all of them share is worked out once.

    Args:
        fit: Features of the fitted samples (n, d), in the order of their episodes.
        held_out: Features of the samples to judge (m, d).
        groups: Name -> where the group's features are.
        seed: Which samples are taken where there are more than :data:`MOST`.
    """

    def __init__(self, fit: Tensor, held_out: Tensor, groups: Mapping[str, slice], seed: int = 0) -> None:
        self._groups = dict(groups)
        self._some = torch.arange(len(fit), device=fit.device)
        if len(fit) > MOST:
            self._some = (
                torch.randperm(len(fit), generator=torch.Generator().manual_seed(seed))[:MOST]
                .sort()
                .values.to(fit.device)
            )
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
        self._plain: dict[tuple[str, ...], Sequence[Tensor]] = {}

    def scores(self, target: Tensor, truth: Tensor) -> dict[str, float]:
        """Fit and judge one probe from each group, and from the whole.

        Args:
            target: Numbers (n, k) of one unit, or classes (n,) int64, of the fitted samples.
            truth: Those of the samples to judge.

        Returns:
            Group, or :data:`WHOLE` -> R2, or balanced accuracy; NaN where there are too few samples or nothing to tell.
        """
        if not self._told:
            return dict.fromkeys((*self._groups, WHOLE), math.nan)
        device = self._known.device
        probe = _Probe(target.to(device)[self._some], truth.to(device), len(self._known))
        tried, found = {}, {}
        for name in self._groups:
            tried[name], found[name] = self._fit((name,), probe)
        ranked = sorted(self._groups, key=lambda name: tried[name], reverse=True)
        several = [(tried[ranked[0]], found[ranked[0]])]
        several += [self._fit(tuple(ranked[:k]), probe) for k in (*TOGETHER[1:], len(ranked)) if k <= len(ranked)]
        return found | {WHOLE: max(several, key=lambda pair: pair[0])[1]}

    def _fit(self, names: tuple[str, ...], probe: _Probe) -> tuple[float, float]:
        """Score on the samples that choose, and on those that judge."""
        where = torch.cat([torch.arange(s.start, s.stop) for s in map(self._groups.__getitem__, names)])
        known = self._known[:, where] * probe.root
        if probe.weighted:
            factors = _factors(known)
        else:
            key = tuple(sorted(names)) if len(names) == 1 else names
            if key not in self._plain:
                self._plain[key] = _factors(known)
            factors = self._plain[key]
        maps = [_solve(factor, known, probe.goal) for factor in factors]
        tried = [probe.tried(self._tried[:, where] @ m) for m in maps]
        best = max(range(len(maps)), key=lambda i: -math.inf if math.isnan(tried[i]) else tried[i])
        if math.isnan(tried[best]):
            return -math.inf, math.nan
        return tried[best], probe.judged(self._judged[:, where] @ maps[best])


class _Probe:
    """What is to be read.

    Args:
        target: Of all fitted samples.
        truth: Of the samples to judge.
        count: How many of the fitted samples are not kept for choosing.
    """

    def __init__(self, target: Tensor, truth: Tensor, count: int) -> None:
        self._kept, self._truth = target[count:], truth
        self.weighted = target.dtype == torch.int64
        self.root = torch.ones(count, 1, device=target.device)
        if self.weighted:
            wanted = torch.nn.functional.one_hot(target, int(max(target.max(), truth.max())) + 1).float()
            weights = (wanted[:count] / wanted[:count].sum(0).clamp(min=1)).sum(1, keepdim=True)
            self.root = (weights / weights.mean()).sqrt()
        else:
            wanted = target.float()
        self._middle, self._spread = wanted.mean(0), wanted.std(0).clamp(min=1e-6)
        self.goal = (wanted[:count] - self._middle) / self._spread * self.root

    def tried(self, read: Tensor) -> float:
        """Score on the samples kept for choosing."""
        return _judge(read * self._spread + self._middle, self._kept)

    def judged(self, read: Tensor) -> float:
        """Score on the samples to judge."""
        return _judge(read * self._spread + self._middle, self._truth)


def _factors(features: Tensor) -> Sequence[Tensor]:
    """Cholesky factors of the smaller Gram matrix, one a shrinkage."""
    n, d = features.shape
    # In double precision: contexts have directions in which they hardly vary.
    wide = features.double()
    gram = (wide @ wide.T if n < d else wide.T @ wide) / n
    unit = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    return [torch.linalg.cholesky(gram + s * unit) for s in SHRINKAGES]


def _solve(factor: Tensor, features: Tensor, wanted: Tensor) -> Tensor:
    n, d = features.shape
    wanted = wanted.double()
    if n < d:
        return features.T @ torch.cholesky_solve(wanted / n, factor).to(features)
    return torch.cholesky_solve(features.T.double() @ wanted / n, factor).to(features)


def _judge(read: Tensor, truth: Tensor) -> float:
    if truth.dtype == torch.int64:
        right = read.argmax(-1) == truth
        return float(torch.stack([right[truth == c].float().mean() for c in truth.unique()]).mean())
    # Numbers of a quantity have one unit: a place's error is that in metres, not the mean of three shares, of which the
    # height of things that all lie on the floor would be one.
    spread = truth.var(0, unbiased=False).sum()
    if bool(spread < STILL):
        return math.nan
    return float(1 - (read - truth).square().mean(0).sum() / spread)
