"""What gives dreams away is found where there is something, and not where there is nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.balance import classified, frames, loudness, motion, pairwise
from sage_ext.dream.evaluation import Pairs

PAIRS, LOOKS = 40, 6


def scenes(telling: bool) -> Pairs:
    """Pictures of noise, with a square in the impossible scenes, or in half of all."""
    generator = torch.Generator().manual_seed(0)

    def scene(impossible: bool) -> dict[str, Tensor]:
        visual = torch.randint(0, 200, (PAIRS, LOOKS, 32, 32, 3), generator=generator, dtype=torch.uint8)
        marked = torch.full((PAIRS,), impossible) if telling else torch.rand(PAIRS, generator=generator) < 0.5
        visual[marked, 3:, 8:20, 8:20] = 255
        return {
            "visual": visual,
            "depth": torch.ones(PAIRS, LOOKS, 32, 32, 1),
            "audio": torch.full((PAIRS, LOOKS, 1024), -80.0 + 10 * impossible),
        }

    nothing = torch.zeros(PAIRS)
    return Pairs(
        impossible=scene(True), twin=scene(False), impossible_truth={}, twin_truth={}, actions=nothing,
        at=torch.full((PAIRS,), 3), object=nothing, place=nothing, magnitude=nothing, valid=nothing == 0,
        law=["physics"] * PAIRS, kind=["float"] * PAIRS, difficulty=0.5,
    )  # fmt: skip


def test_a_network_finds_what_is_there_to_be_found() -> None:
    for last in (False, True):
        found = frames([scenes(telling=True)], last)
        assert len(found.pair) == 2 * PAIRS * (1 if last else 3)
    assert classified(frames([scenes(telling=True)], last=False), 0) > 0.9
    assert classified(frames([scenes(telling=False)], last=False), 0) < 0.62


def test_numbers_of_scenes() -> None:
    pairs = scenes(telling=True)
    assert pairwise(loudness(pairs.impossible, pairs.at), loudness(pairs.twin, pairs.at)) == 1.0
    assert pairwise(motion(pairs.twin, pairs.at), motion(pairs.twin, pairs.at)) == 0.5
    still = {"visual": pairs.twin["visual"][:, :1].expand(-1, LOOKS, -1, -1, -1)}
    assert motion(still, pairs.at).max() == 0
