"""Where the loose objects are in a picture, as the simulator tells it of looks that were lived again.

The first landmarks of the encoder seek one loose object each: their maps are taught which cell an object's middle lies
in, or that it is nowhere in view, and their places where exactly (as heat maps of keypoints with offsets, CenterNet,
arXiv 1904.07850). A place that is read as a mean over the whole picture would have to find the object first, by slopes
that are nearly flat while it has not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..context.landmarks import Chart

TOLD = 6
"""Numbers told of an object: row and column of its middle as shares of the picture, metres ahead, its radius as a share
of the picture's width, whether it is in view, and 1 where all this is known."""
EXACT = 1.0
"""Weight of an error of place of one cell, beside the cross-entropy."""
NEAR = 50.0
"""Cells that an error of nearness of 1 counts like: a metre away, a centimetre ahead then counts like one aside."""

LARGE = 1.0
"""Cells that an error of size by a factor of e counts like."""
TINY = 1e-3
"""No radius is told smaller."""


class _Told(NamedTuple):
    cell: Tensor
    place: Tensor
    radius: Tensor
    seen: Tensor
    known: Tensor


def sighting(chart: Chart, nowhere: Tensor, sights: Tensor, shown: Tensor, ranged: Tensor) -> Tensor:
    """Cross-entropy of where each loose object is [nat], and the errors of its place and size [cells].

    Args:
        chart: What the landmarks see in N looks.
        nowhere: How much nothing looks like what each landmark seeks ``(count,)``.
        sights: What is told of each object ``(N, 6 B)``, see :data:`TOLD`; those beyond the landmarks are left out.
        shown: Whether there is a picture ``(N,)`` bool.
        ranged: Whether there is depth, without which nobody is asked how near an object is ``(N,)`` bool.
    """
    bodies = min(sights.shape[-1] // TOLD, len(nowhere))
    told = _read(sights[:, : TOLD * bodies], chart.grid, shown)
    absent = nowhere[:bodies].view(1, -1, 1).expand(len(sights), -1, 1)
    odds = torch.cat([chart.strength[:, :bodies], absent], -1).float()
    missed = F.cross_entropy(odds.flatten(0, 1), told.cell.flatten(), reduction="none").view_as(told.cell)
    apart = _apart(chart.place[:, :bodies], told, chart.grid, ranged)
    return _mean(missed, told.known) + EXACT * apart + LARGE * _larger(chart.radius, told)


def of_a_constant(sights: Tensor, grid: tuple[int, int], ranged: Tensor) -> Tensor:
    """The least that any chart reaches that is the same in all looks; arguments as of :func:`sighting`."""
    told = _read(sights, grid, torch.ones(len(sights), dtype=torch.bool, device=sights.device))
    cells = grid[0] * grid[1] + 1
    shares = (F.one_hot(told.cell, cells) * told.known.unsqueeze(-1)).sum(0) / told.known.sum(0).clamp(min=1)[:, None]
    likely = shares.clamp(min=1e-12).log().expand(len(sights), -1, -1)
    missed = -likely.gather(-1, told.cell.unsqueeze(-1)).squeeze(-1)
    middle, usual = (
        torch.where(told.seen.unsqueeze(-1), value, torch.nan).nanmedian(0).values.nan_to_num()
        for value in (told.place, told.radius.unsqueeze(-1))
    )
    apart = _apart(middle.expand_as(told.place), told, grid, ranged)
    return _mean(missed, told.known) + EXACT * apart + LARGE * _larger(usual.squeeze(-1).expand_as(told.radius), told)


def _read(sights: Tensor, grid: tuple[int, int], shown: Tensor) -> _Told:
    rows, columns = grid
    row, column, metres, radius, seen, known = sights.float().unflatten(-1, (-1, TOLD)).unbind(-1)
    known = (known > 0) & shown.unsqueeze(-1)
    seen = (seen > 0) & known
    # Of an object at the picture's edge the middle may lie outside: then the nearest cell is meant.
    down, across = (row * rows).floor().clamp(0, rows - 1), (column * columns).floor().clamp(0, columns - 1)
    cell = torch.where(seen, (down * columns + across).long(), rows * columns)
    edge = (2.0 * share * cells - 1.0 for share, cells in ((column, columns), (row, rows)))
    across, down = (e / max(cells - 1, 1) - 1.0 for e, cells in zip(edge, (columns, rows), strict=True))
    place = torch.stack([across, down, 1.0 / (1.0 + metres.clamp(min=0.0))], -1)
    return _Told(cell, place, radius.clamp(min=TINY).log(), seen, known)


def _apart(place: Tensor, told: _Told, grid: tuple[int, int], ranged: Tensor) -> Tensor:
    """How far places (N, B, 3) are from those told [cells]."""
    across, down, near = (place - told.place).abs().unbind(-1)
    aside = across * ((grid[1] - 1) / 2) + down * ((grid[0] - 1) / 2)
    return _mean(aside, told.seen) + NEAR * _mean(near, told.seen & ranged.unsqueeze(-1))


def _larger(radius: Tensor, told: _Told) -> Tensor:
    """How far sizes (N, k) are from those told, as logarithms."""
    few = min(radius.shape[-1], told.radius.shape[-1])
    return _mean((radius[:, :few] - told.radius[:, :few]).abs(), told.seen[:, :few])


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, values, 0.0).sum() / where.sum().clamp(min=1)
