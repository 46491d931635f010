"""What a batch asks for, and where its senses can tell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..context.core import PICTURES
from ..context.layout import GROUPS, SENSES
from . import changes
from .batch import Batch
from .changes import CHANGES


def changed(batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Kind of change -> by how much the branches differ, and where that is asked: what sleep says and the senses do."""
    change, where = changes.sensed(batch.remembered, batch.varied, batch.present)
    return {**batch.change, **change}, {**batch.asked, **where}


def of_objects(batch: Batch) -> list[str]:
    """Kinds of change that are read from ``objects``, of those the batch tells."""
    return [kind for kind in batch.change if CHANGES[kind].group == "objects"]


def both(told: Mapping[str, Tensor]) -> Tensor:
    """What is told of both branches, look after look (2 B T, k)."""
    return torch.cat([told["remembered"], told["varied"]]).flatten(0, 1)


def shown(flags: Tensor) -> Tensor:
    """Whether there is a picture (...), of the presence of senses or groups (..., 5 or more)."""
    return torch.stack([flags[..., SENSES.index(k)] for k in PICTURES]).any(0)


def ranged(flags: Tensor) -> Tensor:
    """Likewise whether there is depth."""
    return flags[..., SENSES.index("depth")]


def oriented(flags: Tensor) -> Tensor:
    """Likewise whether there is a picture, and the body is felt."""
    return shown(flags) & flags[..., SENSES.index("proprioceptive")]


def felt(batch: Batch, there: Tensor) -> Tensor:
    """Without the looks at which nothing touched the skin: alike as they are, most of them, no Gaussian holds them."""
    if "tactile" not in batch.remembered:
        return there
    touched = torch.cat([v["tactile"].flatten(2).any(-1) for v in (batch.remembered, batch.varied)])
    counted = there.clone()
    counted[..., list(GROUPS).index("tactile")] &= touched
    return counted


def with_read_groups(flags: Tensor) -> Tensor:
    """Presence of the senses (..., 5) as that of all groups (..., 15): what is read is always there."""
    rest = torch.ones(*flags.shape[:-1], len(GROUPS) - len(SENSES), dtype=torch.bool, device=flags.device)
    return torch.cat([flags, rest], -1)
