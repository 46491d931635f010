"""What tells impossible scenes from possible ones without understanding: single pictures, motion, noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sage_ext.dream.evaluation import Pairs

SIDE = 32
"""Rows and columns of the pictures that the classifier sees."""
FOLDS, EPOCHS, BATCH = 4, 20, 64
SHOWN = 3
"""Pictures of each scene, spread from the violation to the end."""


@dataclass
class Frames:
    """Pictures with what they are from.

    Attributes:
        pictures: Colour and depth (M, 4, SIDE, SIDE).
        impossible: Whether from an impossible scene (M,) bool.
        pair: Number of the pair (M,).
    """

    pictures: Tensor
    impossible: Tensor
    pair: Tensor


def pictures(visual: Tensor, depth: Tensor) -> Tensor:
    """Pictures (M, 4, SIDE, SIDE) of RGB (M, H, W, 3) uint8 and depth (M, H, W, 1) [m]."""
    both = torch.cat([visual.float() / 255 - 0.5, depth.clamp(max=5.0) / 5 - 0.5], dim=-1).movedim(-1, 1)
    return nn.functional.interpolate(both, size=SIDE, mode="area")


def frames(parts: Iterable[Pairs], last: bool) -> Frames:
    """Pictures from the violation on, of both scenes of each pair; before it they are the same.

    Args:
        parts: Dreams.
        last: Only the last one of each scene.
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    count = 0
    for part in parts:
        steps = part.twin["visual"].shape[1]
        share = torch.ones(1) if last else torch.linspace(0.0, 1.0, SHOWN)
        look = (part.at.unsqueeze(1) + share * (steps - 1 - part.at).unsqueeze(1)).round().long()
        scene = torch.arange(len(look)).unsqueeze(1)
        pair = (count + scene).expand_as(look).flatten()
        count += len(look)
        for senses, label in ((part.twin, False), (part.impossible, True)):
            shown = pictures(senses["visual"][scene, look].flatten(0, 1), senses["depth"][scene, look].flatten(0, 1))
            found.append((shown, torch.full((len(shown),), label), pair))
    return Frames(*(torch.cat([f[i] for f in found]) for i in range(3)))


def classified(data: Frames, seed: int) -> float:
    """Share of pictures that a small convolutional network tells right, on pairs it has not seen.

    Half of the pictures are impossible: those that it holds more impossible than the median are called so.

    Args:
        data: Pictures.
        seed: Of its weights, batches and folds.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = data.pair.unique()
    fold = torch.randint(FOLDS, (int(numbers.max()) + 1,), generator=generator)[data.pair]
    right = 0.0
    for number in range(FOLDS):
        torch.manual_seed(seed + number)
        net = nn.Sequential(
            nn.Conv2d(4, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1),
            nn.ReLU(), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-2)
        train = (fold != number).nonzero().squeeze(1)
        for _ in range(EPOCHS):
            for batch in train[torch.randperm(len(train), generator=generator)].split(BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    net(data.pictures[batch]).squeeze(1), data.impossible[batch].float()
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        net.eval()
        held = fold == number
        with torch.no_grad():
            score = torch.cat([net(some).squeeze(1) for some in data.pictures[held].split(256)])
        # The same picture in both scenes of a pair gets the same score: half of a tie is right.
        middle = score.median()
        called = (score > middle).float() + 0.5 * (score == middle)
        truth = data.impossible[held].float()
        right += float((called * truth + (1 - called) * (1 - truth)).sum())
    return right / len(fold)


def motion(scene: dict[str, Tensor], at: Tensor) -> Tensor:
    """Total change of pixels from look to look, from the violation on (n,)."""
    change = scene["visual"].float().diff(dim=1).abs().flatten(2).mean(-1)
    return (change * (torch.arange(1, change.shape[1] + 1) >= at.unsqueeze(1))).sum(1)


def loudness(scene: dict[str, Tensor], at: Tensor) -> Tensor:
    """Mean sound power from the violation on (n,)."""
    power = 10 ** (scene["audio"] / 10)
    return (power.sum(-1) * (torch.arange(power.shape[1]) >= at.unsqueeze(1))).sum(1)


def pairwise(impossible: Tensor, twin: Tensor) -> float:
    """Share of pairs in which the impossible scene has more; a tie counts half. 0.5 is chance, 0 is as telling as 1."""
    return float(((impossible > twin).float() + 0.5 * (impossible == twin).float()).mean())
