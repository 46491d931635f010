"""Where things are: points that a picture's features are drawn to, with the depth found there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layout import LOOSE, PLACE
from .stems import colours, nearness

_CELL = 4
"""Edge of the cells in which landmarks are looked for [pixels]."""
_CORRECTIONS, _REACH = 3, 0.2
"""What a cell may correct: column, row and metres, and how strongly."""
_AROUND = 2
"""Cells on each side of the strongest in which a thing that is known can be."""
_USUAL = math.log(0.06)
"""How large a thing looks until more is known, as the logarithm of its radius as a share of the picture's width."""
_MIDDLE = -3.0
"""About the mean of that share times the metres, as a logarithm."""
_ABSENT = -2.0
"""How much nothing looks like what is sought, at first: the cells of a map that has learned nothing come to about 0.2
together, so landmarks begin in sight, and their numbers vary with their places."""
_SURE = 0.5
"""Numbers of a landmark that is less likely there fade; those of one that is likelier are told as they are."""
_FARTHEST = 19.0
"""Where nothing was hit, a landmark is this far [m]."""


class Chart(NamedTuple):
    """What landmarks see in pictures.

    Attributes:
        strength: How much each cell looks like what each landmark seeks, ``(N, count, rows * columns)``.
        place: Column and row, -1..1 from the middle of the first cell to that of the last, and nearness
            ``(N, count, 3)``.
        radius: How large what the first landmarks seek looks ``(N, k)``, the logarithm of its radius as a share of the
            picture's width.
        grid: Rows and columns of cells.
    """

    strength: Tensor
    place: Tensor
    radius: Tensor
    grid: tuple[int, int]


