"""SIGReg: draws a batch of vectors to an isotropic Gaussian, so that an encoder cannot collapse.

After LeJEPA (Balestriero and LeCun, arXiv 2511.08544): a distribution is N(0, I) exactly if every projection of
it on a line is N(0, 1) (Cramer and Wold), and on a line the test of Epps and Pulley (Biometrika 70, 1983) compares
characteristic functions: smooth, bounded in value and gradient, linear in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..context.layout import GROUPS, untold, width

_KNOTS, _SPACING = 8, 0.625
"""Trapezoids to t = 5 on half the line: the integrand is even, 0 at t = 0, and below e-12 at the end. Exact to three
digits while samples lie within about 7 of each other; a few percent off beyond, where all that matters is "far"."""

GAUSSIAN: float = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))
"""Expected statistic of samples that are N(0, 1), of any number: 1.059."""

COLLAPSED: float = math.sqrt(2 * math.pi) * (1 - math.sqrt(2) + 1 / math.sqrt(3))
"""Statistic a sample of a batch that is all zeros, the least a constant can reach: 0.409 n."""


def epps_pulley(samples: Tensor, mask: Tensor | None = None) -> Tensor:
    """Epps-Pulley statistic of columns against N(0, 1).

    ``n * integral of |mean exp(i t x) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt``.

    Args:
        samples: ``(n, columns)``.
        mask: Which samples count, ``(n, columns)`` bool; all if None.

    Returns:
        ``(columns,)``; 0 for a column without samples.
    """
    knots = _SPACING * torch.arange(1, _KNOTS + 1, device=samples.device, dtype=samples.dtype)
    angles = samples.unsqueeze(-1) * knots
    share = torch.ones_like(samples) if mask is None else mask.to(samples.dtype)
    count = share.sum(0)
    share = (share / count.clamp(min=1)).unsqueeze(-1)
    normal = torch.exp(-0.5 * knots.square())
    real = (torch.cos(angles) * share).sum(0) - normal
    imaginary = (torch.sin(angles) * share).sum(0)
    return count * (2 * _SPACING) * ((real.square() + imaginary.square()) @ normal)


Lines = Sequence[Tensor]
"""Directions on which contexts are projected: of each group's untold numbers (width, projections), of length 1."""


def lines(projections: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Lines:
    """Random directions for every group, each its own.

    Args:
        projections: How many a group.
        generator: Where they are drawn; they end up on ``device``.
        device: Where the contexts are.
    """
    widths = [width(untold(group)) for group in GROUPS.values()]
    drawn_on = generator.device if generator else device
    drawn = [torch.randn(wide, projections, generator=generator, device=drawn_on) for wide in widths]
    return [each.to(device) / each.norm(dim=0).to(device) for each in drawn]


def sigreg(context: Tensor, lines: Lines, mask: Tensor | None = None) -> Tensor:
    """Mean statistic of random projections of every group of the context, but for numbers that are told.

    Each group has its own projections: across all 4096 numbers, one dead group would only shorten every
    projection a little, and the living ones could make up for it.

    Args:
        context: ``(n, 4096)``.
        lines: From :func:`lines`; draw them anew for each call.
        mask: Which groups of which samples count, ``(n, 15)`` bool; all if None.

    Returns:
        ``(15,)`` statistics: about :data:`GAUSSIAN` for N(0, I), at least ``COLLAPSED * n`` for a constant.
    """
    parts = [context[..., untold(group)] for group in GROUPS.values()]
    columns = [part @ directions for part, directions in zip(parts, lines, strict=True)]
    projections = lines[0].shape[1]
    repeated = None if mask is None else mask.repeat_interleave(projections, 1)
    return epps_pulley(torch.cat(columns, 1), repeated).view(len(GROUPS), projections).mean(1)
