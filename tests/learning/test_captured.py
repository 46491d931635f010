"""Batches as tensors alone, and when a graph is recorded; a GPU's replays are checked where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from sage_ext.learning import seeking, sighting
from sage_ext.learning.captured import Captured, Flat, flatten, gather
from sage_ext.learning.objective import Objective

from .conftest import BODIES, make_batch, make_history


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


class _FromTheProcessor(TorchDispatchMode):
    """Notes operations that read tensors of the processor, apart from filling with a plain number."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree_flatten((args, kwargs or {}))[0]
        if any(isinstance(value, torch.Tensor) and value.device.type == "cpu" for value in given):
            self.found.add(str(func))
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("time", [1, 4])
def test_nothing_comes_from_the_processor_while_a_graph_is_recorded(objective: Objective, time: int) -> None:
    batch = replace(make_batch(time=time), history=make_history(), forget=torch.arange(16) % 2 == 0)
    for name, numbers in (("sights", BODIES * sighting.TOLD), ("sought", seeking.TOLD)):
        told = {branch: torch.rand(16, time, numbers) for branch in ("remembered", "varied")}
        batch = replace(batch, **{name: told})
    objective.train()
    layout, tensors = flatten(batch, objective.draw(batch, None))
    # Tensors without numbers can be on a GPU that is not there.
    with FakeTensorMode():
        for module in objective.modules():
            for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                fake = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                setattr(module, name, torch.nn.Parameter(fake) if name in module._parameters else fake)
        there = tuple(torch.empty(t.shape, dtype=t.dtype, device="cuda") for t in tensors)
        with _FromTheProcessor() as processor:
            losses = objective.judge(*gather(layout, there))
    assert losses["loss"].device.type == "cuda"
    assert processor.found <= {"aten.lift_fresh.default", "aten.fill_.Tensor", "prim.device.default"}
