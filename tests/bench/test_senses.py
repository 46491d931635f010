"""The readouts with which bench.senses asks what a sense tells."""

from __future__ import annotations

import torch

from bench.senses import _ridge


def test_a_readout_finds_what_is_linear_in_the_features_and_not_what_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    known, unseen = torch.randn(2, 400, 6, generator=generator).unbind(0)
    weights = torch.randn(6, 2, generator=generator)
    told = _ridge(known, known @ weights + 3.0, unseen)
    torch.testing.assert_close(told, unseen @ weights + 3.0, atol=0.1, rtol=0.0)
    square = _ridge(known, known[:, :1].square(), unseen)
    assert (square - unseen[:, :1].square()).square().mean() > 1.0
