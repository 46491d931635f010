"""The way to what is sought, as the simulator tells it of looks that were lived again.

The first three numbers of the group ``intentions`` are the way from what the robot acts with, its hand or its body, to
what its episode is about, in the frame in which it is told its goals. Where that is an object, told as one of several,
they have to be put together from what is asked for, where the objects are seen, and where the hand is felt. No
imitation learns that from some hundred demonstrations: sleep arranges the objects anew as often as it likes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..context.seeker import Aim, log_length, shortened

EXACT = 0.01
"""Weight of what the exact part misses. AdamW's steps do not depend on it, and nothing else learns from it: it is
small, so that the loss stays comparable with that of a constant, which has no such part."""
TOLD = 5
"""Numbers told of a look: the way [m], which of the loose objects it leads to, -1 for none, and 1 where it is known."""


def seeking(numbers: Tensor, aim: Aim, sought: Tensor, there: Tensor) -> Tensor:
    """Errors of the way, of its exact part, and of the choice [nat].

    That of the way is in units of :data:`~sage_ext.context.seeker.NEAR` where it is short; see :data:`EXACT`.

    Args:
        numbers: The first of ``intentions`` (N, 3).
        aim: How they were read, of N looks.
        sought: What is told of each look (N, 5), see :data:`TOLD`.
        there: Whether what it takes is sensed (N,) bool.
    """
    asked = there & (sought[:, 4] > 0)
    wrong = (numbers.float() - shortened(sought[:, :3])).abs().sum(-1)
    # By its logarithm: where the camera was moved, or another thing is taken for the one that is meant, no sum can be
    # right, and such ways must not pull at it for their length.
    apart = EXACT * log_length(aim.exact - sought[:, :3]).squeeze(-1)
    which = sought[:, 3].long()
    # Each loose object has a landmark of its own as far as there are landmarks.
    told = asked & (which >= 0) & (which < aim.choice.shape[-1])
    missed = F.cross_entropy(aim.choice.float(), torch.where(told, which, 0), reduction="none")
    return _mean(wrong, asked) + _mean(apart * aim.seen, asked) + _mean(missed, told)


def of_a_constant(sought: Tensor, there: Tensor) -> Tensor:
    """The least that any numbers reach that are the same in all looks; arguments as of :func:`seeking`."""
    asked = there & (sought[:, 4] > 0)
    ways = torch.where(asked.unsqueeze(-1), shortened(sought[:, :3]), torch.nan)
    middle = ways.nanmedian(0).values.nan_to_num()
    which = torch.where(asked, sought[:, 3].long(), -1)
    # Of no object at all, too, there is a choice.
    meant = F.one_hot(which + 1, max(2, int(which.max()) + 2))[:, 1:]
    shares = meant.sum(0) / meant.sum().clamp(min=1)
    choice, way = shares.clamp(min=1e-12).log().expand(len(sought), -1), middle.expand(len(sought), -1)
    # At best it is sure of nothing, and has no exact part to miss.
    return seeking(way, Aim(choice, way, torch.zeros_like(asked, dtype=way.dtype)), sought, there)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, values, 0.0).sum() / where.sum().clamp(min=1)