class Landmarks(nn.Module):
    """A spatial soft-argmax over colour and depth.

    Each landmark is a map of weights over the picture that sums to 1; its place is the mean place under these weights
    (Levine et al., arXiv 1504.00702; Finn et al., arXiv 1509.06113). Each cell also says by how much a landmark in it
    lies beside its middle and behind what is seen there (as centre offsets in CenterNet, arXiv 1904.07850). What the
    first landmarks seek is seen at one point, where the depth picture has its surface: the mean of a cell is half that
    of what is behind it, or of a hand that holds it. With the depth found there the place in the room follows,
    ``column * metres`` to the side and ``row * metres`` up and down, which a linear layer cannot multiply out.

    What is sought may be nowhere: that competes with all cells, and where it wins the numbers of a landmark fade.

    Args:
        count: How many landmarks.
        hidden: Channels of the maps before.
    """

    NUMBERS = PLACE
    """Of each landmark: column and row in -1..1, nearness, column and row times metres, metres / 3, and how likely it
    is there, with which the others fade."""

    def __init__(self, count: int, hidden: int = 72) -> None:
        super().__init__()
        self.count, self.loose = count, min(count, LOOSE)
        self.layers = nn.Sequential(
            nn.Conv2d(9, hidden, 2 * _CELL, stride=_CELL, padding=_CELL // 2),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, count * (1 + _CORRECTIONS) + self.loose, 1),
        )
        # Weights that are nearly uniform at first point all landmarks at the middle, and learn slowly.
        self.sharpness = nn.Parameter(torch.tensor(math.log(10.0)))
        self.nowhere = nn.Parameter(torch.full((count,), _ABSENT))

    @property
    def width(self) -> int:
        """Numbers given for a look."""
        return self.count * self.NUMBERS

    def forward(self, visual: Tensor | None, depth: Tensor | None, flags: Tensor) -> tuple[Tensor, Chart | None]:
        """Find landmarks.

        Args:
            visual: ``(N, H, W, 3)`` bytes; None if there is none anywhere.
            depth: ``(N, H, W, 1)`` metres; likewise.
            flags: Whether visual and depth are present, ``(N, 2)`` bool; where a picture is not it must hold zeros.

        Returns:
            What is told ``(N, width)``: zeros where neither is present, and nothing of depth where that is not; and
            the chart it is told of, if there is any picture.
        """
        if visual is None and depth is None:
            return self.sharpness.new_zeros(len(flags), self.width), None
        chart = self.chart(visual, depth, flags)
        return self.numbers(chart, flags), chart

    def chart(self, visual: Tensor | None, depth: Tensor | None, flags: Tensor) -> Chart:
        """Where landmarks are; arguments as of :meth:`forward`, one picture at least."""
        given = visual if visual is not None else depth
        assert given is not None
        rows, columns = cells(given.shape[1:3])
        seen, ranged = flags[:, :1, None, None], flags[:, 1:, None, None]
        blank = given.new_zeros(len(given), 1, *given.shape[1:3], dtype=torch.float32)
        colour = blank.expand(-1, 6, -1, -1) if visual is None else torch.where(seen, colours(visual), 0.0)
        near = blank if depth is None else torch.where(ranged, nearness(depth), 0.0)
        where = _places(given.shape[1], given.shape[2], given.device).T.unflatten(1, given.shape[1:3])
        pictures = torch.cat([colour, near, where.expand(len(given), -1, -1, -1)], 1)
        # One layout in memory, whatever is missing: convolutions round otherwise in another. In this one a CPU learns
        # in two thirds of the time.
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        maps = self.layers(pictures).flatten(2)
        # Places to a hundredth of the picture, which bfloat16 cannot tell apart.
        with torch.autocast(given.device.type, enabled=False):
            strength, beside, radius = maps.float().split([self.count, self.count * _CORRECTIONS, self.loose], 1)
            # Against nowhere, the cells of a fine grid shall count no more than those of a coarse one.
            strength = strength * self.sharpness.exp() - math.log(rows * columns)
            return self._placed(strength, beside, radius, near, (rows, columns))

    @staticmethod
    def _placed(strength: Tensor, beside: Tensor, radius: Tensor, near: Tensor, grid: tuple[int, int]) -> Chart:
        loose = radius.shape[1]
        weights = torch.cat([_at_the_peak(strength[:, :loose], grid), strength[:, loose:]], 1).softmax(-1)
        # A product and a sum: as matrices it takes ten times as long.
        corrections = _REACH * (beside.unflatten(1, (-1, _CORRECTIONS)) * weights.unsqueeze(2)).sum(-1)
        place = weights @ _places(*grid, strength.device) + corrections[..., :2]
        about = weights[:, loose:] @ F.avg_pool2d(near, _CELL).flatten(1).unsqueeze(-1)
        found = torch.cat([_surface(near, place[:, :loose], grid), about], 1).clamp(min=1.0 / (1.0 + _FARTHEST))
        near = 1.0 / (1.0 + (1.0 / found - 1.0 + corrections[..., 2:]).clamp(min=0.0, max=_FARTHEST))
        radius = _USUAL + (radius * weights[:, :loose]).sum(-1)
        return Chart(strength, torch.cat([place, near], -1), radius, grid)

    def numbers(self, chart: Chart, flags: Tensor) -> Tensor:
        """What is told of a chart, ``(N, width)``; flags as of :meth:`forward`."""
        with torch.autocast(flags.device.type, enabled=False):
            place, near = chart.place.split([2, 1], -1)
            ranged = flags[:, 1:, None]
            metres = torch.where(ranged, 1.0 / near - 1.0, 0.0)
            there = torch.sigmoid(torch.logsumexp(chart.strength, -1, keepdim=True) - self.nowhere.unsqueeze(-1))
            told = torch.cat([place, torch.where(ranged, near, 0.0), place * metres, metres / 3.0], -1)
            found = torch.cat([told * (there / _SURE).clamp(max=1.0), there], -1).flatten(1)
        return torch.where(flags.any(-1, keepdim=True), found, 0.0)

    @torch.no_grad()
    def traits(self, chart: Chart, numbers: Tensor, visual: Tensor | None, flags: Tensor) -> Tensor:
        """What the things look like that the first landmarks found, ``(N, k, 4)``; of what is not there it fades.

        Size, from how large it looks and how far away it is; and as the picture has them at its place, brightness and
        the shares of red and green, which neither light nor shade change.

        Args:
            chart: Where they are.
            numbers: From :meth:`numbers`.
            visual: As of :meth:`forward`.
            flags: As of :meth:`forward`.
        """
        with torch.autocast(flags.device.type, enabled=False):
            there = numbers.unflatten(-1, (-1, self.NUMBERS))[:, : self.loose, -1:]
            near = chart.place[:, : self.loose, 2:]
            size = chart.radius.unsqueeze(-1) + (1.0 / near - 1.0).clamp(min=1e-3).log() - _MIDDLE
            size = torch.where(flags[:, 1:, None], size, 0.0)
            colour = size.new_zeros(*size.shape[:2], 3)
            if visual is not None:
                picture, grid = visual.movedim(-1, 1).float(), _from_edges(chart.place[:, : self.loose, :2], chart.grid)
                found = F.grid_sample(picture, grid.unsqueeze(1), padding_mode="border", align_corners=False)
                light, share = colours(found.movedim(1, -1))[:, :, 0].transpose(1, 2).split(3, -1)
                known = torch.cat([light.mean(-1, keepdim=True), share[..., :2]], -1)
                colour = torch.where(flags[:, :1, None], known, 0.0)
            return torch.cat([size, colour], -1) * (there / _SURE).clamp(max=1.0)


def _at_the_peak(strength: Tensor, grid: tuple[int, int]) -> Tensor:
    """Strength ``(N, k, cells)`` of the cells around the strongest alone.

    Between two things that may be meant there is neither (kernel soft argmax, SFNet, arXiv 1904.01810).
    """
    rows, columns = grid
    cell = torch.arange(rows * columns, device=strength.device)
    peak = strength.argmax(-1, keepdim=True)
    down, across = (cell // columns - peak // columns).abs(), (cell % columns - peak % columns).abs()
    return strength.masked_fill((down > _AROUND) | (across > _AROUND), float("-inf"))


def _surface(near: Tensor, place: Tensor, grid: tuple[int, int]) -> Tensor:
    """Nearness of what a picture ``(N, 1, H, W)`` has at places ``(N, k, 2)``, ``(N, k, 1)``.

    The median of five pixels, so that neither an edge nor a hole decides.
    """
    shares = (0.5 * (_from_edges(place, grid) + 1.0)).split(1, -1)
    column, row = ((share * size).floor().long() for share, size in zip(shares, near.shape[:1:-1], strict=True))
    across = torch.cat([column, column - 1, column + 1, column, column], -1).clamp(0, near.shape[3] - 1)
    down = torch.cat([row, row, row, row - 1, row + 1], -1).clamp(0, near.shape[2] - 1)
    found = near.flatten(1).gather(1, (down * near.shape[3] + across).flatten(1)).view_as(across)
    return found.median(-1, keepdim=True).values


def _from_edges(place: Tensor, grid: tuple[int, int]) -> Tensor:
    """Places ``(..., 2)`` as -1..1 from edge to edge of the picture: a cell has an edge beyond its middle."""
    edges = zip(place.unbind(-1), grid[::-1], strict=True)
    return torch.stack([((along + 1.0) * (count - 1) + 1.0) / count - 1.0 for along, count in edges], -1)


def cells(picture: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of cells of a picture of so many pixels."""
    return picture[0] // _CELL, picture[1] // _CELL


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Column and row of each cell, -1..1, ``(rows * columns, 2)``."""
    down, across = (torch.linspace(-1, 1, cells, device=device) for cells in (rows, columns))
    return torch.stack([across.expand(rows, columns), down.unsqueeze(1).expand(rows, columns)], -1).flatten(0, 1)
