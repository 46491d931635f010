"""Ridge regression by blocks of one Gram matrix is that of the chosen features alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.ridge import SHRINKAGES, Gram, Places, factors_of

CHOICES: list[Places] = [((0, 300),), ((0, 300), (900, 1600)), ((0, 300), (300, 900), (1200, 1600))]


@pytest.mark.parametrize("n", [250, 1000, 2000], ids=["few samples", "fewer than features", "more than features"])
@pytest.mark.parametrize("where", CHOICES, ids=["one", "two", "three"])
def test_blocks_are_as_good_as_the_features_alone(n: int, where: Places) -> None:
    g = torch.Generator().manual_seed(0)
    features = torch.randn(n, 1600, generator=g) + torch.randn(n, 1, generator=g)
    wanted = torch.randn(n, 2, generator=g)
    chosen = torch.cat([features[:, start:stop] for start, stop in where], 1).double()
    maps = Gram(features).maps(where, wanted)
    for shrinkage, found in zip(SHRINKAGES, maps, strict=True):
        left = chosen.T @ chosen / n + shrinkage * torch.eye(chosen.shape[1], dtype=torch.double)
        right = torch.linalg.solve(left, chosen.T @ wanted.double() / n)
        torch.testing.assert_close(found.double(), right, rtol=1e-3, atol=1e-4)


def test_what_is_kept_is_not_taken_for_other_places() -> None:
    features = torch.randn(500, 60, generator=torch.Generator().manual_seed(0))
    gram, wanted = Gram(features), features[:, :1]
    first = gram.maps(((0, 30),), wanted, keep=True)
    other = gram.maps(((30, 60),), wanted, keep=True)
    again = gram.maps(((0, 30),), 2 * wanted, keep=True)
    torch.testing.assert_close(again[0], 2 * first[0])
    assert first[0][0] > 0.9 > other[0].abs().max()


def test_what_drowns_in_single_precision_is_worked_out_in_double() -> None:
    def exact() -> Tensor:
        raise AssertionError("single precision is enough")

    assert {factor.dtype for factor in factors_of(torch.eye(64), exact)} == {torch.float32}
    generator = torch.Generator().manual_seed(0)
    features, wanted = torch.randn(900, 600, generator=generator), torch.randn(900, 1, generator=generator)
    # A few samples of a rare class, which weigh as much as all others together, and more.
    features[:5] *= 3e4
    gram = Gram(features)
    _, failed = torch.linalg.cholesky_ex(gram._block(((0, 600),), features).double() + SHRINKAGES[0] * torch.eye(600))
    assert failed, "rounded, the matrix is none that ridge regression could make"
    maps, plain = gram.maps(((0, 600),), wanted), features.double()
    for shrinkage, found in zip(SHRINKAGES, maps, strict=True):
        right = torch.linalg.solve(
            plain.T @ plain / 900 + shrinkage * torch.eye(600, dtype=torch.float64), plain.T @ wanted.double() / 900
        )
        torch.testing.assert_close(found, right.float(), rtol=1e-3, atol=1e-4)
