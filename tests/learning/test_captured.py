"""Batches as tensors alone, and when a graph is recorded; a GPU's replays are checked where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sage_ext.learning.captured import Captured, Flat, flatten, gather
from sage_ext.learning.objective import Objective

from .conftest import make_batch, make_history


def test_a_batch_comes_back_from_its_tensors(objective: Objective) -> None:
    objective.train()
    for batch in (make_batch(), replace(make_batch(), history=make_history(), forget=torch.arange(16) % 2 == 0)):
        chance = objective.draw(batch, torch.Generator().manual_seed(0))
        layout, tensors = flatten(batch, chance)
        again, drawn = gather(layout, tensors)
        assert flatten(again, drawn) == (layout, tensors)
        flat = Flat(objective, layout)
        found, wanted = flat(*tensors), objective.judge(batch, chance)
        assert flat.names == list(wanted)
        for value, other in zip(found, wanted.values(), strict=True):
            assert torch.equal(value, other)


def test_a_shape_is_recorded_when_it_is_met_again(objective: Objective, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[int] = []

    def make(flat: Flat, tensors: tuple[torch.Tensor, ...], allow_unused_input: bool) -> Flat:
        recorded.append(len(tensors))
        flat(*tensors)
        return flat

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", make)
    learner, batch, other = Captured(objective), make_batch(), replace(make_batch(), history=make_history())
    first = learner(batch, torch.Generator().manual_seed(0))
    assert not recorded
    for _ in range(3):
        again = learner(batch, torch.Generator().manual_seed(0))
    assert len(recorded) == 1 and list(again) == list(first)
    assert all(torch.equal(again[name], first[name]) for name in first)
    learner(other)
    assert len(recorded) == 1
    learner(other)
    assert len(recorded) == 2 and recorded[1] > recorded[0]
