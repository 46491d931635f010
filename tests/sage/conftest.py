"""Small minds and bodies: what they can do does not depend on their size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sage_ext.context.encoder import ContextEncoder, Widths
from sage_ext.observation import ObservationSpec, SenseSpec
from sage_ext.sage.core import CoreWidths, SageCore
from sage_ext.sage.policy import SagePolicy
from sage_ext.threads import torch_threads

SPEC = ObservationSpec(
    {
        "visual": SenseSpec((64, 64, 3), "uint8"),
        "depth": SenseSpec((64, 64, 1), "float32"),
        "audio": SenseSpec((1024,), "float32"),
        "tactile": SenseSpec((128,), "float32"),
        "proprioceptive": SenseSpec((64,), "float32"),
    }
)
WIDTHS = CoreWidths(slow=32, read=32, heads=2, think=32, steps=3, glance=16, fast=32, memory=16, report=8)
ENCODER = Widths(base=8, hidden=32, semantic=32, physical=32, immediate=32, history=32)
ACTIONS = 3


def make_observation(*batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random senses in the units of the contract."""
    g = torch.Generator().manual_seed(seed)
    return {
        "visual": torch.randint(0, 256, (*batch, 64, 64, 3), generator=g, dtype=torch.uint8),
        "depth": torch.rand(*batch, 64, 64, 1, generator=g) * 8,
        "audio": torch.rand(*batch, 1024, generator=g) * 100 - 80,
        "tactile": torch.randn(*batch, 128, generator=g) * 5,
        "proprioceptive": torch.randn(*batch, 64, generator=g) * 3,
    }


def make_context(*batch: int, seed: int = 0) -> Tensor:
    """Random contexts."""
    return torch.randn(*batch, 4096, generator=torch.Generator().manual_seed(seed))


def make_core(h_every: int = 1, chunk: int = 4, seed: int = 0, history: int | None = None) -> SageCore:
    """A core of the real shape with few weights."""
    return SageCore(SPEC, ACTIONS, chunk, h_every, history, WIDTHS, seed=seed)


@pytest.fixture
def core() -> SageCore:
    """A fresh core whose H runs at every look."""
    return make_core()


@pytest.fixture
def policy() -> SagePolicy:
    """A fresh policy within +-1."""
    bound = torch.ones(ACTIONS)
    return SagePolicy(ContextEncoder(SPEC, ENCODER, seed=0), make_core(), -bound, bound)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small layers on a busy machine: two threads wait for each other longer than they work."""
    with torch_threads(1):
        yield
