"""A scripted expert that pushes its way through a wall with two gaps, and tries the other when one does not give.

It plans as that of ``Sage-Navigation`` does. It never reads masses: what is too heavy it finds out
by pushing in vain, as whoever learns from it has to.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .expert import NavigationExpert
from .push_env import wall_direction
from .push_env_cfg import PIECES, THICKNESS


class PushExpert(NavigationExpert):
    """Drives every rover of ``Sage-Navigation-Push`` to its goal."""

    # One push in vain, and the other gap is the cheaper way; still no crate is dearer than the wall.
    forbidden = 60.0
    doubt = 4.0

    def _to_fixed(self, obstacles: Tensor) -> Tensor:
        along = wall_direction(obstacles).view(-1, 1, 1, 1, 2)
        offset = self._cells.unsqueeze(2) - obstacles.view(len(obstacles), 1, 1, -1, 2)
        lengthwise = (offset * along).sum(dim=-1).abs() - PIECES[0].radius
        across = (offset[..., 0] * along[..., 1] - offset[..., 1] * along[..., 0]).abs() - THICKNESS / 2
        # Inside a piece the distance is 0; the rover's radius makes that dear enough.
        return torch.stack([lengthwise, across]).clamp(min=0.0).norm(dim=0).amin(dim=-1)
