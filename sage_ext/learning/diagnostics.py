"""Figures that tell whether a space of contexts is alive."""

from __future__ import annotations

import torch
from torch import Tensor

from ..context.layout import GROUPS


@torch.no_grad()
def effective_rank(vectors: Tensor) -> float:
    """How many directions the vectors use (RankMe, arXiv 2210.02885), about their mean.

    The mean is taken off, unlike in the paper, so that a constant counts for nothing.

    Args:
        vectors: ``(..., width)``; leading axes are samples.

    Returns:
        exp of the entropy of the singular values: 0 if all are equal, at most ``min(samples - 1, width)``.
    """
    flat = vectors.flatten(0, -2).float()
    values = torch.linalg.svdvals(flat - flat.mean(0))
    total = values.sum()
    if total <= 1e-6 * flat.numel() ** 0.5:
        return 0.0
    share = values / total
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))


def group_ranks(context: Tensor) -> dict[str, float]:
    """Effective rank of each group, as a share of its width.

    Args:
        context: ``(..., 4096)``; several times as many as the widest group has numbers, or few samples look like a
            low rank.

    Returns:
        Name of the group -> share in 0..1.
    """
    return {name: effective_rank(context[..., group.slice]) / group.width for name, group in GROUPS.items()}
