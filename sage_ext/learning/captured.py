"""The objective as CUDA graphs: a GPU replays its many small kernels, instead of being told each of them.

Starting a kernel takes the processor longer than most of these kernels take. A graph is recorded once for each shape of
batch (``torch.cuda.make_graphed_callables``) and reads the weights where they are, so the optimizer may change them in
between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from .batch import Batch
from .objective import Objective
from .terms import Chance

Losses = dict[str, Tensor]
Layout = tuple[tuple[str, str, tuple[int, ...], torch.dtype], ...]
"""Field, key within it, shape and type of each tensor of a batch."""
LINES = "lines"


class Captured:
    """Losses of batches, to go backward from once each: gradients of two batches cannot be added up.

    Args:
        objective: On a GPU, in training.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._met: set[Layout] = set()
        self._graphs: dict[Layout, tuple[Callable[..., tuple[Tensor, ...]], list[str]]] = {}

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Losses:
        """As of the objective; a shape that is met for the second time is recorded, and replayed from then on."""
        batch.check(self._objective.heads.bodies)
        chance = self._objective.draw(batch, generator)
        layout, tensors = flatten(batch, chance)
        if layout not in self._met:
            self._met.add(layout)
            return self._objective.judge(batch, chance)
        if layout not in self._graphs:
            flat = Flat(self._objective, layout)
            graph: Any = torch.cuda.make_graphed_callables(flat, tensors, allow_unused_input=True)
            self._graphs[layout] = graph, flat.names
        graph, names = self._graphs[layout]
        return dict(zip(names, graph(*tensors), strict=True))


class Flat(nn.Module):
    """The objective as a function of tensors alone.

    Args:
        objective: What is asked.
        layout: What the tensors are.
    """

    def __init__(self, objective: Objective, layout: Layout) -> None:
        super().__init__()
        self.objective, self._layout = objective, layout
        self.names: list[str] = []

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Losses, named by :attr:`names`."""
        losses = self.objective.judge(*gather(self._layout, tensors))
        self.names[:] = losses
        return tuple(losses.values())


def flatten(batch: Batch, chance: Chance) -> tuple[Layout, tuple[Tensor, ...]]:
    """A batch as tensors, and what these are."""
    parts = {f.name: getattr(batch, f.name) for f in fields(Batch)} | chance._asdict()
    named: list[tuple[str, str, Tensor]] = []
    for name, value in parts.items():
        if isinstance(value, Mapping):
            named += [(name, key, tensor) for key, tensor in value.items()]
        elif name == LINES:
            named += [(name, str(number), tensor) for number, tensor in enumerate(value)]
        elif value is not None:
            named.append((name, "", value))
    layout = tuple((name, key, tuple(t.shape), t.dtype) for name, key, t in named)
    return layout, tuple(t for *_, t in named)


def gather(layout: Layout, tensors: tuple[Tensor, ...]) -> tuple[Batch, Chance]:
    """Inverse of :func:`flatten`."""
    parts: dict[str, Any] = {"remembered": {}, "varied": {}, LINES: []}
    for (name, key, *_), tensor in zip(layout, tensors, strict=True):
        if name == LINES:
            parts[name].append(tensor)
        elif key:
            parts.setdefault(name, {})[key] = tensor
        else:
            parts[name] = tensor
    chance = Chance(parts.pop("luck", None), parts.pop(LINES))
    return Batch(**parts), chance
