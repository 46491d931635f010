"""The way to what is sought, as the simulator tells it of looks that were lived again.

The first three numbers of the group ``intentions`` are the way from what the robot acts with, its hand or its body, to
what its episode is about, in the frame in which it is told its goals. Where that is an object, told as one of several,
they have to be put together from what is asked for, where the objects are seen, and where the hand is felt. No
imitation learns that from some hundred demonstrations: sleep arranges the objects anew as often as it likes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..context.seeker import shortened

TOLD = 4
"""Numbers told of a look: the way [m], and 1 where it is known."""


def seeking(numbers: Tensor, sought: Tensor, there: Tensor) -> Tensor:
    """Error of the way, in units of :data:`~sage_ext.context.seeker.NEAR` where it is short.

    Args:
        numbers: The first of ``intentions`` (N, 3).
        sought: What is told of each look (N, 4), see :data:`TOLD`.
        there: Whether what it takes is sensed (N,) bool.
    """
    asked = there & (sought[:, 3] > 0)
    wrong = (numbers.float() - shortened(sought[:, :3])).abs().sum(-1)
    return torch.where(asked, wrong, 0.0).sum() / asked.sum().clamp(min=1)


def of_a_constant(sought: Tensor, there: Tensor) -> Tensor:
    """The least that any numbers reach that are the same in all looks; arguments as of :func:`seeking`."""
    asked = there & (sought[:, 3] > 0)
    ways = torch.where(asked.unsqueeze(-1), shortened(sought[:, :3]), torch.nan)
    middle = ways.nanmedian(0).values.nan_to_num()
    return seeking(middle.expand(len(sought), -1), sought, there)
