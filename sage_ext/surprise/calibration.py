"""From a surprise to a probability, and how good probabilities and rankings are.

Two readings of "how possible" stand side by side. The *conformal* one asks only undisturbed experience: the share of
possible scenes that surprised as much or more (Vovk et al., Algorithmic Learning in a Random World, 2005), smoothed
by a kernel; it is uniform over what is possible, whatever the impossible looks like. The *logistic* one was shown
both: the probability that a scene is possible where as many are as are not (J. Platt, Probabilistic Outputs for
Support Vector Machines, 1999). Only the second can be right or wrong scene by scene, which
:func:`calibration_curve` and :func:`expected_calibration_error` tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 10
"""Of a calibration curve."""
STEPS = 60
"""Newton steps of a fit, at most; it needs about ten."""


def conformal(score: Tensor, usual: Tensor) -> Tensor:
    """Smoothed conformal p-value: the share of possible scenes that surprised as much or more.

    Args:
        score: Surprises of scenes ``(n,)``.
        usual: Surprises of undisturbed scenes ``(m,)``.

    Returns:
        ``(n,)``, in 0..1.
    """
    m = len(usual)
    # A Gaussian kernel over the ranks' steps (Silverman's width) orders scenes between two of them.
    width = (1.06 * usual.std(correction=0) * m**-0.2).clamp(min=1e-6)
    more = torch.special.ndtr((usual - score.unsqueeze(1)) / width).sum(1)
    return (more + 0.5) / (m + 1.0)


@dataclass
class Logistic:
    """Probability of being possible, falling with surprise: ``sigmoid(offset - slope * (score - centre) / width)``.

    Attributes:
        slope: At least 0: more surprise never makes a scene more possible.
        offset: Of the logit at the centre.
        centre: Median surprise of what it was fitted on.
        width: Its standard deviation.
    """

    slope: float
    offset: float
    centre: float
    width: float

    def __call__(self, score: Tensor) -> Tensor:
        """Surprises of any shape -> probabilities."""
        return torch.sigmoid(self.offset - self.slope * (score - self.centre) / self.width)

    @classmethod
    def fit(cls, possible: Tensor, impossible: Tensor) -> Logistic:
        """Platt's fit, both classes weighing the same, with his targets, which keep it finite where classes part.

        Args:
            possible: Surprises of possible scenes ``(m,)``.
            impossible: Surprises of impossible ones ``(n,)``.
        """
        score = torch.cat([possible, impossible]).double()
        centre, width = score.median(), score.std(correction=0).clamp(min=1e-6)
        x = torch.stack([-(score - centre) / width, torch.ones_like(score)], 1)
        m, n = len(possible), len(impossible)
        target = torch.cat([x.new_full((m,), (m + 1) / (m + 2)), x.new_full((n,), 1 / (n + 2))])
        weight = torch.cat([x.new_full((m,), 0.5 / m), x.new_full((n,), 0.5 / n)])
        beta = x.new_zeros(2)
        for _ in range(STEPS):
            p = torch.sigmoid(x @ beta)
            slope = x.T @ (weight * (p - target))
            curve = (x * (weight * p * (1 - p)).unsqueeze(1)).T @ x + 1e-9 * torch.eye(2).to(x)
            move = torch.linalg.solve(curve, slope).clamp(-2.0, 2.0)
            beta = beta - move
            if float(move.abs().max()) < 1e-9:
                break
        if beta[0] < 0:
            # The best that never rises with surprise is the one that knows nothing.
            beta = x.new_tensor([0.0, 0.0])
        return cls(float(beta[0]), float(beta[1]), float(centre), float(width))


def calibration_curve(probability: Tensor, possible: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """How often scenes were possible that were said to be so with a probability in some range.

    Args:
        probability: What was said ``(n,)``, in 0..1.
        possible: What was so ``(n,)`` bool.
        bins: Ranges of equal width.

    Returns:
        For each range ``(bins,)``: the mean probability said and the share that was possible, both NaN where there
        was none, and how many there were.
    """
    place = (probability * bins).long().clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    said = torch.bincount(place, probability.double(), minlength=bins) / count
    was = torch.bincount(place, possible.double(), minlength=bins) / count
    return said, was, count


def expected_calibration_error(probability: Tensor, possible: Tensor, bins: int = BINS) -> float:
    """Mean distance of the calibration curve from the diagonal, each range weighing as much as it holds.

    M. Naeini, G. Cooper and M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    said, was, count = calibration_curve(probability, possible, bins)
    return float(((said - was).abs().nan_to_num() * count).sum() / count.sum())


def pairwise_accuracy(impossible: Tensor, twin: Tensor) -> float:
    """Share of pairs in which the impossible scene surprised more than its twin; a tie counts half."""
    return float(((impossible > twin).double() + 0.5 * (impossible == twin).double()).mean())


def auroc(impossible: Tensor, possible: Tensor) -> float:
    """Chance that an impossible scene surprises more than a possible one, not only than its twin."""
    ordered = possible.sort().values
    below = torch.searchsorted(ordered, impossible)
    upto = torch.searchsorted(ordered, impossible, right=True)
    return float((below + upto).double().mean() / (2 * len(possible)))


def false_alarm_rate(impossible: Tensor, unusual: Tensor, caught: float = 0.95) -> float:
    """Share of possible scenes at or above the surprise that ``caught`` of the impossible ones reach."""
    threshold = impossible.double().quantile(1 - caught)
    return float((unusual.double() >= threshold).double().mean())
