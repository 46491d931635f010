"""Plausibility from the geometry of a trajectory alone: five signals that need no prediction of what is seen.

After GeoPhys (Interno et al., arXiv 2606.20707): per-frame embeddings of a frozen encoder make a path, which is smooth
and locally linear where what is seen is plausible. The signals are named and defined as on the project's page; how
they are weighted there was not published when this was written, so that each is told by itself and their mean, in
standard scores of undisturbed experience, stands for all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIGNALS = ("speed_variation", "curvature", "angle_consistency", "acceleration", "prediction_residual")
"""Names of the signals, in order."""
ORDER = 2
"""Looks from which the linear predictor extrapolates the next."""


def geometric_signals(path: Tensor) -> Tensor:
    """The five signals of trajectories; each is higher for a less plausible one.

    Args:
        path: Embeddings ``(n, T, d)``, T at least 4.

    Returns:
        ``(n, 5)``: standard deviation of the step length, mean turning angle [rad], standard deviation of the turning
        angle [rad], mean length of the second difference, and the root mean square residual of a linear
        auto-regression of order 2, fitted on the path itself.
    """
    step = path[:, 1:] - path[:, :-1]
    length = step.norm(dim=-1)
    turn = (step[:, 1:] * step[:, :-1]).sum(-1) / (length[:, 1:] * length[:, :-1]).clamp(min=1e-12)
    # A path that rests has no direction to turn from.
    angle = torch.where(length[:, 1:] * length[:, :-1] > 1e-12, turn.clamp(-1, 1).arccos(), 0.0)
    bend = (step[:, 1:] - step[:, :-1]).norm(dim=-1)
    found = [length.std(1, correction=0), angle.mean(1), angle.std(1, correction=0), bend.mean(1), _residual(path)]
    return torch.stack(found, 1)


def _residual(path: Tensor) -> Tensor:
    """Residual of x[t] ~ a x[t-1] + b x[t-2], the least squares over all numbers and looks of a path."""
    centred = path - path.mean(1, keepdim=True)
    came = centred[:, ORDER:].flatten(1)
    past = torch.stack([centred[:, ORDER - k : -k].flatten(1) for k in range(1, ORDER + 1)], -1)
    gram = past.mT @ past
    ridge = 1e-6 * gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    gram = gram + ridge[:, None, None] * torch.eye(ORDER, device=path.device, dtype=path.dtype)
    weights = torch.linalg.solve(gram, (past.mT @ came.unsqueeze(-1)))
    wrong = came - (past @ weights).squeeze(-1)
    return wrong.unflatten(1, (path.shape[1] - ORDER, -1)).square().sum(-1).mean(1).sqrt()


def standard_mean(signals: Tensor, usual: Tensor) -> Tensor:
    """Mean of signals as standard scores of undisturbed experience.

    Args:
        signals: ``(n, s)``.
        usual: Signals of undisturbed experience ``(m, s)``.

    Returns:
        ``(n,)``.
    """
    return ((signals - usual.mean(0)) / usual.std(0).clamp(min=1e-9)).mean(1)
