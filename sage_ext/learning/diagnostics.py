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


def group_ranks(context: Tensor, tactile: Tensor | None = None) -> dict[str, float]:
    """Effective rank of each group, as a share of its width.

    Args:
        context: ``(..., 4096)``; several times as many as the widest group has numbers, or few samples look like a
            low rank.
        tactile: What the skin felt at those looks ``(..., taxels)``. The group ``tactile`` counts where it felt
            anything: looks at which nothing touches are all alike, and SIGReg leaves them out, too.

    Returns:
        Name of the group -> share in 0..1; no ``tactile`` where less than two looks felt anything.
    """
    ranks = {}
    for name, group in GROUPS.items():
        some = context[..., group.slice]
        if name == "tactile" and tactile is not None:
            some = some[tactile.any(-1)]
            if len(some) < 2:
                continue
        ranks[name] = effective_rank(some) / group.width
    return ranks
