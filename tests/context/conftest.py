"""One default encoder for all tests of this folder: building 24 million weights takes a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sage_ext.context.encoder import ContextEncoder, Widths
from sage_ext.observation import ObservationSpec, SenseSpec
from sage_ext.threads import torch_threads

SMALL = Widths(base=8, hidden=32, semantic=32, physical=32, immediate=32, history=32)


def make_spec(size: int = 64) -> ObservationSpec:
    """The observation contract with square pictures."""
    return ObservationSpec(
        {
            "visual": SenseSpec((size, size, 3), "uint8"),
            "depth": SenseSpec((size, size, 1), "float32"),
            "audio": SenseSpec((1024,), "float32"),
            "tactile": SenseSpec((128,), "float32"),
            "proprioceptive": SenseSpec((64,), "float32"),
        }
    )


def make_observation(*batch: int, seed: int = 0, size: int = 64) -> dict[str, Tensor]:
    """Random senses in the units of the contract."""
    g = torch.Generator().manual_seed(seed)
    return {
        "visual": torch.randint(0, 256, (*batch, size, size, 3), generator=g, dtype=torch.uint8),
        "depth": torch.rand(*batch, size, size, 1, generator=g) * 8,
        "audio": torch.rand(*batch, 1024, generator=g) * 100 - 80,
        "tactile": torch.randn(*batch, 128, generator=g) * 5,
        "proprioceptive": torch.randn(*batch, 64, generator=g) * 3,
    }


@pytest.fixture(scope="session")
def encoder() -> ContextEncoder:
    """The default encoder."""
    return ContextEncoder(make_spec(), seed=0)


@pytest.fixture
def small() -> ContextEncoder:
    """A fresh encoder of the same shape with few weights."""
    return ContextEncoder(make_spec(), SMALL, seed=0)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small layers on a busy machine: two threads wait for each other longer than they work."""
    with torch_threads(1):
        yield
