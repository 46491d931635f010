"""A tiny world to learn from: a bright square that falls, under gravity that differs between the branches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sage_ext.context.encoder import ContextEncoder, Widths
from sage_ext.learning.batch import Batch
from sage_ext.learning.changes import ChangeHeads
from sage_ext.learning.objective import Objective
from sage_ext.learning.predictor import ContextPredictor
from sage_ext.learning.terms import Weights
from sage_ext.observation import ObservationSpec, SenseSpec
from sage_ext.threads import torch_threads

SPEC = ObservationSpec(
    {"visual": SenseSpec((32, 32, 3), "uint8"), "proprioceptive": SenseSpec((64,), "float32")},
)
BODIES = 2
WIDTHS = Widths(base=8, hidden=64, semantic=64, physical=64, immediate=64, history=64)


def _fall(column: Tensor, height: Tensor, gravity: Tensor, time: int) -> dict[str, Tensor]:
    t = torch.arange(time)
    y = (height[:, None] + 0.5 * gravity[:, None] * t**2).clamp(0, 27).long()
    rows = torch.arange(32).view(1, 1, 32, 1)
    columns = torch.arange(32).view(1, 1, 1, 32)
    top, left = y[..., None, None], column.long()[:, None, None, None]
    lit = (rows >= top) & (rows < top + 5) & (columns >= left) & (columns < left + 5)
    body = torch.zeros(len(column), time, 64)
    body[..., 0] = -9.81 * gravity[:, None]
    return {"visual": (lit[..., None] * 255).expand(*lit.shape, 3).to(torch.uint8), "proprioceptive": body}


def make_batch(batch: int = 16, time: int = 4, seed: int = 0) -> Batch:
    """Pairs of falls from the same place under gravity 1 and under x0.5 to x2."""
    g = torch.Generator().manual_seed(seed)
    column, height = torch.rand(batch, generator=g) * 27, torch.rand(batch, generator=g) * 8
    scale = torch.exp((torch.rand(batch, generator=g) * 2 - 1) * math.log(2))
    change = {"log_gravity": torch.log(scale).view(batch, 1, 1).expand(batch, time, 1)}
    asked = {"log_gravity": torch.ones(batch, time, 1, dtype=torch.bool)}
    one, other = (_fall(column, height, s, time) for s in (torch.ones(batch), scale))
    return Batch(one, other, torch.randn(batch, time, 3, generator=g), change=change, asked=asked)


def make_history(batch: int = 16, time: int = 3, seed: int = 1) -> dict[str, Tensor]:
    """What was sensed before: other falls."""
    return dict(make_batch(batch, time, seed).varied)


def make_objective(drop: float = 0.0, horizons: tuple[int, ...] = (1, 2, 4)) -> Objective:
    """A small encoder and predictor, in a scene of two loose objects."""
    predictor = ContextPredictor(3, horizons, hidden=64, seed=1)
    return Objective(ContextEncoder(SPEC, WIDTHS, seed=0), predictor, ChangeHeads(BODIES), Weights(drop=drop))


@pytest.fixture
def objective() -> Objective:
    """A fresh objective that drops no senses."""
    return make_objective()


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small layers on a busy machine: two threads wait for each other longer than they work."""
    with torch_threads(1):
        yield
