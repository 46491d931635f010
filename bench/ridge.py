"""Ridge regression in closed form, many times from the same features: their Gram matrix is worked out once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SHRINKAGES = (1e-2, 1e-1, 1.0, 10.0)
"""Of ridge regression, relative to standardised features."""
EXACT = 512
"""Features up to which double precision costs little."""
STRIPE = 256
"""Rows of a Gram matrix that are worked out at once."""
Places = tuple[tuple[int, int], ...]
"""Where chosen features start and stop."""


class Gram:
    """Ridge regression from any groups of some features (n, d), by the Gram matrix of all.

    Of fewer samples than features each choice of groups has its own product: of its features, or of the samples where
    those are fewer. A few features have a product of their own as well, in double precision: readings of the same
    samples again and again (nothing is touched) can lie at the border of two classes, and all change sides at once.

    The others are worked out in single precision: features are of unit variance, so that what an entry errs is far
    less than the smallest shrinkage.
    """

    def __init__(self, features: Tensor) -> None:
        self._features = features
        n, d = features.shape
        self._all: Tensor | None = None
        if n >= d:
            self._all = features.new_zeros(d, d)
            for start in range(0, d, STRIPE):
                # The lower half is all that is read.
                stop = start + STRIPE
                self._all[start:stop, :stop] = features[:, start:stop].T @ features[:, :stop]
            self._all /= n
        self._kept: dict[Places, list[Tensor]] = {}

    def maps(self, where: Places, wanted: Tensor, keep: bool = False) -> list[Tensor]:
        """What reads wanted numbers (n, k) from the features at some places: (features, k) a shrinkage.

        Args:
            where: The places, in ascending order.
            wanted: The numbers.
            keep: Whether the same places will be asked for again.
        """
        d = sum(stop - start for start, stop in where)
        features = taken(self._features, where)
        if d <= EXACT:
            features = features.double()
        factors = self._kept.get(where) or factors_of(self._block(where, features), lambda: _product(features.double()))
        if keep:
            self._kept[where] = factors
        features = features.to(factors[0])
        wanted = wanted.to(features) / len(features)
        if len(features) < d:
            maps = [features.T @ _solve(factor, wanted) for factor in factors]
        else:
            told = features.T @ wanted
            maps = [_solve(factor, told) for factor in factors]
        return [one.float() for one in maps]

    def _block(self, where: Places, features: Tensor) -> Tensor:
        """Gram matrix of the features at some places, or of the samples where those are fewer."""
        if self._all is None or features.shape[1] <= EXACT:
            return _product(features)
        return torch.cat([taken(self._all[start:stop], where) for start, stop in where])


def taken(values: Tensor, where: Places) -> Tensor:
    """Columns of values (..., d); a view where they lie together."""
    joined = [where[0]]
    for start, stop in where[1:]:
        if start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    parts = [values[:, start:stop] for start, stop in joined]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def factors_of(gram: Tensor, exact: Callable[[], Tensor]) -> list[Tensor]:
    """Cholesky factors of a Gram matrix, one a shrinkage; only its lower half is read.

    Args:
        gram: The matrix.
        exact: Works it out in double precision, where heavy samples of a rare class drown the shrinkage in single.
    """
    factors = []
    for shrinkage in SHRINKAGES:
        factor, failed = torch.linalg.cholesky_ex(_shrunk(gram.clone(), shrinkage))
        if failed:
            gram = exact() if gram.dtype == torch.float32 else gram
            factor = torch.linalg.cholesky(_shrunk(gram.clone(), shrinkage))
        factors.append(factor)
    return factors


def _product(features: Tensor) -> Tensor:
    """Gram matrix of some features (n, d), or of the samples where those are fewer."""
    n, d = features.shape
    return (features @ features.T if n < d else features.T @ features) / n


def _shrunk(gram: Tensor, shrinkage: float) -> Tensor:
    gram.diagonal().add_(shrinkage)
    return gram


def _solve(factor: Tensor, wanted: Tensor) -> Tensor:
    return torch.cholesky_solve(wanted.to(factor), factor).to(wanted)
