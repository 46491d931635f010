"""Where things are: points that a picture's features are drawn to, with the depth found there."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .stems import colours, nearness

_CELL = 4
"""Edge of the cells in which landmarks are looked for [pixels]."""
_CORRECTIONS, _REACH = 3, 0.2
"""What a cell may correct: column, row and nearness, and how strongly."""
_FARTHEST = 19.0
"""Where nothing was hit, a landmark is this far [m]."""


class Landmarks(nn.Module):
    """A spatial soft-argmax over colour and depth.

    Each landmark is a map of weights over the picture that sums to 1; its place is the mean place under these weights
    (Levine et al., arXiv 1504.00702; Finn et al., arXiv 1509.06113). Each cell also says by how much a landmark in it
    lies beside its middle and nearer than its mean depth, which is half that of what is behind (as centre offsets in
    CenterNet, arXiv 1904.07850). With the depth found there the place in the room follows, ``column * metres`` to the
    side and ``row * metres`` up and down, which a linear layer cannot multiply out.

    Args:
        count: How many landmarks.
        hidden: Channels of the maps before.
    """

    NUMBERS = 7
    """Of each landmark: column and row in -1..1, nearness, column and row times metres, metres / 3, strength."""

    def __init__(self, count: int, hidden: int = 72) -> None:
        super().__init__()
        self.count = count
        self.layers = nn.Sequential(
            nn.Conv2d(9, hidden, 2 * _CELL, stride=_CELL, padding=_CELL // 2),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, count * (1 + _CORRECTIONS), 1),
        )
        # Weights that are nearly uniform at first point all landmarks at the middle, and learn slowly.
        self.sharpness = nn.Parameter(torch.tensor(math.log(10.0)))

    @property
    def width(self) -> int:
        """Numbers given for a look."""
        return self.count * self.NUMBERS

    def forward(self, visual: Tensor | None, depth: Tensor | None, flags: Tensor) -> Tensor:
        """Find landmarks.

        Args:
            visual: ``(N, H, W, 3)`` bytes; None if there is none anywhere.
            depth: ``(N, H, W, 1)`` metres; likewise.
            flags: Whether visual and depth are present, ``(N, 2)`` bool; where a picture is not it must hold zeros.

        Returns:
            ``(N, width)``; zeros where neither is present, and nothing of depth where that is not.
        """
        given = visual if visual is not None else depth
        if given is None:
            return self.sharpness.new_zeros(len(flags), self.width)
        rows, columns = given.shape[1] // _CELL, given.shape[2] // _CELL
        seen, ranged = flags[:, :1, None, None], flags[:, 1:, None, None]
        blank = given.new_zeros(len(given), 1, *given.shape[1:3], dtype=torch.float32)
        colour = blank.expand(-1, 6, -1, -1) if visual is None else torch.where(seen, colours(visual), 0.0)
        near = blank if depth is None else torch.where(ranged, nearness(depth), 0.0)
        # One layout in memory, whatever is missing: convolutions round otherwise in another.
        where = _places(given.shape[1], given.shape[2], given.device).T.unflatten(1, given.shape[1:3])
        pictures = torch.cat([colour, near, where.expand(len(given), -1, -1, -1)], 1).contiguous()
        maps = self.layers(pictures).flatten(2)
        # Places to a hundredth of the picture, which bfloat16 cannot tell apart.
        with torch.autocast(given.device.type, enabled=False):
            strength, beside = maps.float().split([self.count, self.count * _CORRECTIONS], 1)
            cells = F.avg_pool2d(near, _CELL).flatten(1)
            found = self._placed(strength * self.sharpness.exp(), beside, cells, ranged[..., 0], (rows, columns))
        return torch.where(flags.any(-1, keepdim=True), found, 0.0)

    @staticmethod
    def _placed(strength: Tensor, beside: Tensor, near: Tensor, ranged: Tensor, grid: tuple[int, int]) -> Tensor:
        weights = strength.softmax(-1)
        # A product and a sum: as matrices it takes ten times as long.
        corrections = _REACH * (beside.unflatten(1, (-1, _CORRECTIONS)) * weights.unsqueeze(2)).sum(-1)
        place = weights @ _places(*grid, strength.device) + corrections[..., :2]
        near = (weights @ near.unsqueeze(-1) + corrections[..., 2:]).clamp(min=1.0 / (1.0 + _FARTHEST), max=1.0)
        metres = torch.where(ranged, 1.0 / near - 1.0, 0.0)
        near = torch.where(ranged, near, 0.0)
        total = torch.logsumexp(strength, -1, keepdim=True) / 5.0
        return torch.cat([place, near, place * metres, metres / 3.0, total], -1).flatten(1)


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Column and row of each cell, -1..1, ``(rows * columns, 2)``."""
    down, across = (torch.linspace(-1, 1, cells, device=device) for cells in (rows, columns))
    return torch.stack([across.expand(rows, columns), down.unsqueeze(1).expand(rows, columns)], -1).flatten(0, 1)
