"""Probes on whole episodes: what they are chosen on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from bench import probes, readout
from bench.held_out import Lived
from bench.quantities import Quantity

EPISODES, LOOKS = 100, probes.BLOCK - probes.FIRST


def test_probes_are_chosen_on_episodes_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds episodes by who acted in them: the last fifth, on which probes are chosen, has to be of all."""
    seen: list[torch.Tensor] = []

    class Watched(readout.Readout):
        def __init__(self, fit: torch.Tensor, held_out: Sequence[torch.Tensor], groups: dict[str, slice]) -> None:
            seen.append(fit)
            super().__init__(fit, held_out, groups)

        def scores(self, target: torch.Tensor, truths: Sequence[torch.Tensor]) -> list[dict[str, float]]:
            seen.append(target)
            return super().scores(target, truths)

    def ask(task: str, episodes: Lived) -> list[Quantity]:
        number = episodes.truth["number"]
        return [Quantity("number", number, torch.ones(number.shape[:2], dtype=torch.bool))]

    number = torch.arange(EPISODES).float().view(-1, 1, 1).expand(EPISODES, probes.BLOCK, 1).contiguous()
    lived = Lived({}, {"number": number}, torch.zeros(EPISODES, probes.BLOCK, 1))
    known = number[:, probes.FIRST :].unsqueeze(1)
    monkeypatch.setattr(probes, "ask", ask)
    monkeypatch.setattr(readout, "Readout", Watched)
    (scores,) = probes.judged("Sage-Navigation", known, lived, [(known, lived)], {"objects": slice(0, 1)})
    features, target = seen
    assert torch.equal(features, target), "contexts and what they are asked for stay together"
    episodes = features.view(EPISODES, LOOKS)
    assert (episodes == episodes[:, :1]).all() and len(episodes[:, 0].unique()) == EPISODES, "whole episodes"
    late = (episodes[-EPISODES // 5 :, 0] >= EPISODES / 2).float().mean()
    assert 0.25 < late < 0.75
    assert scores["whole"]["number"] > 0.99
