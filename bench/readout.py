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

from .ridge import Gram, taken

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
    """Probes on one set of features, judged on one or several others; what all of them share is worked out once.

    Args:
        fit: Features of the fitted samples (n, d), in the order of their episodes.
        held_out: Features of samples to judge (m, d), of one set or several.
        groups: Name -> where the group's features are.
        seed: Which samples are taken where there are more than :data:`MOST`.
    """

    def __init__(self, fit: Tensor, held_out: Sequence[Tensor], groups: Mapping[str, slice], seed: int = 0) -> None:
        self._groups, self._sets = dict(groups), len(held_out)
        self._some = torch.arange(len(fit), device=fit.device)
        if len(fit) > MOST:
            self._some = (
                torch.randperm(len(fit), generator=torch.Generator().manual_seed(seed))[:MOST]
                .sort()
                .values.to(fit.device)
            )
        enough = len(self._some) >= FEW
        self._told = [number for number, features in enumerate(held_out) if enough and len(features) >= FEWEST]
        if not self._told:
            return
        mean, scale = fit.mean(0), fit.std(0).clamp(min=1e-4)

        def standard(values: Tensor) -> Tensor:
            # A number that hardly varied in the fitted samples must not run away in others.
            return values.sub(mean).div_(scale).clamp_(-FAR, FAR)

        features, self._judged = standard(fit[self._some]), [standard(held_out[number]) for number in self._told]
        kept = int(0.8 * len(features))
        self._known, self._tried = features[:kept], features[kept:]
        self._plain: Gram | None = None

    def scores(self, target: Tensor, truths: Sequence[Tensor]) -> list[dict[str, float]]:
        """Fit one probe from each group, and from the whole, and judge it on each set.

        Args:
            target: Numbers (n, k) of one unit, or classes (n,) int64, of the fitted samples.
            truths: Those of the samples to judge, one a set.

        Returns:
            Of each set: group, or :data:`WHOLE` -> R2, or balanced accuracy; NaN where there are too few samples or
            nothing to tell.
        """
        found = [dict.fromkeys((*self._groups, WHOLE), math.nan) for _ in range(self._sets)]
        if not self._told:
            return found
        device = self._known.device
        truths = [truths[number].to(device) for number in self._told]
        probe = _Probe(target.to(device)[self._some], truths, len(self._known))
        gram = self._gram(probe)
        read = {name: self._fit((name,), gram, probe) for name in self._groups}
        ranked = sorted(self._groups, key=lambda name: read[name][0], reverse=True)
        several = [read[ranked[0]]]
        several += [self._fit(tuple(ranked[:k]), gram, probe) for k in (*TOGETHER[1:], len(ranked)) if k <= len(ranked)]
        read[WHOLE] = max(several, key=lambda pair: pair[0])
        for name, (_, scores) in read.items():
            for number, score in zip(self._told, scores, strict=True):
                found[number][name] = score
        return found

    def _gram(self, probe: _Probe) -> Gram:
        if probe.root is not None:
            return Gram(self._known * probe.root)
        if self._plain is None:
            self._plain = Gram(self._known)
        return self._plain

    def _fit(self, names: tuple[str, ...], gram: Gram, probe: _Probe) -> tuple[float, list[float]]:
        """Score on the samples that choose, and on each set of those that judge."""
        where = tuple(sorted((s.start, s.stop) for s in map(self._groups.__getitem__, names)))
        maps = gram.maps(where, probe.goal, keep=len(names) in (1, len(self._groups)))
        tried = [probe.tried(read) for read in (taken(self._tried, where) @ torch.cat(maps, 1)).chunk(len(maps), 1)]
        best = max(range(len(maps)), key=lambda i: -math.inf if math.isnan(tried[i]) else tried[i])
        if math.isnan(tried[best]):
            return -math.inf, [math.nan] * len(self._judged)
        return tried[best], probe.judged([taken(features, where) @ maps[best] for features in self._judged])


class _Probe:
    """What is to be read.

    Args:
        target: Of all fitted samples.
        truths: Of the samples to judge, one a set.
        count: How many of the fitted samples are not kept for choosing.

    Attributes:
        root: Square roots of the samples' weights (count, 1); None where all weigh the same.
        goal: Standardised numbers to fit (count, k), weighted.
    """

    def __init__(self, target: Tensor, truths: Sequence[Tensor], count: int) -> None:
        self._kept, self._truths = target[count:], truths
        self.root: Tensor | None = None
        wanted = torch.nn.functional.one_hot(target).float() if target.dtype == torch.int64 else target.float()
        self._middle, self._spread = wanted.mean(0), wanted.std(0).clamp(min=1e-6)
        self.goal = (wanted[:count] - self._middle) / self._spread
        if target.dtype == torch.int64:
            weights = (wanted[:count] / wanted[:count].sum(0).clamp(min=1)).sum(1, keepdim=True)
            self.root = (weights / weights.mean()).sqrt()
            self.goal = self.goal * self.root

    def tried(self, read: Tensor) -> float:
        """Score on the samples kept for choosing."""
        return _judge(read * self._spread + self._middle, self._kept)

    def judged(self, read: Sequence[Tensor]) -> list[float]:
        """Score on each set of the samples to judge."""
        return [_judge(one * self._spread + self._middle, truth) for one, truth in zip(read, self._truths, strict=True)]


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
