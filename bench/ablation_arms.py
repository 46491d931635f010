"""The arms of the ablation: what each learns from, and by which objective."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sage_ext.context.layout import CONTEXT_WIDTH
from sage_ext.learning.batch import Batch
from sage_ext.learning.objective import Objective
from sage_ext.learning.terms import Chance
from sage_ext.mind import Mind
from sage_ext.sleep import Moments

from .ablation_data import FAMILIES

SEED_COSINE = 0.8
"""What the document this project began from pulls cosine similarities to."""


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: Of its rows.
        learns: From ``wake`` alone, ``varied`` physics, or what was lived again (``sleep``); None from nothing.
        families: Of variations.
        seeds: Whether the seed's objective takes the place of ours.
        augmented: Whether one of each pair is the other's picture, augmented.
    """

    name: str
    learns: str | None
    families: tuple[str, ...] = ()
    seeds: bool = False
    augmented: bool = False


ARMS: tuple[Arm, ...] = (
    Arm("untrained", None),
    Arm("seed's objective", "sleep", FAMILIES, seeds=True),
    Arm("wake only", "wake"),
    Arm("wake + image augmentation", "wake", augmented=True),
    Arm("wake + domain randomisation", "varied"),
    Arm("wake + sleep", "sleep", FAMILIES),
    *(Arm(f"wake + sleep - {out}", "sleep", tuple(f for f in FAMILIES if f != out)) for out in FAMILIES),
)


class PlainMind(Mind):
    """A mind that learns on any device as it does on a CPU, in float32: what it learns is the same."""

    def precision(self) -> AbstractContextManager[Any]:
        """Float32."""
        return nullcontext()


class SeedObjective(Objective):
    """What the seed's document minimises: the squared distance of the branches' cosine similarity from 0.8."""

    def judge(self, batch: Batch, chance: Chance) -> dict[str, Tensor]:
        """The loss; see :class:`~sage_ext.learning.objective.Objective`."""
        context, _, _ = self._encode(batch, chance.luck)
        half = len(batch.actions)
        loss = cosine_loss(context[:half], context[half:])
        return {"loss": loss}


def cosine_loss(one: Tensor, other: Tensor) -> Tensor:
    """The seed's loss of two branches' contexts (..., 4096)."""
    return (F.cosine_similarity(one, other, dim=-1) - SEED_COSINE).square().mean()


def loss_of_noise(frames: int, generator: torch.Generator) -> float:
    """The seed's loss of an encoder that ignores its input: one fixed vector and a quarter as much noise."""
    fixed = torch.randn(CONTEXT_WIDTH, generator=generator)
    # |fixed|^2 / (|fixed|^2 + |noise|^2) = 0.8
    one, other = (fixed + 0.5 * torch.randn(frames, CONTEXT_WIDTH, generator=generator) for _ in range(2))
    return float(cosine_loss(one, other))


def augment(moments: Moments, generator: torch.Generator) -> Moments:
    """Replayed moments whose second branch is the first with its pictures turned, cropped and recoloured."""
    varied = dict(moments.remembered)
    varied["visual"], varied["depth"] = _pictures(varied["visual"], varied["depth"], generator)
    looks = torch.arange(moments.actions.shape[1])
    return replace(
        moments,
        varied=varied,
        varied_actions=moments.actions,
        match=looks.expand(len(moments), -1).contiguous(),
        forget=torch.zeros_like(moments.forget),
    )


def _pictures(visual: Tensor, depth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (M, T, H, W, 3) and (M, T, H, W, 1), one augmentation a moment: up to 15 degrees, a crop of 80 to 100 %
    anywhere, brightness and colour by up to a fifth.
    """  # noqa: D205
    count, looks = visual.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    turn, size = uniform(-math.pi / 12, math.pi / 12), uniform(0.8, 1.0)
    move = uniform(-1.0, 1.0, 2) * (1.0 - size).unsqueeze(1)
    rows = (
        torch.stack([turn.cos() * size, -turn.sin() * size, move[:, 0]], 1),
        torch.stack([turn.sin() * size, turn.cos() * size, move[:, 1]], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), [count, 3, *visual.shape[2:4]], align_corners=False)
    grid = grid.repeat_interleave(looks, 0)

    def sampled(picture: Tensor, mode: str) -> Tensor:
        flat = picture.flatten(0, 1).movedim(-1, 1).float()
        found = F.grid_sample(flat, grid, mode=mode, padding_mode="border", align_corners=False)
        return found.movedim(1, -1).unflatten(0, (count, looks))

    colour = uniform(0.8, 1.2, 1, 1, 1, 3) * uniform(0.8, 1.2, 1, 1, 1, 1)
    seen = (sampled(visual, "bilinear") * colour).clamp(0, 255).to(torch.uint8)
    return seen, sampled(depth, "nearest")
